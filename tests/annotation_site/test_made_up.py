"""Every response about a study with made-up annotations says so, and nobody can take it back."""

import json
from collections.abc import Iterator

import pytest
from django.db import DatabaseError, transaction

from annotation_site.accounts.models import Role
from annotation_site.annotation.models import Study
from annotation_site.annotation.studies.made_up import HEADER
from annotation_site.results.snapshots import services
from tests.annotation_site.addresses import GET, address, world_make, world_read
from tests.annotation_site.factories import UserFactory, client_of, make_study

pytestmark = pytest.mark.django_db
MARK = "made-up annotations"
OF_OTHER_THINGS = {
    "accounts:token_revoke", "accounts:revoke", "corpus:corpus_delete", "api:token", "api:corpus",
    "api:invitation", "notices:opened",
}  # fmt: skip
MAY_KNOW = (2, 4, 5)  # of the people of `GET`: the annotator, the researcher, an admin


def made_up_world() -> tuple[int, int]:
    """The permission tests' world, as if both studies had been restored."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Study._meta.get_field("made_up"), "default", True)
        patch.setattr(Study._meta.get_field("made_up"), "_get_default", lambda: True)
        return world_make()


@pytest.fixture(scope="module")
def keys(store) -> tuple[int, int]:
    return store(made_up_world)


@pytest.fixture
def world(keys, db):
    return world_read(*keys)


def about_the_study(study, assignment) -> Iterator[tuple[str, str]]:
    for name in GET:
        url = address(name, study, assignment)
        if f"/{study.slug}" in url or str(assignment.public_id) in url:
            yield name, url


def test_every_address_of_the_study_has_the_mark(world):
    study, assignment, clients = world
    found = dict(about_the_study(study, assignment))
    assert len(found) > 60
    for name, url in found.items():
        if name in OF_OTHER_THINGS:
            continue  # the id in them is another thing's
        for place, client in enumerate(clients):
            response = client.get(url)
            content = b"".join(response) if response.streaming else response.content
            if place not in MAY_KNOW:
                assert HEADER not in response, (name, place)
                continue
            assert response.headers.get(HEADER) == "true", (name, place, response.status_code)
            kind = response.headers.get("Content-Type", "")
            if kind == "application/json":
                assert json.loads(content)["made_up"] is True, (name, place)
            elif kind == "application/x-ndjson":
                assert all(json.loads(line)["made_up"] for line in content.splitlines())
            elif kind.startswith("text/csv"):
                assert b"made_up" in content.splitlines()[0], name
            elif kind == "image/svg+xml":
                assert MARK in content.decode()
            elif content.startswith(b"<!doctype html>"):  # a part of a page has the page around it
                assert MARK in content.decode(), (name, place)


def test_lists_of_studies_have_the_mark(world):
    _, _, clients = world
    assert MARK in clients[2].get("/").content.decode()
    assert MARK in clients[4].get("/").content.decode()
    assert clients[4].get("/api/studies").json()["results"][0]["made_up"] is True
    assert clients[2].get("/api/work").json()["results"][0]["made_up"] is True


def test_refusals_have_the_mark(world):
    study, _, clients = world
    for url, sent in (
        (f"/api/studies/{study.slug}/state", {"state": "asleep"}),
        (f"/api/studies/{study.slug}/exports", {"content": "nothing"}),
    ):
        response = clients[4].post(url, sent, content_type="application/json")
        assert response.status_code >= 400
        assert response[HEADER] == "true"
        assert response.json()["made_up"] is True
    response = clients[4].post(f"/studies/{study.slug}/state/", {"state": "asleep"})
    assert (response.status_code, response[HEADER]) == (422, "true")
    assert MARK in response.content.decode()


@pytest.mark.parametrize("extension", ["pdf", "png"])
def test_printed_figures_have_the_mark(world, extension):
    study = world[0]
    snapshot = study.snapshots.get()
    services.figures_draw(snapshot_id=snapshot.pk, for_print=True)
    name = next(iter(snapshot.figures))
    file = services.figure_file(snapshot=snapshot, name=name, extension=extension)
    assert MARK.encode() in file or MARK.encode("utf-16-be") in file  # in the title of the file


@pytest.mark.parametrize("made_up", [True, False])
def test_the_mark_never_changes(made_up, world):
    study = world[0] if made_up else make_study()
    change = not made_up
    with pytest.raises(DatabaseError, match="stay made-up"), transaction.atomic():
        Study.objects.filter(pk=study.pk).update(made_up=change)
    study.made_up = change
    with pytest.raises(DatabaseError, match="stay made-up"), transaction.atomic():
        study.save()
    study.refresh_from_db()
    assert study.made_up is made_up
    study.save()  # anything else changes


def test_no_request_changes_the_mark(world):
    study, _, clients = world
    url = f"/api/studies/{study.slug}"
    response = clients[4].patch(url, {"made_up": False}, content_type="application/json")
    assert response.status_code == 400
    clients[4].post(f"/studies/{study.slug}/rules/", {"made_up": "", "title": "Other"})
    assert Study.objects.get(pk=study.pk).made_up


def test_other_studies_have_no_mark():
    study = make_study()
    client = client_of(UserFactory(role=Role.ADMIN))
    response = client.get(f"/studies/{study.slug}/run/")
    assert HEADER not in response
    assert MARK not in response.content.decode()
    response = client.get(f"/api/studies/{study.slug}")
    assert HEADER not in response
    assert response.json()["made_up"] is False
