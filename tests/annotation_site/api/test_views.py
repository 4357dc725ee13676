"""The JSON API of the annotation page: shapes, errors, scope and query budgets."""

import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from annotation_site.annotation.models import Assignment, Study
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    assignment_of,
    client_of,
    make_study,
    pattern,
    submission,
)

pytestmark = pytest.mark.django_db


def send(client, method, name, assignment, body):
    url = reverse(f"api:{name}", args=[assignment.public_id])
    return getattr(client, method)(url, body, content_type="application/json")


@pytest.fixture
def assignment():
    return assignment_of(make_study())


@pytest.fixture
def client(assignment):
    return client_of(assignment.membership.user)


def draft(version=0, **changes):
    return {"base_version": version, "content": {"annotation": {}}, "active_seconds": 3, **changes}


def test_a_draft_is_stored_under_the_next_version(client, assignment):
    response = send(client, "put", "draft", assignment, draft())
    assert (response.status_code, response.json()) == (200, {"version": 1})


def test_a_tab_asks_for_the_stored_draft_with_few_queries(
    client, assignment, django_assert_num_queries
):
    url = reverse("api:draft", args=[assignment.public_id])
    assert client.get(url).json() == {"version": 0, "content": None}
    send(client, "put", "draft", assignment, draft())
    with django_assert_num_queries(4):  # session, person, draft, whether the study is made up
        assert client.get(url).json() == {"version": 1, "content": {"annotation": {}}}
    assignment.refresh_from_db()
    assert assignment.draft_version == 1
    other = UserFactory()
    assert client_of(other).get(url).status_code == 404


def test_a_draft_from_an_older_version_gets_the_newer_one(client, assignment):
    send(client, "put", "draft", assignment, draft(content={"annotation": "newer"}))
    response = send(client, "put", "draft", assignment, draft())
    assert response.status_code == 409
    assert response.json() == {
        "error": {
            "code": "draft_conflict",
            "message": "This list was changed in another tab or on another device. "
            "Reload the page.",
            "details": {"version": 1, "content": {"annotation": "newer"}},
        }
    }


def test_a_person_may_type_what_looks_like_an_escape(client, assignment):
    response = send(client, "put", "draft", assignment, draft(content={"x": "\\u0000"}))
    assert response.status_code == 200


def test_submitting_returns_the_next_list_opened(client, assignment):
    body = submission(assignment, answer(pattern(1, [1, 2, 3, 4])))
    reply = send(client, "post", "submit", assignment, body).json()
    following = Assignment.objects.get(membership=assignment.membership, position=2)
    assert reply["next_url"] == f"/lists/{following.public_id}/"
    assert reply["next"]["list"]["id"] == str(following.public_id)
    assert following.state == Assignment.State.IN_PROGRESS
    assert following.opened_at is not None
    again = send(client, "post", "submit", assignment, body)
    assert again.json() == reply


def test_the_last_submission_leads_to_the_studys_page(client, assignment):
    Assignment.objects.exclude(pk=assignment.pk).update(state=Assignment.State.SUBMITTED)
    response = send(client, "post", "submit", assignment, submission(assignment, answer()))
    assert response.json() == {"next": None, "next_url": "/studies/a-study/"}


def test_an_answer_that_breaks_a_rule_is_refused_with_its_sentence(client, assignment):
    response = send(client, "post", "submit", assignment, submission(assignment, {"patterns": []}))
    assert response.status_code == 422
    assert response.json()["error"]["code"] == "invalid_annotation"


def test_a_skip_returns_the_next_list_and_keeps_the_time_it_took(client, assignment):
    Assignment.objects.update(opened_at=timezone.now() - timedelta(minutes=1))
    body = {
        "base_version": 0, "key": str(uuid.uuid4()), "reason": "offensive words",
        "active_seconds": 20,
    }  # fmt: skip
    reply = send(client, "post", "skip", assignment, body).json()
    assert reply["next"]["list"]["position"] == 2
    assert assignment.worked_days.get().active_seconds == 20


@pytest.mark.parametrize(
    ("method", "name", "body"),
    [
        ("put", "draft", {}),
        ("put", "draft", draft(base_version=-1)),
        ("put", "draft", draft(content=[])),
        ("put", "draft", draft(content={"x": "y" * 100_001})),
        ("put", "draft", draft(content={"x": "a\0b"})),
        ("put", "draft", draft(content={"x": ["\ud83d"]})),
        ("put", "draft", '{"content": ' + "[" * 40 + "]" * 40 + "}"),
        ("put", "draft", "[" * 100_000),
        ("put", "draft", draft(active_seconds=-1)),
        ("put", "draft", draft(active_seconds=10**9)),
        ("post", "submit", {"base_version": 0}),
        ("post", "submit", {"base_version": 0, "key": "x", "annotation": {}, "active_seconds": 0}),
        ("post", "skip", {"base_version": 0, "key": str(uuid.uuid4()), "reason": ""}),
    ],
)
def test_a_malformed_request_is_refused_in_the_one_error_shape(
    client, assignment, method, name, body
):
    response = send(client, method, name, assignment, body)
    assert response.status_code == 400
    assert set(response.json()["error"]) == {"code", "message", "details"}


def test_bytes_that_are_no_json_are_refused(client, assignment):
    response = send(client, "post", "submit", assignment, "{")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "parse_error")


def test_a_stranger_is_asked_to_log_in(client, assignment):
    client.logout()
    response = send(client, "put", "draft", assignment, draft())
    assert (response.status_code, response.json()["error"]["code"]) == (401, "not_authenticated")


@pytest.mark.parametrize("role", ["annotator", "researcher", "admin"])
def test_nobody_writes_to_another_persons_list(assignment, role):
    client = client_of(UserFactory(role=role))
    for method, name, body in (
        ("put", "draft", draft()),
        ("post", "submit", submission(assignment, answer())),
        ("post", "skip", {"base_version": 0, "key": str(uuid.uuid4()), "reason": "x"}),
    ):
        assert send(client, method, name, assignment, body).status_code == 404
    assignment.refresh_from_db()
    assert (assignment.draft_version, assignment.version) == (0, 0)


def test_a_page_of_another_site_cannot_write(assignment):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(assignment.membership.user)
    response = send(client, "put", "draft", assignment, draft())
    assert (response.status_code, response.json()["error"]["code"]) == (403, "permission_denied")


def test_a_paused_study_says_so(client, assignment):
    Study.objects.update(state="paused")
    response = send(client, "put", "draft", assignment, draft())
    assert response.status_code == 403
    assert "paused" in response.json()["error"]["message"]


def test_an_autosave_takes_few_queries(client, assignment):
    send(client, "put", "draft", assignment, draft(active_seconds=0))
    Assignment.objects.update(opened_at=timezone.now() - timedelta(minutes=1))
    with CaptureQueriesContext(connection) as queries:
        send(client, "put", "draft", assignment, draft(1, active_seconds=30))
    # session, person, their writes counted and read, their taken time; the locked assignment with
    # study, list, membership and consent asked; the taken time, the day's time, the update. The
    # test's own transaction turns BEGIN into savepoints.
    asked = [q["sql"] for q in queries if "SAVEPOINT" not in q["sql"]]
    assert len(asked) <= 9
    assert assignment.worked_days.get().active_seconds == 30


def test_a_submission_and_the_next_list_take_few_queries(
    client, assignment, django_assert_num_queries
):
    send(client, "put", "draft", assignment, draft(active_seconds=0))
    Assignment.objects.filter(pk=assignment.pk).update(
        opened_at=timezone.now() - timedelta(hours=1)
    )
    body = submission(assignment, answer(pattern(1, [1, 2, 3]), pattern(2, [4, 5, 6])))
    # session, person, their writes counted; savepoint, their taken time, the locked assignment with
    # all that is asked of its study, stop words among what is marked, patterns, members, the taken
    # time, the day's time, assignment, revision, release; next: the assignment with its slot,
    # opened, tokens
    with django_assert_num_queries(17):
        send(client, "post", "submit", assignment, body)
