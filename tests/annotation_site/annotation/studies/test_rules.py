"""A study's rules change until answers count; then it can still grow, and be copied."""

from dataclasses import replace

import pytest

from annotation_site.accounts.models import AuditEntry, Role
from annotation_site.annotation.models import Assignment, Item, Study
from annotation_site.annotation.people import members
from annotation_site.annotation.studies import rules
from annotation_site.annotation.studies import services as studies
from annotation_site.annotation.studies.plans import plan_of
from annotation_site.errors import Invalid
from tests.annotation_site.annotation.answering import save, skip, submit
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    assignment_of,
    make_draft,
    make_extraction,
    make_study,
    pattern,
)

pytestmark = pytest.mark.django_db


def vectors(study: Study) -> set[int]:
    return set(study.items.filter(use=Item.Use.STUDY).values_list("vector_id", flat=True))


def change(study: Study, **changes):
    study.refresh_from_db()
    return rules.study_change(study=study, plan=replace(plan_of(study), **changes))


def test_a_draft_takes_any_other_rules_and_draws_its_lists_anew():
    other = make_extraction(per_layer=5)
    study = make_draft(extraction=make_extraction(per_layer=5), lists_per_layer=2)
    changed = change(
        study, title="Renamed", extractions=[other], kinds=["value"], lists_per_layer=3,
        annotators_per_list=1, categories=["semantic"], min_tokens=5, seed=9, lease_hours=5,
        training_lists=2, pilot_lists=1, repeat_percent=10, several_patterns_per_token=True,
    )  # fmt: skip
    study.refresh_from_db()
    assert len(changed) == 13
    assert (study.title, study.seed, study.lease_hours) == ("Renamed", 9, 5)
    as_new = make_draft(
        extraction=other, kinds=["value"], lists_per_layer=3, seed=9, training_lists=2,
        pilot_lists=1, annotators_per_list=1,
    )  # fmt: skip
    for use in Item.Use.values:
        drawn = [
            list(s.items.filter(use=use).order_by("vector").values_list("vector_id", flat=True))
            for s in (study, as_new)
        ]
        assert drawn[0] == drawn[1], use


def test_a_change_that_asks_for_the_same_lists_moves_nothing():
    study = make_study()
    before = list(Assignment.objects.order_by("pk").values_list("pk", "public_id", "position"))
    assert change(study, title="Renamed", min_tokens=5) == ["title", "min_tokens"]
    now = list(Assignment.objects.order_by("pk").values_list("pk", "public_id", "position"))
    assert now == before
    assert change(study) == []


def test_an_open_study_without_answers_gives_its_new_lists_out():
    study = make_study(annotators=3, extraction=make_extraction(per_layer=4), lists_per_layer=2)
    change(study, annotators_per_list=3, lists_per_layer=3)
    assert study.items.count() == 18
    for item in study.items.all():
        assert item.assignments.filter(purpose="annotation").count() == 3


def test_the_first_answer_that_counts_fixes_the_rules_but_not_the_title():
    study = make_study()
    skip(assignment_of(study))
    change(study, min_tokens=5)
    submit(assignment_of(study, position=2), answer())
    for name, value in (
        ("min_tokens", 6), ("categories", ["semantic"]), ("seed", 1), ("annotators_per_list", 1),
        ("lists_per_layer", 1), ("kinds", ["value"]), ("several_patterns_per_token", True),
        ("repeat_percent", 50), ("extractions", [make_extraction()]),
    ):  # fmt: skip
        with pytest.raises(Invalid, match="Duplicate the study"):
            change(study, **{name: value})
    assert change(study, title="Renamed", lease_hours=1) == ["title", "lease_hours"]


def test_a_pilot_s_answers_fix_no_rules_and_stay():
    study = make_draft(extraction=make_extraction(per_layer=4), pilot_lists=3, lists_per_layer=2)
    study.memberships.update(consent_version=0)
    studies.study_state_change(study=study, state="pilot")
    done = assignment_of(study)
    submit(done, answer(pattern(1, [1, 2, 3, 4])))
    studies.study_state_change(study=study, state="draft")
    change(study, seed=5, lists_per_layer=3)
    done.refresh_from_db()
    assert (done.state, done.item.use) == ("submitted", "pilot")
    assert study.items.filter(use="pilot").count() == 3
    with pytest.raises(Invalid, match="Lists for the pilot: 1 have been begun"):
        change(study, pilot_lists=0)


def test_nobody_loses_a_list_that_they_have_begun():
    study = make_study(lists_per_layer=1)
    begun = assignment_of(study)
    begun.item.vector.refresh_from_db()
    Assignment.objects.filter(pk=begun.pk).update(state="in progress", opened_at=study.created_at)
    save(begun, {"annotation": "half"}, 0)
    kinds = {"value", "random", "update"} - {begun.item.vector.kind}
    with pytest.raises(Invalid, match="People have begun lists"):
        change(study, kinds=sorted(kinds))
    change(study, seed=77)
    begun.refresh_from_db()
    assert (begun.state, begun.draft) == ("in progress", {"annotation": "half"})


def test_what_people_agreed_to_does_not_change():
    study = make_study()
    study.memberships.filter(role="annotator").update(consented_at=study.created_at)
    with pytest.raises(Invalid, match="People have agreed to"):
        change(study, on_withdrawal="remove")


def test_rules_that_cannot_work_change_nothing():
    study = make_draft()
    before = plan_of(study)
    for changes in ({"kinds": []}, {"training_lists": 50}, {"categories": ["names"]}):
        with pytest.raises(Invalid):
            change(study, **changes)
    assert plan_of(study) == before


def test_an_extended_study_is_the_larger_one_and_touches_nothing_that_exists():
    extraction = make_extraction(per_layer=8)
    study = make_study(
        annotators=3, extraction=extraction, lists_per_layer=2, training_lists=2, pilot_lists=2
    )
    submit(Assignment.objects.filter(purpose="annotation").first(), answer())

    def queues():
        rows = Assignment.objects.order_by("membership", "position")
        return list(rows.values_list("pk", "membership", "state"))

    before = queues()
    assert rules.study_extend(study=study, lists_per_layer=4) == 12
    assert [row for row in queues() if row in before] == before  # in the same order
    at_once = make_draft(extraction=extraction, lists_per_layer=4, training_lists=2, pilot_lists=2)
    assert vectors(study) == vectors(at_once)
    for item in study.items.filter(use=Item.Use.STUDY):
        assert item.assignments.filter(purpose="annotation").count() == 2


def test_an_extension_leaves_lists_of_other_uses_alone():
    study = make_study(
        extraction=make_extraction(per_layer=3), lists_per_layer=1, reference_lists=6
    )
    assert rules.study_extend(study=study, lists_per_layer=3) == 6
    assert study.items.filter(use=Item.Use.REFERENCE).count() == 6
    assert study.items.count() == 18


@pytest.mark.parametrize(
    ("number", "sentence"),
    [(2, "larger number"), (0, "choose a number"), (9, "every list of its kinds already")],
)
def test_an_extension_that_adds_nothing_is_refused(number, sentence):
    study = make_study(lists_per_layer=2)
    with pytest.raises(Invalid, match=sentence):
        rules.study_extend(study=study, lists_per_layer=number)
    study.refresh_from_db()
    assert study.lists_per_layer == 2


def test_lists_added_to_a_closed_study_are_given_out_when_it_opens_again():
    study = make_study(extraction=make_extraction(per_layer=4), lists_per_layer=2)
    studies.study_state_change(study=study, state="closed")
    rules.study_extend(study=study, lists_per_layer=3)
    assert not Assignment.objects.filter(item__in=study.items.order_by("-pk")[:6]).exists()
    studies.study_state_change(study=study, state="open")
    assert Assignment.objects.filter(item__in=study.items.order_by("-pk")[:6]).count() == 12


def test_a_copy_is_a_new_draft_with_the_same_rules_texts_and_people():
    study = make_study(
        annotators=3, consent="Do you agree?", guidelines="Read **well**.", repeat_percent=20,
        training_lists=1, lists_per_layer=1, pilot_lists=1, seed=5,
    )  # fmt: skip
    gone, out, stays = study.memberships.filter(role="annotator").order_by("pk")
    gone.withdrawn_at = study.created_at
    gone.save()
    members.annotator_remove(membership=out, by=study.created_by)
    second = UserFactory(role=Role.RESEARCHER)
    study.memberships.create(user=second, role="researcher")
    copy = rules.study_duplicate(study=study, title="Another", by=study.created_by)
    assert copy.state == Study.State.DRAFT
    assert copy.order_key != study.order_key
    assert replace(plan_of(copy), title=study.title) == plan_of(study)
    assert vectors(copy) == vectors(study)
    people = set(copy.memberships.values_list("user", "role"))
    assert people == {
        (study.created_by_id, "researcher"), (second.pk, "researcher"), (stays.user_id, "annotator")
    }  # fmt: skip
    assert not Assignment.objects.filter(item__study=copy).exists()
    entry = AuditEntry.objects.get(action="study_created", target=f"study:{copy.slug}")
    assert entry.details == {"copy_of": study.slug}


def test_a_copy_needs_a_title():
    study = make_study()
    with pytest.raises(Invalid, match="title"):
        rules.study_duplicate(study=study, title=" ", by=study.created_by)
    assert Study.objects.count() == 1
