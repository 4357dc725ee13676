"""People's queues in the database: references and repeats, and what becomes of them."""

import uuid
from collections import Counter

import pytest

from annotation_site.accounts.models import Role
from annotation_site.annotation.allocation.plan import REPEAT_AFTER
from annotation_site.annotation.lists.page import assignments_of, list_page, next_assignment
from annotation_site.annotation.models import Assignment, Membership
from annotation_site.annotation.people.joining import person_deactivate
from annotation_site.annotation.people.members import (
    annotator_add,
    annotator_remove,
    assignments_release,
)
from annotation_site.annotation.studies.rules import study_extend
from annotation_site.annotation.work import submissions
from tests.annotation_site.factories import (
    UserFactory,
    make_extraction,
    make_study,
    submit,
)

pytestmark = pytest.mark.django_db
State = Assignment.State
Purpose = Assignment.Purpose


def mixed_study(**changes):
    """Twelve lists for each of two people, three of them repeated, two references, one training."""
    return make_study(
        **{
            "extraction": make_extraction(per_layer=6),
            "lists_per_layer": 2,
            "repeat_percent": 25,
            "reference_lists": 2,
            "training_lists": 1,
            **changes,
        }
    )


def members_of(study):
    return list(study.memberships.filter(role=Membership.Role.ANNOTATOR).order_by("pk"))


def queue_of(member):
    return list(member.assignments.order_by("position"))


def purposes(member):
    return Counter(row.purpose for row in queue_of(member))


def check(member):
    """Every repeat has a list of its person's before it, and nothing else stands twice."""
    rows = queue_of(member)
    originals = {row.item_id: row for row in rows if row.purpose != Purpose.REPEAT}
    assert len(originals) + sum(row.purpose == Purpose.REPEAT for row in rows) == len(rows)
    repeats = [row for row in rows if row.purpose == Purpose.REPEAT]
    assert len({row.item_id for row in repeats}) == len(repeats)
    for row in repeats:
        original = originals[row.item_id]
        assert original.purpose == Purpose.ANNOTATION
        if row.state != State.EXPIRED:
            assert original.state in Assignment.LIVE
        assert original.position < row.position


def test_everybody_gets_training_references_and_repeats_of_their_own_lists():
    study = mixed_study()
    for member in members_of(study):
        assert purposes(member) == {
            Purpose.TRAINING: 1, Purpose.ANNOTATION: 12, Purpose.REFERENCE: 2, Purpose.REPEAT: 3,
        }  # fmt: skip
        assert [row.position for row in queue_of(member)] == list(range(1, 19))
        check(member)
    orders = [[row.item_id for row in queue_of(member)] for member in members_of(study)]
    assert orders[0] != orders[1]
    repeated = [
        {row.item_id for row in queue_of(member) if row.purpose == Purpose.REPEAT}
        for member in members_of(study)
    ]
    assert repeated[0] != repeated[1]


def test_the_number_of_lists_that_a_person_reads_holds_everything():
    study = mixed_study()
    member = members_of(study)[0]
    first, last = queue_of(member)[0], queue_of(member)[-1]
    for row, position in ((first, 1), (last, 18)):
        page = list_page(assignments_of(member.user).get(pk=row.pk))
        assert (page["list"]["position"], page["list"]["total"]) == (position, 18)


def test_a_skipped_list_is_not_shown_again_and_the_queue_stays_as_long():
    study = mixed_study(annotators=3)
    member = members_of(study)[0]
    before = queue_of(member)
    repeat = next(row for row in before if row.purpose == Purpose.REPEAT)
    original = member.assignments.get(item=repeat.item_id, purpose=Purpose.ANNOTATION)
    submissions.assignment_skip(
        user=member.user, public_id=original.public_id, base_version=0, key=uuid.uuid4(),
        reason="Offensive or upsetting words",
    )  # fmt: skip
    moved = Assignment.objects.get(pk=repeat.pk)
    assert moved.item_id != original.item_id
    assert (moved.position, moved.public_id) == (repeat.position, repeat.public_id)
    assert len(queue_of(member)) >= len(before)  # a freed place may have come back as another list
    check(member)
    shown = member.assignments.get(item=moved.item_id, purpose=Purpose.ANNOTATION)
    others = {row.item_id for row in queue_of(member) if row.purpose == Purpose.REPEAT}
    others.discard(moved.item_id)
    assert moved.position - shown.position >= REPEAT_AFTER or shown.position == min(
        row.position
        for row in queue_of(member)
        if row.purpose == Purpose.ANNOTATION
        and row.state in Assignment.LIVE
        and row.item_id not in others
    )


def test_skipping_everything_else_leaves_no_repeat_without_its_list():
    study = mixed_study(annotators=3)
    member = members_of(study)[0]
    while (following := next_assignment(member.pk)) is not None:
        check(member)
        if following.purpose == Purpose.ANNOTATION and following.position % 4:
            submissions.assignment_skip(
                user=member.user, public_id=following.public_id, base_version=0, key=uuid.uuid4(),
                reason="x",
            )  # fmt: skip
        else:
            submit(following)
    check(member)


def test_a_skipped_reference_or_repeat_frees_no_place_and_comes_back_without_surplus():
    study = mixed_study()
    member = members_of(study)[0]
    count = Assignment.objects.count()
    for purpose in (Purpose.REFERENCE, Purpose.REPEAT, Purpose.TRAINING):
        row = member.assignments.filter(purpose=purpose).first()
        submissions.assignment_skip(
            user=member.user, public_id=row.public_id, base_version=0, key=uuid.uuid4(), reason="x"
        )
        assert Assignment.objects.count() == count
        assert not submit(row).surplus


def test_more_lists_bring_more_repeats_and_move_nothing():
    study = mixed_study()
    before = {row.pk: (row.item_id, row.position) for row in Assignment.objects.all()}
    submit(queue_of(members_of(study)[0])[0])
    assert study_extend(study=study, lists_per_layer=4) == 12
    for member in members_of(study):
        assert purposes(member) == {
            Purpose.TRAINING: 1, Purpose.ANNOTATION: 24, Purpose.REFERENCE: 2, Purpose.REPEAT: 6,
        }  # fmt: skip
        check(member)
    after = {row.pk: (row.item_id, row.position) for row in Assignment.objects.all()}
    assert after.items() >= before.items()


def test_a_newcomer_takes_over_released_lists_with_references_and_repeats():
    study = mixed_study()
    first, second = members_of(study)
    late = annotator_add(study=study, user=UserFactory())
    assert not late.assignments.exists()
    assert assignments_release(membership=first, by=first.user) == 12
    assert purposes(late) == {
        Purpose.TRAINING: 1, Purpose.ANNOTATION: 12, Purpose.REFERENCE: 2, Purpose.REPEAT: 3,
    }  # fmt: skip
    check(late)
    check(second)
    # Training stays with the first, who knows what it is.
    left = first.assignments.filter(state=State.WAITING).values_list("purpose", flat=True)
    assert Counter(left) == {Purpose.TRAINING: 1}


def test_somebody_who_was_taken_out_and_comes_back_has_their_queue_again():
    study = mixed_study()
    member = members_of(study)[0]
    before = [(row.pk, row.item_id, row.state) for row in queue_of(member)]
    annotator_remove(membership=member, by=member.user)
    assert set(member.assignments.values_list("state", flat=True)) == {State.EXPIRED}
    annotator_add(study=study, user=member.user)
    assert [(row.pk, row.item_id, row.state) for row in queue_of(member)] == before


def test_a_repeat_is_an_answer_of_its_own():
    study = mixed_study()
    member = members_of(study)[0]
    repeat = next(row for row in queue_of(member) if row.purpose == Purpose.REPEAT)
    original = member.assignments.get(item=repeat.item_id, purpose=Purpose.ANNOTATION)
    submit(original)
    page = list_page(assignments_of(member.user).get(pk=repeat.pk))
    assert page["draft"] == {"version": 0, "content": None}
    submit(repeat)
    original.refresh_from_db()
    assert original.version == 1


def test_every_list_of_the_study_goes_to_k_people_whatever_stands_between():
    study = mixed_study(annotators=3)
    places = Assignment.objects.filter(purpose=Purpose.ANNOTATION).values_list("item", flat=True)
    assert Counter(places) == dict.fromkeys(
        study.items.filter(use="study").values_list("pk", flat=True), 2
    )
    loads = [purposes(member)[Purpose.ANNOTATION] for member in members_of(study)]
    assert max(loads) - min(loads) <= 1


@pytest.mark.parametrize("way", ["release", "deactivate"])
def test_released_lists_leave_nothing_that_tells_what_they_were(way):
    study = mixed_study(annotators=3)
    first = members_of(study)[0]
    begun = next(row for row in queue_of(first) if row.purpose == Purpose.ANNOTATION)
    submissions.assignment_open(begun)
    length = first.assignments.count()
    if way == "release":
        assignments_release(membership=first, by=study.created_by)
    else:
        person_deactivate(person=first.user, by=UserFactory(role=Role.ADMIN))
    left = [row for row in queue_of(first) if row.state in Assignment.UNFINISHED]
    assert {row.purpose for row in left} == {Purpose.TRAINING, Purpose.ANNOTATION}
    assert first.assignments.count() == length  # a shorter queue would tell how many there were


def test_references_that_went_with_released_lists_come_with_the_next_ones():
    study = mixed_study()
    first = members_of(study)[0]
    assignments_release(membership=first, by=study.created_by)
    last = queue_of(first)[-1].position
    study_extend(study=study, lists_per_layer=3)
    new = [row for row in queue_of(first) if row.position > last]
    assert Counter(row.purpose for row in new) == {
        Purpose.ANNOTATION: 6, Purpose.REFERENCE: 2, Purpose.REPEAT: 2,
    }  # fmt: skip
    assert all(row.state == State.WAITING for row in new)
    study_extend(study=study, lists_per_layer=4)
    assert purposes(first)[Purpose.REFERENCE] == 2
    check(first)
