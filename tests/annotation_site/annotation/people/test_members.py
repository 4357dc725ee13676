"""Annotators come, go and give lists back; surplus answers wait for places that become free."""

from datetime import timedelta

import pytest
from django.db.models import Count
from django.utils import timezone

from annotation_site.accounts.models import AuditEntry, Role
from annotation_site.annotation.allocation import slots
from annotation_site.annotation.models import Assignment, Membership, Study
from annotation_site.annotation.people import consent, members
from annotation_site.annotation.people import joining as people
from annotation_site.annotation.review import training
from annotation_site.errors import Invalid, NotAllowed
from annotation_site.results.snapshots.versions import data_version
from tests.annotation_site.annotation.answering import skip, submit
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    assignment_of,
    make_extraction,
    make_study,
)

pytestmark = pytest.mark.django_db
State = Assignment.State


def busy_study(**changes):
    """A study of three people; the first has one list open and one submitted."""
    study = make_study(annotators=3, extraction=make_extraction(per_layer=4), **changes)
    first = study.memberships.filter(role="annotator").order_by("pk")[0]
    own = list(first.assignments.order_by("position")[:2])
    Assignment.objects.filter(pk=own[0].pk).update(
        state=State.IN_PROGRESS, opened_at=study.created_at
    )
    submit(own[1], answer())
    return study, first


def live_per_list(study):
    rows = slots.slots_held(study.items.all()).values("item").annotate(n=Count("pk"))
    return set(rows.values_list("n", flat=True))


def test_released_lists_go_to_the_others_and_what_was_opened_stays():
    study, first = busy_study()
    waiting = first.assignments.filter(state=State.WAITING).count()
    assert members.assignments_release(membership=first, by=study.created_by) == waiting
    states = first.assignments.values_list("state").annotate(n=Count("pk"))
    assert dict(states) == {State.IN_PROGRESS: 1, State.SUBMITTED: 1}
    assert live_per_list(study) == {2}
    entry = AuditEntry.objects.get(action="lists_released")
    assert entry.details == {"person": str(first.user.public_id), "lists": waiting}
    assert members.assignments_release(membership=first, by=study.created_by) == 0


def test_lists_that_nobody_else_can_take_wait_for_somebody_who_joins():
    study = make_study(annotators=2)
    first = assignment_of(study).membership
    freed = members.assignments_release(membership=first, by=study.created_by)
    assert live_per_list(study) == {1}
    joined = members.annotator_add(study=study, user=UserFactory())
    assert joined.assignments.count() == freed
    assert live_per_list(study) == {2}


def test_somebody_who_is_taken_out_gets_no_more_lists_and_keeps_what_was_begun():
    study, first = busy_study()
    members.annotator_remove(membership=first, by=study.created_by)
    assert live_per_list(study) == {2}
    left = first.assignments.exclude(state=State.EXPIRED)
    assert sorted(left.values_list("state", flat=True)) == [State.IN_PROGRESS, State.SUBMITTED]
    submit(left.get(state=State.IN_PROGRESS), answer())
    skip(Assignment.objects.filter(state=State.WAITING).exclude(membership=first).first())
    assert not first.assignments.filter(state=State.WAITING).exists()
    assert members.annotator_remove(membership=first, by=study.created_by) == 0


def test_somebody_who_is_added_again_gets_back_what_went_to_nobody():
    study = make_study(annotators=2, training_lists=1, lists_per_layer=1)
    first = assignment_of(study).membership
    before = first.assignments.filter(state=State.WAITING).count()
    members.annotator_remove(membership=first, by=study.created_by)
    assert not first.assignments.filter(state=State.WAITING).exists()
    members.annotator_add(study=study, user=first.user)
    assert first.assignments.filter(state=State.WAITING).count() == before
    assert live_per_list(study) == {2}


def test_somebody_who_was_let_in_and_is_added_again_gets_no_training_back():
    study = make_study(annotators=2, training_lists=1, training_pass_percent=50, lists_per_layer=1)
    first = assignment_of(study).membership
    training.training_waive(membership=first, by=study.created_by)
    members.annotator_remove(membership=first, by=study.created_by)
    first.refresh_from_db()
    members.annotator_add(study=study, user=first.user)
    waiting = first.assignments.filter(state=State.WAITING)
    assert set(waiting.values_list("purpose", flat=True)) == {"annotation"}


def test_nobody_joins_twice_or_after_withdrawing_or_unblinded():
    study, first = busy_study()
    assert members.annotator_add(study=study, user=first.user).pk == first.pk
    consent.study_withdraw(membership=first)
    with pytest.raises(Invalid, match="cannot be added again"):
        members.annotator_add(study=study, user=first.user)
    with pytest.raises(NotAllowed, match="sees where lists come from"):
        members.annotator_add(study=study, user=study.created_by)


def test_a_team_that_may_annotate_does():
    study = make_study(team_may_annotate=True)
    joined = members.annotator_add(study=study, user=study.created_by)
    assert joined.role == Membership.Role.ANNOTATOR


def with_surplus(people=4):
    """A list with k answers to come, one of them begun, and two surplus ones, the older first."""
    study = make_study(annotators=people, lists_per_layer=1)
    item = study.items.order_by("pk").first()
    live = list(item.assignments.order_by("pk"))
    Assignment.objects.filter(pk=live[1].pk).update(
        state=State.IN_PROGRESS, opened_at=timezone.now()
    )
    others = study.memberships.filter(role="annotator").exclude(assignments__item=item)
    surplus = [
        Assignment.objects.create(
            item=item, membership=person, position=900 + n, state=State.SUBMITTED, surplus=True,
            version=1, submitted_at=timezone.now() - timedelta(hours=9 - n),
        )
        for n, person in enumerate(others)
    ]  # fmt: skip
    return study, live, surplus


@pytest.mark.parametrize("way", ["skip", "release", "withdraw", "join", "lease"])
def test_a_slot_that_nobody_has_opened_goes_to_the_oldest_surplus_annotation(way):
    study, live, surplus = with_surplus()
    before = data_version(study.pk)
    if way == "skip":
        skip(live[0])
    elif way == "release":
        members.assignments_release(membership=live[0].membership, by=study.created_by)
    elif way == "withdraw":
        consent.study_withdraw(membership=live[0].membership)
    elif way == "join":
        members.annotator_add(study=study, user=UserFactory())
    else:
        Assignment.objects.filter(pk=live[0].pk).update(
            state=State.IN_PROGRESS, opened_at=timezone.now() - timedelta(days=30)
        )
        members.annotator_add(study=study, user=UserFactory())  # who could take it
        slots.leases_sweep()
    for row in surplus:
        row.refresh_from_db()
    assert [row.surplus for row in surplus] == [False, True]
    assert not live[0].item.assignments.filter(state=State.WAITING).exists()
    assert live_per_list(study) == {2}
    assert data_version(study.pk) > before


@pytest.mark.parametrize("state", ["paused", "closed", "archived"])
@pytest.mark.parametrize("way", ["release", "remove", "withdraw", "deactivate"])
def test_a_place_that_becomes_free_while_nobody_works_goes_to_a_surplus_answer(state, way):
    study, live, surplus = with_surplus()
    Study.objects.filter(pk=study.pk).update(state=state)
    before, given = data_version(study.pk), set(Assignment.objects.values_list("pk", flat=True))
    leaver = live[0].membership
    if way == "release":
        members.assignments_release(membership=leaver, by=study.created_by)
    elif way == "remove":
        members.annotator_remove(membership=leaver, by=study.created_by)
    elif way == "withdraw":
        consent.study_withdraw(membership=leaver)
    else:
        people.person_deactivate(person=leaver.user, by=UserFactory(role=Role.ADMIN))
    for row in surplus:
        row.refresh_from_db()
    assert [row.surplus for row in surplus] == [False, True]
    assert live_per_list(study) <= {1, 2}
    now = set(Assignment.objects.values_list("pk", flat=True))
    assert now <= given  # nobody is asked for anything
    assert data_version(study.pk) > before
    study.refresh_from_db()
    assert study.removals == 0  # no answer has gone, so no file goes


def test_a_surplus_annotation_stays_surplus_while_every_slot_is_opened():
    study, live, surplus = with_surplus()
    Assignment.objects.filter(pk=live[0].pk).update(
        state=State.IN_PROGRESS, opened_at=timezone.now()
    )
    slots.slots_share(study=study)
    assert all(Assignment.objects.get(pk=row.pk).surplus for row in surplus)
