"""Training: feedback after each list, a score that opens the queue, and being let in."""

import json
import re
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.http import Http404
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotation_site.accounts.models import AuditEntry, Role, User
from annotation_site.annotation.lists.access import training_of
from annotation_site.annotation.lists.entries import list_entries
from annotation_site.annotation.lists.page import next_assignment
from annotation_site.annotation.models import Assignment, Membership, Study, TakenTime
from annotation_site.annotation.people.members import annotator_add
from annotation_site.annotation.review import training
from annotation_site.annotation.studies.plans import plan_of
from annotation_site.annotation.studies.rules import study_change
from annotation_site.annotation.studies.services import study_state_change
from annotation_site.annotation.work import submissions
from annotation_site.errors import Invalid, NotAllowed
from annotation_site.results.files.labels_export import annotation_records
from annotation_site.results.tables.dataframes import annotations_of
from annotation_site.workers.models import Worker
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    assignment_of,
    client_of,
    give_references,
    make_draft,
    make_extraction,
    make_study,
    pattern,
    submission,
    submit,
    text_of,
)

pytestmark = pytest.mark.django_db
State = Assignment.State
Purpose = Assignment.Purpose
RIGHT = answer(pattern(1, [1, 2, 3, 4]))  # what the factory's references say
HALF = answer(pattern(1, [1, 2, 3, 4]), pattern(2, [10, 11, 12, 13]))  # 1 / (1 + 2 - 1)
WRONG = answer(pattern(1, [20, 21, 22, 23]))


def training_study(**changes):
    return make_study(
        **{
            "extraction": make_extraction(per_layer=4),
            "lists_per_layer": 2,
            "training_lists": 2,
            "training_pass_percent": 60,
            **changes,
        }
    )


def newcomer(study):
    return study.memberships.filter(role=Membership.Role.ANNOTATOR).order_by("pk").first()


def train(study, *answers):
    member = newcomer(study)
    for position, content in enumerate(answers, 1):
        submit(assignment_of(study, position), content)
    member.refresh_from_db()
    return member, training_of([member])[member.pk]


# The queue


def test_training_comes_first_and_is_the_same_for_everybody():
    study = training_study()
    first = [
        [(row.item_id, row.purpose) for row in member.assignments.order_by("position")[:2]]
        for member in study.memberships.filter(role=Membership.Role.ANNOTATOR)
    ]
    assert first[0] == first[1]
    assert {purpose for _, purpose in first[0]} == {Purpose.TRAINING}


def test_somebody_who_joins_later_is_trained_too():
    study = training_study(annotators_per_list=1)
    member = annotator_add(study=study, user=UserFactory())
    purposes = list(member.assignments.order_by("position").values_list("purpose", flat=True))
    assert purposes[:2] == [Purpose.TRAINING] * 2
    assert set(purposes[2:]) == {Purpose.ANNOTATION}


@pytest.mark.parametrize(
    ("answers", "percent", "passed"),
    [
        ((RIGHT, RIGHT), 100, True),
        ((RIGHT, HALF), 75, True),
        ((RIGHT, WRONG), 50, False),
        ((RIGHT,), 100, False),  # one is left
    ],
)
def test_the_queue_opens_when_all_of_training_is_in_and_its_mean_passes(answers, percent, passed):
    member, found = train(training_study(), *answers)
    assert (found.percent, found.passed) == (percent, passed)
    following = next_assignment(member.pk)
    if passed:
        assert following.purpose == Purpose.ANNOTATION
    elif len(answers) == 2:
        assert following is None
    else:
        assert following.purpose == Purpose.TRAINING


def test_without_a_score_to_pass_training_is_a_record():
    member, found = train(training_study(training_pass_percent=None), WRONG, WRONG)
    assert (found.percent, found.passed) == (0, True)
    assert next_assignment(member.pk).purpose == Purpose.ANNOTATION


def test_a_score_just_below_is_told_as_below():
    study = training_study(training_lists=1, training_pass_percent=67)
    # {1, 2, 3, 4} against {1, 2, 3, 4, 5, 6}: 4 / 6.
    _, found = train(study, answer(pattern(1, [1, 2, 3, 4, 5, 6])))
    assert (found.percent, found.passed) == (66, False)


def test_lists_behind_training_can_be_neither_opened_nor_drafted_nor_submitted_nor_skipped():
    study = training_study()
    member, _ = train(study, RIGHT, WRONG)
    shut = assignment_of(study, 3)
    assert shut.purpose == Purpose.ANNOTATION
    who = {"user": member.user, "public_id": shut.public_id, "base_version": 0}
    with pytest.raises(NotAllowed, match="after your training"):
        submissions.draft_save(**who, content={}, active_seconds=0)
    with pytest.raises(NotAllowed, match="after your training"):
        submissions.assignment_submit(**who, key=uuid.uuid4(), annotation=RIGHT, active_seconds=0)
    with pytest.raises(NotAllowed, match="after your training"):
        submissions.assignment_skip(**who, key=uuid.uuid4(), reason="x")
    client = client_of(member.user)
    response = client.get(f"/lists/{shut.public_id}/")
    assert (response.status_code, response["Location"]) == (302, f"/studies/{study.slug}/")
    shut.refresh_from_db()
    assert (shut.state, shut.opened_at, shut.draft) == (State.WAITING, None, None)


def test_who_did_not_pass_reads_how_far_they_came_and_what_happens_next():
    study = training_study()
    member, _ = train(study, RIGHT, WRONG)
    client = client_of(member.user)
    for url in ("/", f"/studies/{study.slug}/"):
        page = text_of(client.get(url))
        assert "You reached 50% in training; 60% are needed." in page, url
        assert "The researcher decides" in page, url
        assert "/next/" not in page, url
    response = client.get(f"/studies/{study.slug}/next/")
    assert response["Location"] == f"/studies/{study.slug}/"


def test_a_skipped_training_list_can_be_done_after_all():
    study = training_study()
    member = newcomer(study)
    skipped = assignment_of(study)
    submissions.assignment_skip(
        user=member.user, public_id=skipped.public_id, base_version=0, key=uuid.uuid4(), reason="x"
    )
    submit(assignment_of(study, 2), RIGHT)
    assert next_assignment(member.pk) is None
    page = text_of(client_of(member.user).get(f"/studies/{study.slug}/"))
    assert "You skipped 1 training list." in page
    submit(skipped, RIGHT)
    assert next_assignment(member.pk).purpose == Purpose.ANNOTATION
    assert not Assignment.objects.filter(surplus=True).exists()


# Feedback


def test_submitting_a_training_list_leads_to_its_feedback_and_on():
    study = training_study()
    trained = assignment_of(study)
    client = client_of(trained.membership.user)
    reply = client.post(
        f"/api/lists/{trained.public_id}/submit",
        json.dumps(submission(trained, HALF)),
        content_type="application/json",
    ).json()
    assert reply == {"next": None, "next_url": f"/lists/{trained.public_id}/feedback/"}
    page = text_of(client.get(reply["next_url"]))
    assert "Your patterns overlap with the reference patterns by 50%." in page
    assert "Training lists submitted: 1 of 2. Mean overlap: 50%." in page
    assert "Your other lists open at a mean overlap of 60%" in page
    assert "The reference annotation has no such pattern." in page
    tokens = list_entries(trained.item.vector, "top_tokens")
    assert tokens[0].display in page
    trained.refresh_from_db()
    assert trained.reference_score == 0.5
    assert client.get(f"/lists/{trained.public_id}/")["Location"] == reply["next_url"]


def test_after_feedback_a_training_list_stays_as_it_is():
    study = training_study()
    trained = submit(assignment_of(study), WRONG)
    who = {"user": trained.membership.user, "public_id": trained.public_id}
    with pytest.raises(NotAllowed, match="You have seen the reference annotation"):
        submissions.assignment_submit(
            **who, base_version=1, key=uuid.uuid4(), annotation=RIGHT, active_seconds=0
        )
    with pytest.raises(NotAllowed, match="You have seen the reference annotation"):
        submissions.draft_save(**who, base_version=1, content={}, active_seconds=0)
    trained.refresh_from_db()
    assert (trained.version, trained.reference_score) == (1, 0)


def test_a_submission_that_is_sent_twice_is_answered_alike():
    study = training_study()
    trained = assignment_of(study)
    body = json.dumps(submission(trained, RIGHT))
    client = client_of(trained.membership.user)
    url = f"/api/lists/{trained.public_id}/submit"
    replies = [client.post(url, body, content_type="application/json").json() for _ in range(2)]
    assert replies[0] == replies[1]


def test_feedback_is_for_training_that_was_submitted_and_for_its_person():
    study = training_study(training_pass_percent=None)
    waiting, other = assignment_of(study), assignment_of(study, 3)
    client = client_of(waiting.membership.user)
    url = f"/lists/{waiting.public_id}/feedback/"
    assert client.get(url)["Location"] == f"/lists/{waiting.public_id}/"
    submit(waiting, RIGHT)
    submit(other, RIGHT)
    assert client.get(url).status_code == 200
    assert client.get(f"/lists/{other.public_id}/feedback/").status_code == 404
    assert client_of(UserFactory()).get(url).status_code == 404


# Scores


def test_silent_reference_lists_are_scored_and_their_person_is_not_told():
    study = make_study(
        extraction=make_extraction(per_layer=4), lists_per_layer=2, reference_lists=2
    )
    silent = Assignment.objects.filter(purpose=Purpose.REFERENCE).first()
    client = client_of(silent.membership.user)
    body = json.dumps(submission(silent, HALF))
    url = f"/api/lists/{silent.public_id}/submit"
    reply = client.post(url, body, content_type="application/json").json()
    assert score_of(silent) == 0.5
    assert "feedback" not in json.dumps(reply)
    assert client.get(f"/lists/{silent.public_id}/").status_code == 200
    submit(silent, RIGHT)  # as every other list, it can be changed
    assert score_of(silent) == 1
    ordinary = Assignment.objects.filter(purpose=Purpose.ANNOTATION).first()
    assert score_of(submit(ordinary, RIGHT)) is None
    assert study.state == Study.State.OPEN


def score_of(assignment):
    training.silent_scores_sweep()
    assignment.refresh_from_db()
    return assignment.reference_score


def test_whoever_reads_scores_reads_those_of_the_newest_answers():
    study = make_study(
        extraction=make_extraction(per_layer=4), lists_per_layer=2, reference_lists=1
    )
    silent = Assignment.objects.filter(purpose=Purpose.REFERENCE).first()
    submit(silent, HALF)
    loaded = annotations_of(study).of(Purpose.REFERENCE)
    assert loaded["reference_score"].tolist() == [0.5]
    submit(silent, RIGHT)
    written = [row for row in annotation_records(study) if row.purpose == Purpose.REFERENCE]
    assert [row.reference_score for row in written] == [1]


@pytest.mark.parametrize("page", ["run", "references"])
def test_scores_that_wait_for_a_worker_are_said_to_wait(page):
    study = make_study(
        extraction=make_extraction(per_layer=4), lists_per_layer=2, reference_lists=1
    )
    client, url = client_of(study.created_by), f"/studies/{study.slug}/{page}/"
    waits = "1 annotation of a silent reference list waits for a worker"
    assert waits not in client.get(url).content.decode()
    submit(Assignment.objects.filter(purpose=Purpose.REFERENCE).first(), HALF)
    said = client.get(url).content.decode()
    assert waits in said
    assert "No worker is running. Start one with" in said
    Worker.objects.create(name="w", seen_at=timezone.now())
    assert "A worker is running, so this takes" in client.get(url).content.decode()
    training.silent_scores_sweep()
    said = client.get(url).content.decode()
    assert waits not in said
    assert "50%" in said or "50.0%" in said


def test_a_silent_reference_list_takes_no_longer_than_any_other(monkeypatch):
    make_study(
        extraction=make_extraction(per_layer=4), lists_per_layer=2, reference_lists=2,
        repeat_percent=50,
    )  # fmt: skip
    monkeypatch.setattr(training, "reference_score", None)  # nothing is scored while they wait
    for user in User.objects.all():
        TakenTime.objects.get_or_create(user=user)
    Assignment.objects.update(opened_at=timezone.now() - timedelta(hours=1))
    asked = {}
    for purpose in (Purpose.REFERENCE, Purpose.ANNOTATION, Purpose.REPEAT):
        row = Assignment.objects.filter(purpose=purpose).first()
        with CaptureQueriesContext(connection) as queries:
            submit(row, HALF)
        asked[purpose] = [re.sub(r"[0-9a-f-]{32,36}|\d+|'[^']*'", "?", q["sql"]) for q in queries]
    assert asked[Purpose.REFERENCE] == asked[Purpose.ANNOTATION] == asked[Purpose.REPEAT]


def test_nothing_is_asked_twice_where_no_score_is_missing(django_assert_num_queries):
    study = make_study(
        extraction=make_extraction(per_layer=4), lists_per_layer=2, reference_lists=1
    )
    submit(Assignment.objects.filter(purpose=Purpose.REFERENCE).first(), HALF)
    training.silent_scores_sweep()
    with django_assert_num_queries(1):
        training.silent_scores_ensure(study=study)


def test_a_pattern_below_the_minimum_does_not_count_against_anybody():
    study = training_study(training_lists=1)
    _, found = train(study, answer(pattern(1, [1, 2, 3, 4]), pattern(2, [9, 10, 11])))
    assert found.percent == 100


def test_another_minimum_before_the_rules_are_fixed_scores_anew():
    study = training_study(training_lists=1)
    _, found = train(study, answer(pattern(1, [1, 2, 3, 4]), pattern(2, [9, 10, 11])))
    assert found.percent == 100
    study_change(study=study, plan=replace(plan_of(study), min_tokens=3))
    member = newcomer(study)
    assert training_of([member])[member.pk].percent == 50


# Being let in


def test_a_researcher_lets_somebody_in_once():
    study = training_study()
    member, _ = train(study, RIGHT, WRONG)
    researcher = study.memberships.get(role=Membership.Role.RESEARCHER).user
    for _ in range(2):
        training.training_waive(membership=member, by=researcher)
    assert next_assignment(member.pk).purpose == Purpose.ANNOTATION
    page = text_of(client_of(member.user).get("/"))
    assert "You reached" not in page
    assert f'href="/studies/{study.slug}/next/"' in page
    logged = AuditEntry.objects.filter(action="training_waived")
    assert [entry.details for entry in logged] == [{"person": str(member.user.public_id)}]


def test_whoever_is_let_in_early_has_no_training_left():
    study = training_study()
    member, _ = train(study, RIGHT)
    researcher = study.memberships.get(role=Membership.Role.RESEARCHER).user
    training.training_waive(membership=member, by=researcher)
    assert next_assignment(member.pk).purpose == Purpose.ANNOTATION
    page = text_of(client_of(member.user).get(f"/studies/{study.slug}/"))
    assert "Lists you left" not in page


def test_only_the_studys_researchers_let_people_in():
    study = training_study()
    member = newcomer(study)
    for by in (UserFactory(), UserFactory(role=Role.RESEARCHER), member.user):
        with pytest.raises(NotAllowed):
            training.training_waive(membership=member, by=by)
    researcher = study.memberships.get(role=Membership.Role.RESEARCHER)
    with pytest.raises(Invalid, match="does not annotate"):
        training.training_waive(membership=researcher, by=researcher.user)
    member.refresh_from_db()
    assert member.training_waived_at is None


# Pilots and states


def test_a_pilot_trains_people_too_and_its_own_lists_wait():
    study = make_draft(
        extraction=make_extraction(per_layer=4), lists_per_layer=2, training_lists=1, pilot_lists=2
    )
    give_references(study)
    study_state_change(study=study, state=Study.State.PILOT)
    Membership.objects.update(consent_version=0, consented_at=timezone.now())
    member = newcomer(study)
    seen = []
    while (following := next_assignment(member.pk)) is not None:
        seen.append(following.purpose)
        submit(following, RIGHT)
    assert seen == [Purpose.TRAINING, Purpose.PILOT, Purpose.PILOT]
    study_state_change(study=study, state=Study.State.OPEN)
    assert next_assignment(member.pk).purpose == Purpose.ANNOTATION
    assert member.assignments.filter(purpose=Purpose.TRAINING).count() == 1


def test_training_of_somebody_else_is_not_found():
    trained = assignment_of(training_study())
    with pytest.raises(Http404):
        submissions.assignment_submit(
            user=UserFactory(), public_id=trained.public_id, base_version=0, key=uuid.uuid4(),
            annotation=RIGHT, active_seconds=0,
        )  # fmt: skip
