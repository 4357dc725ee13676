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
    client_of,
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
    assert purposes(member)[Purpose.REPEAT] == Counter(r.purpose for r in before)[Purpose.REPEAT]
    assert not member.assignments.filter(item=original.item_id, purpose=Purpose.REPEAT).exists()
    assert len(queue_of(member)) >= len(before)
    check(member)
    shown = [(row.item_id, row.purpose) for row in queue_of(member)]
    for at, (item, of) in enumerate(shown):
        if of == Purpose.REPEAT:
            is_at_the_end = {later for _, later in shown[at:]} == {Purpose.REPEAT}
            assert at - shown.index((item, Purpose.ANNOTATION)) >= REPEAT_AFTER or is_at_the_end


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


def order_of(member, rows):
    """The order in which these stand in the queue by now."""
    entries = [(row.item_id, row.purpose) for row in rows]
    return [entry for row in queue_of(member) if (entry := (row.item_id, row.purpose)) in entries]


def test_more_lists_bring_more_repeats_and_leave_everybodys_order():
    study = mixed_study()
    before = {member: queue_of(member) for member in members_of(study)}
    submit(before[members_of(study)[0]][0])
    assert study_extend(study=study, lists_per_layer=4) == 12
    for member in members_of(study):
        assert purposes(member) == {
            Purpose.TRAINING: 1, Purpose.ANNOTATION: 24, Purpose.REFERENCE: 2, Purpose.REPEAT: 6,
        }  # fmt: skip
        check(member)
        order = [(row.item_id, row.purpose) for row in before[member]]
        assert order_of(member, before[member]) == order
        assert [row.position for row in queue_of(member)] == list(range(1, 34))


def test_a_newcomer_gets_a_share_at_once_with_training_references_and_repeats():
    study = mixed_study()
    before = {member: queue_of(member) for member in members_of(study)}
    late = annotator_add(study=study, user=UserFactory())
    for member in members_of(study):
        assert purposes(member) == {
            Purpose.TRAINING: 1, Purpose.ANNOTATION: 8, Purpose.REFERENCE: 2, Purpose.REPEAT: 2,
        }  # fmt: skip
        check(member)
        assert [row.position for row in queue_of(member)] == list(range(1, 14))
    for member, whole in before.items():
        # A repeat goes farther back where lists between it and its first showing have gone.
        rows = [row for row in whole if row.purpose != Purpose.REPEAT]
        stayed = order_of(member, rows)
        assert stayed == [e for row in rows if (e := (row.item_id, row.purpose)) in stayed]
    kinds = Counter(row.item.vector.kind for row in late.assignments.filter(purpose="annotation"))
    assert max(kinds.values()) - min(kinds.values()) <= 1


def test_what_goes_and_comes_back_stands_where_it_stood():
    study = mixed_study(repeat_percent=0)
    order = [(row.item_id, row.position) for row in queue_of(members_of(study)[0])]
    late = annotator_add(study=study, user=UserFactory())
    annotator_remove(membership=late, by=study.created_by)
    assert [(row.item_id, row.position) for row in queue_of(members_of(study)[0])] == order


def test_a_list_that_comes_late_stands_behind_what_was_opened():
    study = mixed_study(training_lists=0, repeat_percent=0)
    member, other = members_of(study)
    annotator_remove(membership=other, by=study.created_by)
    for row in queue_of(member)[:6]:
        submissions.assignment_open(row)
    opened = [row.pk for row in queue_of(member)[:6]]
    study_extend(study=study, lists_per_layer=4)
    rows = queue_of(member)
    assert [row.pk for row in rows[:6]] == opened
    assert [row.position for row in rows] == list(range(1, len(rows) + 1))
    assert {row.state for row in rows[6:]} == {State.WAITING}


def test_somebody_who_was_taken_out_and_comes_back_has_their_queue_again():
    study = mixed_study(repeat_percent=0)
    member = members_of(study)[0]
    before = [(row.item_id, row.purpose, row.position, row.state) for row in queue_of(member)]
    annotator_remove(membership=member, by=member.user)
    assert purposes(member) == {Purpose.TRAINING: 1}
    assert set(member.assignments.values_list("state", flat=True)) == {State.EXPIRED}
    annotator_add(study=study, user=member.user)
    after = [(row.item_id, row.purpose, row.position, row.state) for row in queue_of(member)]
    assert after == before


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
    if way == "release":
        assignments_release(membership=first, by=study.created_by)
    else:
        person_deactivate(person=first.user, by=UserFactory(role=Role.ADMIN))
    left = [row for row in queue_of(first) if row.state in Assignment.UNFINISHED]
    assert [row.purpose for row in left] == [Purpose.TRAINING, Purpose.ANNOTATION]


def test_somebody_who_was_released_and_comes_back_gets_a_share_with_references_and_repeats():
    study = mixed_study()
    first, second = members_of(study)
    assert assignments_release(membership=first, by=study.created_by) == 12
    assert assignments_release(membership=first, by=study.created_by) == 0
    study_extend(study=study, lists_per_layer=3)  # while they are away, others get more
    assert purposes(first) == {Purpose.TRAINING: 1}
    assert purposes(second)[Purpose.ANNOTATION] == 18
    response = client_of(first.user).get(f"/studies/{study.slug}/next/")
    assert response["Location"].startswith("/lists/")
    assert purposes(first) == {
        Purpose.TRAINING: 1, Purpose.ANNOTATION: 18, Purpose.REFERENCE: 2, Purpose.REPEAT: 5,
    }  # fmt: skip
    check(first)
