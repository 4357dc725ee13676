"""Studies are made whole or not at all, and opened by one allocation."""

import pytest

from annotation_site.accounts.models import Role
from annotation_site.annotation import members, studies
from annotation_site.annotation.models import Assignment, Item, Membership, Study
from annotation_site.annotation.plans import StudyPlan
from annotation_site.errors import Invalid, NotAllowed
from tests.annotation_site.factories import UserFactory, make_extraction, make_study

pytestmark = pytest.mark.django_db


def plan(**changes):
    return StudyPlan(
        **{
            "title": "A study",
            "extractions": [changes.pop("extraction", None) or make_extraction()],
            "annotators": UserFactory.create_batch(2),
            **changes,
        }
    )


def test_a_study_draws_lists_per_kind_and_layer():
    study = studies.study_create(
        plan=plan(extraction=make_extraction(per_layer=5), lists_per_layer=3, kinds=("value",)),
        created_by=UserFactory(role=Role.RESEARCHER),
    )
    assert study.state == Study.State.DRAFT
    drawn = Item.objects.values_list("vector__kind", "vector__layer")
    assert sorted(drawn) == [("value", 0)] * 3 + [("value", 1)] * 3
    assert study.guidelines.get().version == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"title": "  "}, "title"),
        ({"annotators_per_list": 3}, "only 2 are chosen"),
        ({"annotators_per_list": 0}, "People per list: choose a number from 1"),
        ({"categories": ()}, "at least one category"),
        ({"categories": ("semantic", "lists")}, "semantic, syntactic, names"),
        ({"kinds": ()}, "at least one kind"),
        ({"extractions": []}, "at least one extraction"),
        ({"categories": ("semantic", "names")}, "whole words"),
        ({"training_pass_percent": 70}, "no training list"),
        ({"title": "x" * 201}, "Shorten"),
        ({"seed": -1}, "The seed"),
    ],
)
def test_a_plan_that_cannot_work_is_refused_and_leaves_nothing(changes, sentence):
    with pytest.raises(Invalid, match=sentence):
        studies.study_create(plan=plan(**changes), created_by=UserFactory())
    assert Study.objects.count() == 0


def test_two_studies_of_one_title_get_two_addresses():
    assert make_study(title="New").slug == "new-2"  # /studies/new/ is the form
    assert make_study(title="New").slug == "new-3"


def test_a_title_in_another_script_gets_an_address():
    assert make_study(title="概念研究").slug == "study"


def test_opening_gives_every_list_to_k_people():
    study = make_study(annotators=3)
    assert study.state == Study.State.OPEN
    for item in study.items.all():
        assert item.assignments.values("membership").distinct().count() == 2


def test_opening_again_gives_out_nothing_twice():
    study = make_study()
    before = Assignment.objects.count()
    studies.study_state_change(study=study, state="paused")
    studies.study_state_change(study=study, state="open")
    assert Assignment.objects.count() == before


def test_an_added_annotator_takes_free_places_and_moves_nothing():
    study = make_study(annotators=1, annotators_per_list=1)
    Study.objects.update(annotators_per_list=2)
    before = list(Assignment.objects.values_list("pk", "position").order_by("pk"))
    members.annotator_add(study=study, user=UserFactory())
    now = list(Assignment.objects.values_list("pk", "position").order_by("pk"))
    assert now[: len(before)] == before
    assert len(now) == 2 * len(before)


def test_people_who_know_where_lists_come_from_do_not_annotate():
    study = make_study()
    runs_it = study.memberships.get(role=Membership.Role.RESEARCHER).user
    for person in (runs_it, UserFactory(role=Role.ADMIN)):
        with pytest.raises(NotAllowed):
            members.annotator_add(study=study, user=person)


def test_a_study_changes_state_only_along_sensible_ways():
    study = make_study()
    for state in ("draft", "archived", "nonsense", ""):
        with pytest.raises(Invalid):
            studies.study_state_change(study=study, state=state)
