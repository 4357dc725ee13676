"""Studies are made whole or not at all, and opened by one allocation."""

import pytest
from django.db.models import Count

from annotation_site.accounts.models import AuditEntry, Role
from annotation_site.annotation.models import Assignment, Item, Membership, Study
from annotation_site.annotation.people import members
from annotation_site.annotation.studies import services as studies
from annotation_site.annotation.studies.plans import StudyPlan
from annotation_site.corpus.services import extraction_delete
from annotation_site.errors import Invalid, NotAllowed, NotFound
from tests.annotation_site.factories import (
    LanguageModelFactory,
    UserFactory,
    assignment_of,
    client_of,
    make_extraction,
    make_study,
)

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
        ({"annotators_per_list": 3}, "Annotators chosen: 2"),
        ({"annotators_per_list": 0}, "Annotators per list: choose a number from 1"),
        ({"categories": ()}, "at least one category"),
        ({"categories": ("semantic", "lists")}, "semantic, syntactic, names"),
        ({"kinds": ()}, "at least one kind"),
        ({"extractions": []}, "at least one model"),
        ({"categories": ("semantic", "names")}, "whole words"),
        ({"training_pass_percent": 70}, "no training list"),
        ({"title": "x" * 201}, "Shorten"),
        ({"seed": -1}, "Seed: choose"),
    ],
)
def test_a_plan_that_cannot_work_is_refused_and_leaves_nothing(changes, sentence):
    with pytest.raises(Invalid, match=sentence):
        studies.study_create(plan=plan(**changes), created_by=UserFactory())
    assert Study.objects.count() == 0


@pytest.mark.parametrize(("lengths", "most"), [((5,), 5), ((30,), 30), ((8, 12), 12)])
def test_a_minimum_that_no_list_can_reach_is_refused(lengths, most):
    extractions = [make_extraction() for _ in lengths]
    for extraction, length in zip(extractions, lengths, strict=True):
        extraction.parameters["top_k"] = length
        extraction.save()
    if most < 30:  # the largest number that a plan takes at all
        with pytest.raises(Invalid, match=f"Minimum tokens: the lists have {most} tokens"):
            studies.study_create(
                plan=plan(extractions=extractions, min_tokens=most + 1), created_by=UserFactory()
            )
    with pytest.raises(Invalid, match="Minimum tokens: choose a number from 1 to 30"):
        studies.study_create(
            plan=plan(extractions=extractions, min_tokens=31), created_by=UserFactory()
        )
    assert Study.objects.count() == 0
    study = studies.study_create(
        plan=plan(extractions=extractions, min_tokens=most), created_by=UserFactory()
    )
    assert study.min_tokens == most


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


@pytest.mark.parametrize("before", Study.State.values)
def test_a_study_changes_state_only_along_sensible_ways(before):
    study = make_study(lists_per_layer=1, pilot_lists=2)
    allowed = {
        "draft": {"pilot", "open", "archived"},
        "pilot": {"draft", "open"},
        "open": {"paused", "closed"},
        "paused": {"open", "closed"},
        "closed": {"open", "archived"},
        "archived": {"closed"},
        "deleting": set(),
    }
    for state in (*Study.State.values, "nonsense", ""):
        Study.objects.update(state=before)
        if state in allowed[before]:
            studies.study_state_change(study=study, state=state)
            study.refresh_from_db()
            assert study.state == state
        else:
            refused = NotFound if before == "deleting" else Invalid
            with pytest.raises(refused, match=r"cannot change from|has been deleted"):
                studies.study_state_change(study=study, state=state)


def test_a_change_of_state_is_in_the_log():
    study = make_study()
    studies.study_state_change(study=study, state="paused")
    entry = AuditEntry.objects.get(action="study_state_changed", details={"state": "paused"})
    assert entry.target == f"study:{study.slug}"


def test_a_draft_waits_for_its_people():
    study = studies.study_create(
        plan=plan(annotators=[]), created_by=UserFactory(role=Role.RESEARCHER)
    )
    with pytest.raises(Invalid, match="Annotators in the study: 0"):
        studies.study_open(study=study)
    study.refresh_from_db()
    assert study.state == Study.State.DRAFT
    for person in UserFactory.create_batch(2):
        members.annotator_add(study=study, user=person)
    assert not Assignment.objects.exists()
    studies.study_open(study=study)
    assert Assignment.objects.exists()


def test_making_and_opening_does_both_or_neither():
    with pytest.raises(Invalid, match="no reference annotation"):
        studies.study_create_open(
            plan=plan(training_lists=1, lists_per_layer=1),
            created_by=UserFactory(role=Role.RESEARCHER),
        )
    assert Study.objects.count() == 0


def test_names_are_a_category_of_models_with_whole_words():
    words = make_extraction(model=LanguageModelFactory(vocabulary="word"))
    categories = ("semantic", "names")
    study = make_study(extractions=[make_extraction(), words], categories=categories)
    assert study.categories == ["semantic", "names"]


def test_two_models_stand_in_one_study_and_are_shared_out_evenly():
    both = [make_extraction(per_layer=4), make_extraction(per_layer=4)]
    study = make_study(annotators=3, extractions=both, lists_per_layer=3, annotators_per_list=1)
    per_model = study.items.values_list("vector__extraction").annotate(n=Count("pk"))
    assert dict(per_model) == {extraction.pk: 18 for extraction in both}
    for person in study.memberships.filter(role="annotator"):
        own = person.assignments.values_list("item__vector__extraction").annotate(n=Count("pk"))
        assert dict(own) == {extraction.pk: 6 for extraction in both}


def test_lists_that_have_vanished_are_named_and_leave_nothing():
    extraction = make_extraction()
    gone = plan(extraction=extraction)
    extraction_delete(extraction=extraction)
    with pytest.raises(Invalid, match="has no lists, or is being deleted"):
        studies.study_create(plan=gone, created_by=UserFactory(role=Role.RESEARCHER))
    assert Study.objects.count() == 0


def test_too_few_lists_for_training_are_refused():
    with pytest.raises(Invalid, match="only 12 lists"):
        studies.study_create(
            plan=plan(training_lists=12), created_by=UserFactory(role=Role.RESEARCHER)
        )
    assert Study.objects.count() == 0


HTML = "<script>alert(1)</script> =HYPERLINK(0) {{ 7|add:7 }}"


def test_html_and_formulas_stay_text_wherever_they_are_shown():
    researcher = UserFactory(role=Role.RESEARCHER)
    study = make_study(
        title=HTML, guidelines=HTML, consent=HTML, researcher=researcher,
        people=UserFactory.create_batch(2),
    )  # fmt: skip
    Membership.objects.update(consent_version=None)
    annotator = client_of(assignment_of(study).membership.user)
    runs_it = client_of(researcher)
    own = f"/studies/{study.slug}/"
    pages = [
        annotator.get("/"), annotator.get(own), annotator.get(f"{own}consent/"),
        runs_it.get("/"), runs_it.get(f"{own}rules/"), runs_it.get(f"{own}people/"),
        runs_it.get(f"{own}texts/"),
    ]  # fmt: skip
    for response in pages:
        page = response.content.decode()
        assert response.status_code == 200
        assert "<script>alert" not in page
        assert "{{ 7|add:7 }}" in page
    assert "&lt;script&gt;" in pages[0].content.decode()


def test_a_category_is_one_of_those_that_are_known():
    with pytest.raises(Invalid, match="among the categories"):
        studies.study_create(
            plan=plan(categories=("<b>bold</b>",)), created_by=UserFactory(role=Role.RESEARCHER)
        )
