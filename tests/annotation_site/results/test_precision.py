"""The precision of a planned study, predicted on its form and in the API from a past one."""

import re
from dataclasses import replace
from html import unescape

import pytest

from annotation_site.accounts.models import Role
from annotation_site.analysis.power import Components, Plan, precision_curve
from annotation_site.analysis.variance_components import NO_SECOND
from annotation_site.annotation.models import Assignment, Membership, Study
from annotation_site.annotation.studies.plans import StudyPlan, plan_of
from annotation_site.annotation.studies.previews import study_preview
from annotation_site.annotation.studies.services import study_state_change
from annotation_site.errors import Invalid
from annotation_site.results.models import Snapshot
from annotation_site.results.pages import precision
from annotation_site.results.pages.precision import planned_precision
from annotation_site.results.snapshots.selectors import rows_of
from annotation_site.results.snapshots.services import snapshot_refresh_now
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    client_of,
    make_draft,
    make_extraction,
    make_study,
    pattern,
    submit,
    text_of,
)

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def annotate(study: Study, purpose: str = "annotation") -> None:
    """Answers that vary with list, person and kind; then the study's results."""
    mine = Assignment.objects.filter(item__study=study, purpose=purpose).exclude(
        state=Assignment.State.SUBMITTED
    )
    people = list(mine.order_by("membership").values_list("membership", flat=True).distinct())
    for one in mine.select_related("item__vector", "membership__user", "item__study"):
        vector = one.item.vector
        base = {"value": 9, "random": 4}.get(vector.kind, 6)
        tokens = base + 5 * (vector.index % 3) + people.index(one.membership_id)
        submit(one, answer(pattern(1, list(range(1, tokens + 1)))))
    snapshot_refresh_now(study=study)


def make_past() -> int:
    """2 layers, 3 kinds, 3 lists of each; 2 of 3 people have annotated every list."""
    study = make_study(
        title="A past study", researcher=UserFactory(role=Role.RESEARCHER), annotators=3,
        extraction=make_extraction(per_layer=4), lists_per_layer=3,
    )  # fmt: skip
    annotate(study)
    return study.pk


@pytest.fixture(scope="module")
def past_stored(store):
    return store(make_past)


@pytest.fixture
def past(past_stored, db):
    return Study.objects.get(pk=past_stored)


def with_results_of(past: Study, title: str) -> Study:
    """Another study of the same researcher, whose stored results are the past one's."""
    made = make_draft(
        title=title, researcher=past.created_by, extraction=past.extractions.get(),
        lists_per_layer=1,
    )  # fmt: skip
    snapshot = past.snapshots.get()
    snapshot.pk, snapshot.study, snapshot._state.adding = None, made, True
    snapshot.save()
    return made


def plan_like(study, **changes):
    return replace(plan_of(study), **{"title": "Another", "lists_per_layer": 4, **changes})


def predicted(plan, by, **how):
    return planned_precision(plan=plan, preview=study_preview(plan=plan, by=by), by=by, **how)


def filled_in(study, **changes):
    """The form of a plan like the study's, as a browser sends it."""
    people = list(study.memberships.filter(role="annotator").values_list("user", flat=True))
    return {
        "title": "Another", "extractions": [study.extractions.get().pk],
        "kinds": ["value", "random"], "lists_per_layer": 4, "annotators": people,
        "annotators_per_list": 2, "categories": ["semantic"], "min_tokens": 4, "seed": 0,
        "lease_hours": 72, "training_lists": 0, "reference_lists": 0, "repeat_percent": 0,
        "pilot_lists": 0, "gloss_rule": "ranked", "search_engine": "duckduckgo",
        "encyclopedia": "en", "on_withdrawal": "keep", "variances_from": study.slug, **changes,
    }  # fmt: skip


def words_of(page: str) -> str:
    """The visible text of the fold."""
    found = page[page.index('id="precision"') :]
    found = found.partition("</details>")[0].partition('id="words-')[0]
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", found)))


def test_a_plan_s_numbers_are_those_of_the_stored_components(past):
    """Whole: the design of the plan, its hours and its curve, and what they rest on."""
    found = predicted(plan_like(past), past.created_by)
    rows = rows_of(Snapshot.objects.get(study=past), "variance_components")
    whole, value, random = (
        next(row for row in rows if row["kind"] == kind) for kind in (None, "value", "random")
    )
    assert (found.chosen, found.kind, found.control) == (past, "value", "random")
    assert (found.basis.annotations, found.basis.annotators, found.basis.lists) == (36, 3, 18)
    plan = Plan(
        value=Components(value["between_lists"], value["disagreement"], value["between_people"]),
        control=Components(
            random["between_lists"], random["disagreement"], random["between_people"]
        ),
        people_by_kind=whole["people_by_kind"],
        layers=2,
        people=3,
        population=past.extractions.get().model.d_ff,
    )
    (expected,) = precision_curve(plan, lists_per_layer=(4,), people_per_list=(2,))
    assert found.plan.half_width == expected.half_width
    assert found.plan.smallest_difference == expected.detectable
    assert found.plan.half_width_people is None
    assert found.people_reason == (
        "With 3 people there is no interval for people like these: it needs at least 5."
    )
    # 2 layers and 3 kinds with 4 lists each, 2 people, 180 seconds
    assert found.plan.hours == 48 * 180 / 3600
    assert {one.lists_per_layer for one in found.curve} == {2, 3, 4, 5, 10, 20, 30, 50}
    assert {one.annotators_per_list for one in found.curve} == {1, 2, 3, 4, 5}
    assert sum(one.is_plan for one in found.curve) == 1
    widths = [one.half_width for one in found.curve if one.annotators_per_list == 2]
    known = [width for width in widths if width is not None]
    assert known == sorted(known, reverse=True)
    # Layers have d_ff vectors: a design that takes all of them has no sampling interval.
    taken = [
        one.half_width is None
        for one in found.curve
        if one.lists_per_layer >= past.extractions.get().model.d_ff
    ]
    assert taken
    assert all(taken)


def test_a_past_study_that_somebody_else_runs_predicts_nothing(past):
    """Also for a person who annotates it, and by its name."""
    other = UserFactory(role=Role.RESEARCHER)
    Membership.objects.create(study=past, user=other, role=Membership.Role.ANNOTATOR)
    plan = plan_like(past, annotators=())
    for chosen in ("", past.slug):
        found = predicted(plan, other, chosen=chosen)
        assert (found.past, found.chosen, found.basis, found.curve) == ([], None, None, ())
    with pytest.raises(Invalid, match="no study that you run with results"):
        predicted(plan, other, chosen=past.slug, strict=True)
    form = filled_in(past, annotators=[user.pk for user in UserFactory.create_batch(2)])
    page = text_of(client_of(other).post("/studies/new/", form, headers=HTMX))
    said = words_of(page)
    assert "you run none with results of such lists yet." in said
    assert "Save a draft with 8 pilot lists, two of each layer and kind" in said
    assert past.title not in page


def test_the_newest_study_of_such_lists_is_the_default_and_another_can_be_chosen(past):
    newer = with_results_of(past, "A newer study")
    plan = plan_like(past)
    assert predicted(plan, past.created_by).chosen == newer
    assert predicted(plan, past.created_by, chosen=past.slug).chosen == past
    assert [one.study for one in predicted(plan, past.created_by).past] == [newer, past]
    prefixes = replace(plan, list_source=Study.ListSource.TRIGGER_PREFIXES)
    preview = study_preview(plan=plan, by=past.created_by)
    assert not planned_precision(plan=prefixes, preview=preview, by=past.created_by).past


def test_an_older_study_than_the_form_offers_can_be_named(past, monkeypatch):
    newer = with_results_of(past, "A newer study")
    monkeypatch.setattr(precision, "MOST_STUDIES", 1)
    plan = plan_like(past)
    assert [one.study for one in predicted(plan, past.created_by).past] == [newer]
    assert predicted(plan, past.created_by, chosen=past.slug, strict=True).chosen == past


def test_a_draft_s_own_pilot_comes_first(past):
    draft = make_draft(
        title="A draft", researcher=past.created_by, annotators=2,
        extraction=make_extraction(per_layer=8), pilot_lists=12, lists_per_layer=2,
    )  # fmt: skip
    with_results_of(past, "A newer study")
    study_state_change(study=draft, state=Study.State.PILOT)
    draft.memberships.update(consent_version=0)
    annotate(draft, "pilot")
    study_state_change(study=draft, state=Study.State.DRAFT)
    page = text_of(client_of(draft.created_by).get(f"/studies/{draft.slug}/rules/"))
    said = words_of(page)
    assert re.search(r'<option[^>]*value="a-draft" selected>A draft', page)
    assert "From 24 annotations of 12 lists by 2 people. They are a pilot’s." in said


def test_the_form_says_the_prediction_and_marks_the_plan(past):
    client = client_of(past.created_by)
    form = filled_in(past)
    page = text_of(client.post("/studies/new/", form, headers=HTMX))
    said = words_of(page)
    assert re.search(
        r"With 4 lists per layer and kind and 2 people per list, the 95% interval of the coverage "
        r"of value vectors would be about ±\d+\.\d points \.",
        said,
    )
    assert re.search(r"80% of such studies would detect a difference between value", said)
    assert page.count('aria-current="true"') == 1
    assert '<div id="precision" class="stack" hx-swap-oob="true">' in page
    whole = text_of(client.post("/studies/new/", {**form, "lists_per_layer": 1}))
    assert "One list per layer is too few to predict an interval." in words_of(whole)
    assert "no prediction yet" in whole
    broken = text_of(client.post("/studies/new/", {**form, "min_tokens": ""}, headers=HTMX))
    assert "Complete the form to see how precise" in words_of(broken)
    assert f'name="variances_from" value="{past.slug}"' in broken  # the choice is kept


def test_components_that_are_unknown_are_said(past):
    alone = with_results_of(past, "One person per list")
    snapshot = alone.snapshots.get()
    names = [name for name, _ in snapshot.tables["variance_components"]["columns"]]
    for row in snapshot.tables["variance_components"]["rows"]:
        for name in ("disagreement", "between_people", "people_by_kind"):
            row[names.index(name)] = None
        row[names.index("warning")] = NO_SECOND
    snapshot.save()
    found = predicted(plan_like(past), past.created_by, chosen=alone.slug)
    assert found.basis.warnings == [NO_SECOND]
    assert found.plan.half_width > 0
    assert found.people_reason.startswith("The past study does not tell people apart")
    Snapshot.objects.filter(study=alone).update(tables={})  # of a version without the table
    found = predicted(plan_like(past), past.created_by, chosen=alone.slug)
    assert found.curve == ()
    assert found.reason.startswith("Its results lack what a prediction needs.")


def test_a_prediction_takes_three_queries_whatever_the_number_of_studies(
    past, django_assert_num_queries
):
    for number in range(3):
        with_results_of(past, f"Study {number}")
    plan = plan_like(past)
    preview = study_preview(plan=plan, by=past.created_by)
    for extraction in plan.extractions:
        assert extraction.model  # the preview's
    # the person's studies, their snapshots, the chosen one's table
    with django_assert_num_queries(3):
        planned_precision(plan=plan, preview=preview, by=past.created_by)


def test_the_api_gives_the_same_numbers(past):
    plan = plan_like(past)
    body = {
        "title": "Another", "extractions": [str(one.public_id) for one in plan.extractions],
        "annotators": [str(user.public_id) for user in plan.annotators],
        "lists_per_layer": 4, "variances_from": past.slug,
    }  # fmt: skip
    client = client_of(past.created_by)
    send = {"content_type": "application/json"}
    got = client.post("/api/previews", body, **send).json()["precision"]
    expected = predicted(plan, past.created_by)
    assert got["variances_from"] == past.slug
    assert got["basis"]["annotations"] == 36
    assert got["people_reason"] == expected.people_reason
    assert [tuple(one.values()) for one in got["curve"]] == [
        tuple(vars(one).values()) for one in expected.curve
    ]
    del body["variances_from"]
    assert client.post("/api/previews", body, **send).json()["precision"] is None
    other = client_of(UserFactory(role=Role.RESEARCHER))
    refused = other.post("/api/previews", {**body, "variances_from": past.slug}, **send)
    assert refused.status_code == 404
    draft = make_draft(title="Nothing yet", researcher=past.created_by)
    refused = client.post("/api/previews", {**body, "variances_from": draft.slug}, **send)
    assert refused.status_code == 422
    assert "no study that you run with results to plan from" in refused.json()["error"]["message"]


def test_a_plan_without_a_control_has_no_difference(past):
    plan = plan_like(past, kinds=("value", "update"))
    found = predicted(plan, past.created_by)
    assert (found.control, found.plan.smallest_difference) == ("", None)
    only = StudyPlan(title="Updates", extractions=plan.extractions, kinds=("update",))
    assert predicted(only, past.created_by).kind == "update"


def test_chosen_vectors_have_no_sampling_interval_to_predict(past):
    plan = plan_like(past)
    plan.extractions[0].parameters["vectors"] = [[0, 1]]
    found = predicted(plan, past.created_by)
    assert found.curve == ()
    assert found.reason.startswith("Vectors of this model were chosen, not drawn at random")
