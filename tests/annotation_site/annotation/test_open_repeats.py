"""While a repeat is open, no address shows its person what they submitted for the list before."""

import uuid

import pytest
from django.urls import get_resolver
from django.utils import timezone

from annotation_site.annotation.models import Assignment, Membership, Study
from tests.annotation_site.annotation.answering import skip, submit
from tests.annotation_site.factories import (
    answer,
    client_of,
    make_extraction,
    make_study,
    pattern,
)

pytestmark = pytest.mark.django_db
Purpose = Assignment.Purpose
SECRET = "kitchenware-of-the-first-time"
FIRST = answer(pattern(1, [3, 5, 7, 9], description=SECRET), comment=f"remark {SECRET}")


@pytest.fixture(autouse=True)
def every_address_at_once(settings):
    """Nobody asks for all addresses by three methods within a minute, and the site says so."""
    settings.WRITES_PER_MINUTE = settings.API_REQUESTS_PER_MINUTE = 1_000_000


@pytest.fixture
def first():
    """A submitted annotation, after which its person has submitted all other lists."""
    study = make_study(extraction=make_extraction(per_layer=6), lists_per_layer=3)
    person = study.memberships.filter(role=Membership.Role.ANNOTATOR).first()
    own = Assignment.objects.filter(membership=person).order_by("position")
    for row in own:
        submit(row, FIRST if row == own[0] else answer())
    return own[0]


def repeat_of(first):
    last = Assignment.objects.filter(membership=first.membership).count()
    return Assignment.objects.create(
        item=first.item, membership=first.membership, purpose=Purpose.REPEAT, position=last + 1
    )


def client(first):
    return client_of(first.membership.user)


def addresses(patterns, before=""):
    """Every address of the site, as a format string over its parameters."""
    for one in patterns:
        route = before + str(one.pattern)
        if hasattr(one, "url_patterns"):
            yield from addresses(one.url_patterns, route)
        elif one.callback is not None and "(?P" not in route and "^" not in route:
            yield route


def filled(route, first):
    """The address with ids of the first annotation, or of its study."""
    found = []
    for part in route.split("/"):
        while "<" in part:
            name = part[part.index("<") + 1 : part.index(">")]
            kind, _, name = name.rpartition(":")
            value = str(first.public_id) if kind == "uuid" else "csv"
            if name == "slug":
                value = first.item.study.slug
            elif kind == "int":
                value = str(first.item_id)
            elif name in ("table", "name"):
                value = "coverage"
            part = part[: part.index("<")] + value + part[part.index(">") + 1 :]
        found.append(part)
    return "/" + "/".join(found)


def body(response) -> str:
    parts = response.streaming_content if response.streaming else [response.content]
    return b"".join(parts).decode(errors="replace")


def telling(first) -> set[str]:
    """The addresses that show the first annotation to its person, by any method."""
    own, found = client(first), set()
    stale = {"base_version": 99, "active_seconds": 0}
    bodies = {
        "draft": {**stale, "content": {}},
        "submit": {**stale, "key": str(uuid.uuid4()), "annotation": answer()},
        "skip": {**stale, "key": str(uuid.uuid4()), "reason": "too hard"},
    }
    for route in addresses(get_resolver().url_patterns):
        if any(word in route for word in ("withdraw", "logout", "state")):
            continue  # these end the person's work
        address = filled(route, first)
        responses = [own.get(address)]
        for method in (own.post, own.put):
            sent = bodies.get(route.rpartition("/")[2], {})
            responses.append(method(address, sent, content_type="application/json"))
        if any(SECRET in body(one) for one in responses):
            found.add(route)
    return found


def history(first) -> list[str]:
    slug = first.item.study.slug
    page = client(first).get(f"/studies/{slug}/").content.decode()
    rows = client(first).get(f"/api/work/{slug}/lists").json()["results"]
    listed = str(first.public_id) in str(rows)
    assert (f"/lists/{first.public_id}/" in page) == listed
    return [str(first.public_id)] if listed else []


def test_no_address_shows_the_first_annotation_while_its_repeat_is_open(first):
    shown = telling(first)
    own = "api/lists/<uuid:public_id>"
    assert shown == {
        "studies/<slug:slug>/", "lists/<uuid:public_id>/", own, f"{own}/draft", f"{own}/submit",
        f"{own}/skip",
    }  # fmt: skip
    assert history(first)
    repeat = repeat_of(first)
    assert client(first).get(f"/lists/{repeat.public_id}/").status_code == 200
    assert telling(first) == set()
    assert history(first) == []
    refused = client(first).get(f"/api/lists/{first.public_id}")
    assert refused.status_code == 403
    assert "cannot be opened now" in refused.content.decode()


@pytest.mark.parametrize("state", ["expired", "skipped"])
def test_a_repeat_that_was_left_can_still_be_submitted_so_its_first_annotation_stays_hidden(
    first, state
):
    repeat = repeat_of(first)
    client(first).get(f"/lists/{repeat.public_id}/")
    if state == "skipped":
        skip(repeat)
    else:
        Assignment.objects.filter(pk=repeat.pk).update(state=Assignment.State.EXPIRED)
    assert client(first).get(f"/lists/{first.public_id}/").status_code == 403


def test_the_first_annotation_is_readable_again_after_the_repeat_is_submitted(first):
    repeat = repeat_of(first)
    client(first).get(f"/lists/{repeat.public_id}/")
    submit(repeat, answer())
    assert SECRET in client(first).get(f"/lists/{first.public_id}/").content.decode()
    assert history(first)


def test_it_is_readable_where_nothing_can_be_submitted_any_more(first):
    Assignment.objects.filter(pk=repeat_of(first).pk).update(
        state=Assignment.State.IN_PROGRESS, opened_at=timezone.now()
    )
    Study.objects.update(state=Study.State.CLOSED)
    assert SECRET in client(first).get(f"/lists/{first.public_id}/").content.decode()


def test_other_people_and_other_lists_are_not_concerned(first):
    client(first).get(f"/lists/{repeat_of(first).public_id}/")
    others = Assignment.objects.filter(item__study=first.item.study).exclude(item=first.item)
    for other in others:
        found = client_of(other.membership.user).get(f"/lists/{other.public_id}/")
        assert found.status_code == 200
