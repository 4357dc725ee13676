"""Studies whose lists are drawn from a set of vectors."""

import re
from dataclasses import replace

import pytest

from annotation_site.accounts.models import Role
from annotation_site.annotation.models import Membership, Study
from annotation_site.annotation.studies.of_sets import drawn_from
from annotation_site.annotation.studies.plans import StudyPlan, plan_of
from annotation_site.annotation.studies.previews import study_preview
from annotation_site.annotation.studies.rules import (
    study_change,
    study_duplicate,
    study_extend,
)
from annotation_site.annotation.studies.services import study_create
from annotation_site.corpus.models import VectorSet
from annotation_site.errors import Invalid, NotAllowed
from annotation_site.results.files.methods_paragraph import methods_paragraph
from annotation_site.results.snapshots.computation import populations_of
from annotation_site.results.snapshots.services import snapshot_refresh_now
from tests.annotation_site.factories import (
    UserFactory,
    client_of,
    make_extraction,
    make_study,
    make_vector_set,
    text_of,
)

pytestmark = pytest.mark.django_db
PLACES = [[0, 1], [0, 3], [2, 0]]


@pytest.fixture
def person():
    return UserFactory(role=Role.RESEARCHER)


@pytest.fixture
def extraction():
    return make_extraction(layers=3, per_layer=4, kinds=("value", "random", "key"))


@pytest.fixture
def chosen(extraction):
    return make_vector_set(extraction.model, title="Some", members=PLACES)


def plan(extraction, chosen, **changes):
    return StudyPlan(
        title="Of a set", extractions=[extraction], kinds=("value", "random"), lists_per_layer=3,
        drawn_from=drawn_from(chosen), **changes,
    )  # fmt: skip


def places(study, kind):
    vectors = study.items.filter(vector__kind=kind).order_by("vector__layer", "vector__index")
    return [list(one) for one in vectors.values_list("vector__layer", "vector__index")]


def test_values_are_those_of_the_set_and_random_vectors_as_ever(extraction, chosen, person):
    study = study_create(plan=plan(extraction, chosen), created_by=person)
    assert places(study, "value") == PLACES
    without = study_create(
        plan=replace(plan(extraction, chosen), title="Of all", drawn_from=None), created_by=person
    )
    assert places(study, "random") == places(without, "random")
    assert len(places(study, "random")) == 9
    assert len(places(without, "value")) == 9


def test_results_speak_of_the_vectors_of_the_set_alone(extraction, chosen, person):
    study = study_create(plan=plan(extraction, chosen), created_by=person)
    sizes = populations_of(study).sizes
    assert {where[1:]: size for where, size in sizes.items()} == {("value", 0): 2, ("value", 2): 1}
    snapshot = snapshot_refresh_now(study=study)
    assert "drawn from the 3 vectors of a set, “Some”" in methods_paragraph(study, snapshot)


def test_a_set_shows_nobody_the_vectors_that_they_annotate(extraction, chosen, person):
    theirs = make_study(extraction=extraction, kinds=("value",), lists_per_layer=4)
    Membership.objects.create(study=theirs, user=person, role=Membership.Role.ANNOTATOR)
    wanted = plan(extraction, chosen)
    with pytest.raises(NotAllowed, match="A vector of the set “Some” belongs to an unfinished"):
        study_create(plan=wanted, created_by=person)
    only_values = replace(wanted, kinds=("value",))
    assert study_preview(plan=only_values, by=person).sample == []  # every value is in their study
    address = f"/studies/new/?set={chosen.public_id}"
    shown = client_of(person).get(address)
    assert shown.status_code == 200
    Study.objects.filter(pk=theirs.pk).update(state="closed")
    assert study_create(plan=wanted, created_by=person).pk


def test_the_preview_counts_what_would_be_drawn(extraction, chosen, person):
    preview = study_preview(plan=plan(extraction, chosen), by=person)
    study = study_create(plan=plan(extraction, chosen), created_by=person)
    assert preview.lists == study.items.count() == 12


def test_a_later_change_of_the_set_changes_nothing(extraction, chosen, person):
    study = study_create(plan=plan(extraction, chosen, pilot_lists=0), created_by=person)
    VectorSet.objects.all().delete()
    study_change(study=study, plan=replace(plan_of(study), seed=7))
    study.refresh_from_db()
    assert places(study, "value") == PLACES
    copy = study_duplicate(study=study, title="A copy", by=person)
    assert places(copy, "value") == PLACES


def test_more_lists_per_layer_are_of_the_set_too(extraction, chosen, person):
    first = replace(plan(extraction, chosen), lists_per_layer=1)
    study = study_create(plan=first, created_by=person)
    assert len(places(study, "value")) == 2
    study_extend(study=study, lists_per_layer=4)
    assert places(study, "value") == PLACES


def test_other_vectors_take_the_place_of_those_of_the_set(extraction, chosen, person):
    study = study_create(plan=plan(extraction, chosen), created_by=person)
    changed = study_change(study=study, plan=replace(plan_of(study), drawn_from=None))
    assert changed == ["drawn_from"]
    assert len(places(study, "value")) == 9


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"kinds": ("random",)}, "choose value vectors or key vectors among the kinds"),
        ({"drawn_from": {"places": [[0, 0]]}}, "Choose the set again"),
        ({"drawn_from": []}, "Choose the set again"),
        ({"training_lists": 50}, "There are only 15 lists"),
    ],
)
def test_plans_that_cannot_work_are_refused(extraction, chosen, person, changes, sentence):
    with pytest.raises(Invalid, match=sentence):
        study_create(plan=replace(plan(extraction, chosen), **changes), created_by=person)


@pytest.mark.parametrize(
    "broken",
    [
        [], [[0]], [[0, -1]], [["0", 0]], [[0, 10**10]], "0:0", None, [0, 0], [[True, 0]],
        [[0, n] for n in range(10_001)],
    ],
)  # fmt: skip
def test_places_that_no_set_has_are_refused(extraction, chosen, person, broken):
    stored = {**drawn_from(chosen), "places": broken}
    with pytest.raises(Invalid, match="Choose the set again"):
        study_create(plan=replace(plan(extraction, chosen), drawn_from=stored), created_by=person)


def test_a_set_of_another_model_is_refused(extraction, person):
    other = make_vector_set(title="Of another")
    with pytest.raises(Invalid, match="is not of the model of"):
        study_create(plan=plan(extraction, other), created_by=person)


def test_the_form_begins_with_the_set_of_the_address(extraction, chosen, person):
    client = client_of(person)
    page = text_of(client.get("/studies/new/", {"set": str(chosen.public_id)}))
    assert re.search(f'<option value="{chosen.public_id}" selected', page)
    assert "only of the set “Some”" in page
    assert "12 lists" not in page  # ten per layer and kind, of those of the set
    for other in ("x", "00000000-0000-0000-0000-000000000000"):
        assert client.get("/studies/new/", {"set": other}).status_code == 200


def test_a_site_without_sets_has_no_such_field(extraction, person):
    assert "Only vectors of a set" not in text_of(client_of(person).get("/studies/new/"))


def test_a_study_of_a_set_by_page_and_its_rules(extraction, chosen, person):
    client = client_of(person)
    sent = {
        "title": "By page", "extractions": extraction.pk, "kinds": ["value"], "seed": 0,
        "lists_per_layer": 10, "annotators_per_list": 1, "categories": ["semantic"],
        "min_tokens": 4, "gloss_rule": "first", "search_engine": "duckduckgo", "encyclopedia": "en",
        "lease_hours": 72, "training_lists": 0, "reference_lists": 0, "repeat_percent": 0,
        "pilot_lists": 0, "on_withdrawal": "keep", "vector_set": chosen.public_id,
        "list_source": "top_tokens", "follows": "top_tokens", "action": "draft",
    }  # fmt: skip
    response = client.post("/studies/new/", sent)
    assert response.status_code == 302, text_of(response)
    study = Study.objects.get()
    assert places(study, "value") == PLACES
    rules = f"/studies/{study.slug}/rules/"
    assert "Some, as it was: 3 vectors" in text_of(client.get(rules))
    chosen.delete()
    page = client.get(rules)
    base = page.context["rules_base"]
    again = {**sent, "title": "Another", "vector_set": "as-it-was", "action": "save",
             "rules_base": base}  # fmt: skip
    assert client.post(rules, again).status_code == 302
    assert places(study, "value") == PLACES
    assert client.post("/studies/new/", sent).status_code == 422  # the set is gone


def test_a_study_of_a_set_by_script(extraction, chosen, person):
    client = client_of(person)
    sent = {
        "title": "By script",
        "extractions": [str(extraction.public_id)],
        "kinds": ["value"],
        "vector_set": str(chosen.public_id),
    }
    made = client.post("/api/studies", sent, content_type="application/json")
    assert made.status_code == 201, made.content
    assert made.json()["drawn_from"] == "Some"
    url = f"/api/studies/{made.json()['slug']}"
    client.patch(url, {"vector_set": None}, content_type="application/json")
    assert client.get(url).json()["drawn_from"] is None
    refused = client.patch(
        url,
        {"vector_set": "00000000-0000-0000-0000-000000000000"},
        content_type="application/json",
    )
    assert refused.status_code == 422
