"""Drafts, submissions and skips: nothing is lost, nothing counts twice."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from annotation_site.annotation.allocation import slots
from annotation_site.annotation.models import (
    Assignment,
    Guidelines,
    Pattern,
    Revision,
    Study,
)
from annotation_site.annotation.people.members import assignments_release
from annotation_site.annotation.work import submissions
from annotation_site.errors import DraftConflict, Invalid, InvalidAnnotation, NotAllowed, NotFound
from annotation_site.results.snapshots.versions import data_version
from tests.annotation_site.annotation.answering import save, skip, submit
from tests.annotation_site.factories import (
    answer,
    assignment_of,
    client_of,
    make_extraction,
    make_study,
    pattern,
)

pytestmark = pytest.mark.django_db
State = Assignment.State
Purpose = Assignment.Purpose


def stored_patterns(assignment):
    return [
        (
            p.number,
            p.category,
            p.stopwords_proposed,
            p.stopwords,
            sorted(p.members.values_list("rank", flat=True)),
        )
        for p in Pattern.objects.filter(assignment=assignment).order_by("number")
    ]


def test_a_submission_stores_patterns_members_and_one_revision():
    assignment = assignment_of(make_study())
    content = answer(
        pattern(1, [3, 1, 2, 4]),
        pattern(2, [10, 11], category="syntactic", stopwords=True),
        comment="hard",
    )
    submit(assignment, content)
    assignment.refresh_from_db()
    assert assignment.state == State.SUBMITTED
    assert assignment.comment == "hard"
    assert assignment.guidelines_version == 1
    assert stored_patterns(assignment) == [
        (1, "semantic", False, False, [1, 2, 3, 4]),
        (2, "syntactic", False, True, [10, 11]),
    ]
    revision = Revision.objects.get(assignment=assignment)
    assert revision.version == 1
    assert revision.snapshot["annotation"]["patterns"][0]["ranks"] == [1, 2, 3, 4]


def test_the_stopwords_flag_follows_the_proposal_until_a_person_sets_it():
    study = make_study()
    assignment = assignment_of(study)
    ids = assignment.item.vector.token_ids
    stopword_ranks = [rank for rank, i in enumerate(ids, 1) if i % 10 == 0]
    other = next(rank for rank in range(1, 31) if rank not in stopword_ranks)
    submit(assignment, answer(pattern(1, [*stopword_ranks[:2], other])))
    assert stored_patterns(assignment)[0][2:4] == (True, True)
    submit(assignment, answer(pattern(1, [*stopword_ranks[:2], other], stopwords=False)))
    assert stored_patterns(assignment)[0][2:4] == (True, False)


def test_the_same_key_again_is_one_submission():
    assignment = assignment_of(make_study())
    key = uuid.uuid4()
    submit(assignment, answer(pattern(1, [1, 2, 3, 4])), key=key)
    submit(assignment, answer(pattern(1, [5, 6, 7, 8])), key=key, base_version=0)
    assert stored_patterns(assignment)[0][-1] == [1, 2, 3, 4]
    assert Revision.objects.count() == 1


def test_a_retry_after_the_study_was_paused_is_still_the_same_submission():
    assignment = assignment_of(make_study())
    key = uuid.uuid4()
    submit(assignment, answer(), key=key)
    Study.objects.update(state="paused")
    assert submit(assignment, answer(), key=key, base_version=0).state == State.SUBMITTED


def test_submitting_again_replaces_the_answer_and_keeps_the_revision():
    assignment = assignment_of(make_study())
    submit(assignment, answer(pattern(1, [1, 2, 3, 4])))
    submit(assignment, answer())
    assert stored_patterns(assignment) == []
    versions = Revision.objects.filter(assignment=assignment).order_by("version")
    assert [len(r.snapshot["annotation"]["patterns"]) for r in versions] == [1, 0]


def test_an_autosave_after_submission_changes_no_result():
    assignment = assignment_of(make_study())
    submit(assignment, answer(pattern(1, [1, 2, 3, 4])))
    assignment.refresh_from_db()
    save(assignment, {"annotation": answer(pattern(1, [9]))}, assignment.draft_version)
    assignment.refresh_from_db()
    assert assignment.state == State.SUBMITTED
    assert stored_patterns(assignment)[0][-1] == [1, 2, 3, 4]


def test_a_second_tab_cannot_overwrite_a_newer_version():
    assignment = assignment_of(make_study())
    assert save(assignment, {"annotation": "first tab"}, 0) == 1
    with pytest.raises(DraftConflict) as caught:
        save(assignment, {"annotation": "second tab"}, 0)
    assert caught.value.details == {"version": 1, "content": {"annotation": "first tab"}}
    with pytest.raises(DraftConflict):
        submit(assignment, answer(), base_version=0)
    assignment.refresh_from_db()
    assert assignment.draft == {"annotation": "first tab"}
    assert assignment.version == 0


def test_a_refused_answer_leaves_everything_as_it_was():
    assignment = assignment_of(make_study())
    submit(assignment, answer(pattern(1, [1, 2, 3, 4])))
    with pytest.raises(InvalidAnnotation):
        submit(assignment, answer(pattern(1, [31])))
    assert stored_patterns(assignment)[0][-1] == [1, 2, 3, 4]
    assert Revision.objects.count() == 1


def test_a_skip_frees_the_place_for_a_person_who_has_not_had_the_list():
    study = make_study(annotators=3)
    assignment = assignment_of(study)
    skip(assignment)
    people = set(
        Assignment.objects.filter(item=assignment.item, state__in=Assignment.LIVE).values_list(
            "membership_id", flat=True
        )
    )
    assert len(people) == 2
    assert assignment.membership_id not in people
    assignment.refresh_from_db()
    assert (assignment.state, assignment.skip_reason) == (State.SKIPPED, "offensive")


def test_a_skip_needs_a_reason_and_an_unsubmitted_list():
    assignment = assignment_of(make_study())
    with pytest.raises(Invalid):
        skip(assignment, reason="  ")
    submit(assignment, answer())
    with pytest.raises(Invalid):
        skip(assignment)


def test_an_ended_lease_gives_the_list_to_another_and_keeps_the_draft():
    study = make_study(annotators=3)
    assignment = assignment_of(study)
    submissions.assignment_open(assignment)
    save(assignment, {"annotation": "half done"}, 0)
    Assignment.objects.filter(pk=assignment.pk).update(
        opened_at=timezone.now() - timedelta(hours=study.lease_hours, seconds=1)
    )
    slots.leases_sweep()
    assignment.refresh_from_db()
    assert assignment.state == State.EXPIRED
    assert assignment.draft == {"annotation": "half done"}
    live = Assignment.objects.filter(item=assignment.item, state__in=Assignment.LIVE)
    assert live.count() == 2


def test_a_late_answer_is_surplus_when_its_place_is_taken():
    study = make_study(annotators=3)
    assignment = assignment_of(study)
    Assignment.objects.filter(pk=assignment.pk).update(
        state=State.IN_PROGRESS, opened_at=timezone.now() - timedelta(days=10)
    )
    slots.leases_sweep()
    submit(assignment, answer())
    assignment.refresh_from_db()
    assert (assignment.state, assignment.surplus) == (State.SUBMITTED, True)


def test_a_surplus_answer_that_is_submitted_again_takes_a_place_that_is_free_by_then():
    study = make_study(annotators=2)
    assignment = assignment_of(study)
    submit(assignment, answer())
    Assignment.objects.filter(pk=assignment.pk).update(surplus=True)
    assignment.refresh_from_db()
    submit(assignment, answer(), base_version=assignment.draft_version)
    assignment.refresh_from_db()
    assert (assignment.version, assignment.surplus) == (2, False)


def test_a_skip_whose_reply_was_lost_is_no_second_one():
    study = make_study(annotators=2)
    assignment = assignment_of(study)
    skip(assignment)
    assignment.refresh_from_db()
    submissions.assignment_skip(
        user=assignment.membership.user, public_id=assignment.public_id,
        base_version=0, key=uuid.uuid4(), reason="offensive",
    )  # fmt: skip
    assert assignment.revisions.count() == 1


def test_a_lease_that_nobody_could_take_over_does_not_end():
    study = make_study(annotators=2)
    assignment = assignment_of(study)
    Assignment.objects.filter(pk=assignment.pk).update(
        state=State.IN_PROGRESS, opened_at=timezone.now() - timedelta(days=10)
    )
    slots.leases_sweep()
    assignment.refresh_from_db()
    assert assignment.state == State.IN_PROGRESS


@pytest.mark.parametrize("people", [2, 3])
@pytest.mark.parametrize("purpose", [Purpose.REPEAT, Purpose.REFERENCE])
def test_the_end_of_a_lease_does_not_tell_what_a_list_is_for(people, purpose):
    study = make_study(annotators=people, reference_lists=1, repeat_percent=50)
    rows = Assignment.objects.filter(membership=assignment_of(study).membership)
    plain = rows.filter(purpose=Purpose.ANNOTATION).first()
    other = rows.filter(purpose=purpose).exclude(item=plain.item).first()
    both = Assignment.objects.filter(pk__in=(plain.pk, other.pk))
    both.update(state=State.IN_PROGRESS, opened_at=timezone.now() - timedelta(days=10))
    slots.leases_sweep()
    ended = State.EXPIRED if people > 2 else State.IN_PROGRESS
    assert list(both.values_list("state", flat=True)) == [ended, ended]
    other.refresh_from_db()
    submit(other, answer())  # as late as any
    other.refresh_from_db()
    assert (other.state, other.surplus) == (State.SUBMITTED, False)


def test_a_late_answer_takes_its_place_back_when_it_is_free():
    study = make_study(annotators=2)
    assignment = assignment_of(study)
    Assignment.objects.filter(pk=assignment.pk).update(state=State.EXPIRED)
    submit(assignment, answer())
    assignment.refresh_from_db()
    assert (assignment.state, assignment.surplus) == (State.SUBMITTED, False)


def test_active_time_is_bounded_by_the_wall_clock_and_never_shrinks(monkeypatch):
    assignment = assignment_of(make_study())
    submissions.assignment_open(assignment)
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    Assignment.objects.filter(pk=assignment.pk).update(opened_at=now - timedelta(seconds=100))
    save(assignment, {}, 0, active_seconds=60)
    save(assignment, {}, 1, active_seconds=10)
    assignment.refresh_from_db()
    assert assignment.active_seconds == 60
    save(assignment, {}, 2, active_seconds=9999)
    assignment.refresh_from_db()
    assert assignment.active_seconds == 100


@pytest.mark.parametrize("state", ["paused", "closed"])
def test_nothing_changes_in_a_study_that_is_not_open(state):
    assignment = assignment_of(make_study())
    Study.objects.update(state=state)
    with pytest.raises(NotAllowed):
        save(assignment, {}, 0)
    with pytest.raises(NotAllowed):
        submit(assignment, answer())


def test_no_list_ever_has_more_than_k_live_assignments():
    study = make_study(annotators=4, extraction=make_extraction(per_layer=4))
    for number in range(5):
        own = Assignment.objects.filter(membership__study=study, state="waiting").order_by("pk")
        skip(own[number * 2])
    for item in study.items.all():
        live = item.assignments.filter(state__in=Assignment.LIVE, surplus=False)
        assert live.count() <= study.annotators_per_list


def test_a_list_that_is_submitted_while_it_is_opened_stays_submitted():
    study = make_study()
    one_tab = assignment_of(study)
    submit(assignment_of(study), answer())  # in another tab
    submissions.assignment_open(one_tab)
    one_tab.refresh_from_db()
    assert one_tab.state == State.SUBMITTED
    assert one_tab.opened_at <= one_tab.submitted_at


def test_a_list_that_goes_to_somebody_else_while_it_is_opened_is_refused_in_a_sentence():
    study = make_study(annotators=3)
    one_tab = assignment_of(study)
    assignments_release(membership=one_tab.membership, by=study.created_by)
    with pytest.raises(NotFound, match="went to somebody else before you opened it"):
        submissions.assignment_open(one_tab)
    # The page and the API lead to what is the person's own now.
    client = client_of(one_tab.membership.user)
    answered = client.post(f"/api/work/{study.slug}/next", content_type="application/json")
    assert answered.json()["next"]["list"]["state"] == "in progress"


def test_a_script_that_saves_a_draft_without_opening_has_opened_the_list():
    assignment = assignment_of(make_study())
    save(assignment, {"annotation": None}, 0)
    assignment.refresh_from_db()
    assert assignment.state == State.IN_PROGRESS
    assert assignment.opened_at is not None


def test_an_answer_is_never_older_than_the_look_at_its_list():
    assignment = assignment_of(make_study())
    ahead = timezone.now() + timedelta(hours=1)  # the clock has been moved back since
    Assignment.objects.filter(pk=assignment.pk).update(opened_at=ahead, state=State.IN_PROGRESS)
    submit(assignment, answer(), active_seconds=90)
    assignment.refresh_from_db()
    assert (assignment.submitted_at, assignment.active_seconds) == (ahead, 0)


def test_the_answer_that_counts_already_makes_no_revision_and_no_version():
    assignment = assignment_of(make_study())
    content = answer(pattern(1, [1, 2, 3, 4]), comment="hard")
    submit(assignment, content)
    before = study_version(assignment)
    patterns = list(Pattern.objects.values_list("pk", flat=True))
    for _ in range(3):
        assert submit(assignment, content).state == State.SUBMITTED
    assignment.refresh_from_db()
    assert (assignment.version, assignment.draft_version, Revision.objects.count()) == (1, 1, 1)
    assert study_version(assignment) == before
    assert list(Pattern.objects.values_list("pk", flat=True)) == patterns
    submit(assignment, answer(pattern(1, [1, 2, 3, 5]), comment="hard"))
    assert Revision.objects.count() == 2


def test_an_answer_taken_back_to_what_counts_is_no_unsubmitted_change():
    assignment = assignment_of(make_study())
    submit(assignment, answer(pattern(1, [1, 2, 3, 4])))
    assignment.refresh_from_db()
    save(assignment, {"annotation": answer(pattern(1, [9]))}, assignment.draft_version)
    submit(assignment, answer(pattern(1, [1, 2, 3, 4])))
    assignment.refresh_from_db()
    assert (assignment.draft["annotation"]["patterns"][0]["ranks"], assignment.version) == (
        [1, 2, 3, 4], 1,
    )  # fmt: skip
    assert assignment.draft_version == 3  # other tabs see it


def test_an_equal_answer_under_newer_guidelines_is_a_new_revision():
    assignment = assignment_of(make_study())
    submit(assignment, answer())
    Guidelines.objects.create(study=assignment.item.study, version=2, text="newer")
    submit(assignment, answer())
    found = Revision.objects.order_by("version").values_list(
        "snapshot__guidelines_version", flat=True
    )
    assert list(found) == [1, 2]


def test_a_list_has_an_end_of_revisions_on_one_day_and_the_draft_stays(monkeypatch):
    monkeypatch.setattr(submissions, "MOST_REVISIONS_A_DAY", 3)
    assignment = assignment_of(make_study())
    for rank in (1, 2, 3):
        submit(assignment, answer(pattern(1, [rank])))
    assignment.refresh_from_db()
    save(assignment, {"annotation": answer(pattern(1, [4]))}, assignment.draft_version)
    with pytest.raises(Invalid, match="3 times today"):
        submit(assignment, answer(pattern(1, [4])))
    assert submit(assignment, answer(pattern(1, [3]))).version == 3  # it counts already
    assignment.refresh_from_db()
    assert Revision.objects.count() == assignment.version == 3
    assert stored_patterns(assignment)[0][-1] == [3]
    Revision.objects.update(created_at=timezone.now() - timedelta(days=1))
    assert submit(assignment, answer(pattern(1, [4]))).version == 4


def test_skips_with_ever_other_reasons_have_the_same_end(monkeypatch):
    monkeypatch.setattr(submissions, "MOST_REVISIONS_A_DAY", 2)
    assignment = assignment_of(make_study())
    skip(assignment, "one")
    skip(assignment, "two")
    with pytest.raises(Invalid, match="2 times today"):
        skip(assignment, "three")
    assignment.refresh_from_db()
    assert (assignment.skip_reason, Revision.objects.count()) == ("two", 2)


def study_version(assignment) -> int:
    return data_version(assignment.item.study_id)
