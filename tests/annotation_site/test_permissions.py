"""Every address, for every role and a stranger: who may see what."""

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from annotation_site.accounts.models import Role
from annotation_site.annotation.models import Membership
from annotation_site.results import services
from tests.annotation_site.factories import UserFactory, assignment_of, client_of, make_study

pytestmark = pytest.mark.django_db

# Statuses of GET for: stranger, annotator of another study, the list's own annotator,
# another study's researcher, the study's researcher, admin. 302 sends a stranger to the login.
GET = {
    "home": (302, 200, 200, 200, 200, 200),
    "login": (200, 302, 302, 302, 302, 302),
    "logout": (405, 405, 405, 405, 405, 405),
    "corpus:models": (302, 403, 403, 403, 403, 200),
    "corpus:enqueue": (302, 403, 403, 403, 403, 200),
    "corpus:extraction": (302, 403, 403, 403, 403, 200),
    "corpus:progress": (302, 403, 403, 403, 403, 200),
    "corpus:retry": (302, 403, 403, 403, 403, 405),
    "annotation:new": (302, 403, 403, 200, 200, 200),
    "annotation:study": (302, 404, 200, 404, 404, 404),
    "annotation:next": (302, 404, 302, 404, 404, 404),
    "annotation:state": (302, 403, 403, 405, 405, 405),
    "annotation:list": (302, 404, 200, 404, 404, 404),
    "results:results": (302, 403, 403, 404, 200, 200),
    "results:status": (302, 403, 403, 404, 200, 200),
    "results:download": (302, 403, 403, 404, 200, 200),
    "results:figure": (302, 403, 403, 404, 200, 200),
    "api:draft": (401, 405, 405, 405, 405, 405),
    "api:submit": (401, 405, 405, 405, 405, 405),
    "api:skip": (401, 405, 405, 405, 405, 405),
}
POST_STATE = (302, 403, 403, 404, 302, 302)
POST_RETRY = (302, 403, 403, 403, 403, 422)


def names(resolver: URLResolver, prefix: str = "") -> list[str]:
    found = []
    for entry in resolver.url_patterns:
        if isinstance(entry, URLPattern):
            found.append(prefix + entry.name)
        else:
            found += names(entry, f"{entry.namespace}:" if entry.namespace else prefix)
    return found


@pytest.fixture
def world():
    study = make_study()
    services.snapshot_refresh_now(study=study)
    assignment = assignment_of(study)
    other = make_study()
    researchers = [s.memberships.get(role=Membership.Role.RESEARCHER).user for s in (study, other)]
    clients = (
        Client(),
        client_of(assignment_of(other).membership.user),
        client_of(assignment.membership.user),
        client_of(researchers[1]),
        client_of(researchers[0]),
        client_of(UserFactory(role=Role.ADMIN)),
    )
    return study, assignment, clients


def address(name: str, study, assignment) -> str:
    extraction = assignment.item.vector.extraction
    kwargs = {
        "corpus:extraction": {"public_id": extraction.public_id},
        "corpus:progress": {"public_id": extraction.public_id},
        "corpus:retry": {"public_id": extraction.public_id},
        "annotation:study": {"slug": study.slug},
        "annotation:next": {"slug": study.slug},
        "annotation:state": {"slug": study.slug},
        "annotation:list": {"public_id": assignment.public_id},
        "results:results": {"slug": study.slug},
        "results:status": {"slug": study.slug},
        "results:download": {"slug": study.slug, "table": "coverage", "extension": "csv"},
        "results:figure": {"slug": study.slug, "number": 0, "variant": "wide-light"},
        "api:draft": {"public_id": assignment.public_id},
        "api:submit": {"public_id": assignment.public_id},
        "api:skip": {"public_id": assignment.public_id},
    }
    return reverse(name, kwargs=kwargs.get(name, {}))


def test_every_address_is_in_the_table():
    assert sorted(names(get_resolver())) == sorted(GET)


def test_who_may_open_what(world):
    study, assignment, clients = world
    for name, expected in GET.items():
        url = address(name, study, assignment)
        assert tuple(c.get(url).status_code for c in clients) == expected, name


def test_who_may_change_a_study_or_retry_an_extraction(world):
    study, assignment, clients = world
    url = address("annotation:state", study, assignment)
    states = ("paused", "paused", "paused", "paused", "paused", "open")
    statuses = tuple(
        client.post(url, {"state": state}).status_code
        for client, state in zip(clients, states, strict=True)
    )
    assert statuses == POST_STATE
    url = address("corpus:retry", study, assignment)
    assert tuple(client.post(url).status_code for client in clients) == POST_RETRY


def test_pages_send_a_strict_policy_and_load_nothing_from_elsewhere(world):
    study, assignment, clients = world
    for name in ("home", "annotation:list", "results:results", "corpus:models"):
        client = clients[2] if name == "annotation:list" else clients[5]
        response = client.get(address(name, study, assignment))
        policy = response["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        page = response.content.decode()
        assert 'src="http' not in page
        assert "<style" not in page
        assert " style=" not in page
        assert " onclick=" not in page


def test_a_home_without_studies_says_what_comes_next():
    assert "No study to work on" in client_of(UserFactory()).get("/").content.decode()
    page = client_of(UserFactory(role=Role.RESEARCHER)).get("/").content.decode()
    assert "Make the first one" in page


def test_an_error_page_shows_its_sentence_and_status():
    response = client_of(UserFactory()).get("/models/")
    assert response.status_code == 403
    assert "This page is for admins" in response.content.decode()


def test_home_takes_few_queries(world, django_assert_max_num_queries):
    # session, person, studies to annotate with counts, studies to run with counts
    with django_assert_max_num_queries(4):
        world[2][5].get("/")


def test_the_annotation_page_takes_few_queries(world, django_assert_max_num_queries):
    study, assignment, clients = world
    clients[2].get(address("annotation:list", study, assignment))
    # session, person, assignment with study and list, guidelines, place in the order, tokens,
    # the list before
    with django_assert_max_num_queries(7):
        clients[2].get(address("annotation:list", study, assignment))


def test_a_deactivated_person_is_logged_out():
    user = UserFactory()
    client = client_of(user)
    user.is_active = False
    user.save()
    assert client.get("/").status_code == 302
