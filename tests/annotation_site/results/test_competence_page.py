"""The results page on chance levels and on people beside a latent majority."""

import pytest

from annotation_site.annotation.lists.nouns import nouns_of
from annotation_site.annotation.models import Study
from annotation_site.results.pages.agreement import by_model, questions
from annotation_site.results.pages.competence import competence, too_few
from annotation_site.results.pages.people import Behind
from annotation_site.results.pages.tables import agreement_across
from annotation_site.results.snapshots import services
from annotation_site.results.snapshots.selectors import rows_of
from tests.annotation_site.results.by_hand import labelled_study, researcher_client

FEW = "undefined, because fewer than 3 people share 30 lists each."


def agreement(name, value, chance):
    return {
        "model": "m", "measure": name, "value": value, "low": None, "high": None, "n": 30,
        "chance": chance, "shuffles": 200, "unit": "lists", "lists": 12, "warning": "",
        "undefined": "" if value is not None else "undefined, because x.",
    }  # fmt: skip


def person(code, **changes):
    return {
        "annotator": code, "sensitivity": 0.95, "sensitivity_low": 0.9, "sensitivity_high": 0.98,
        "specificity": 0.8, "specificity_low": None, "specificity_high": None,
        "majority_agreement": 0.88, "lists": 40, "shared_lists": 39, "undefined": "",
        "warning": "",
    } | changes  # fmt: skip


def test_agreement_on_patterns_stands_beside_what_chance_gives():
    rows = [
        agreement("mean_matched_jaccard", 0.52, 0.081),
        agreement("matched_category_agreement", None, None),
        agreement("omega_index", 0.4, None),
    ]
    measures = {row["measure"]: {"title": row["measure"]} for row in rows}
    asked = questions(rows, measures, nouns_of(Study.ListSource.TOP_TOKENS))
    assert [(one.text, one.chance) for one in asked] == [("0.52", "by chance 0.08"), ("–", "")]
    (model,) = by_model(rows, measures)
    said = ["by chance 0.08", "Undefined, because x.", ""]
    assert [row["cell"].remark.capitalize() for row in model["rows"]] == [
        one.capitalize() for one in said
    ]
    behind = Behind(Study(slug="s"), {})
    table = agreement_across("agreement", "Agreement", rows, measures, behind)
    ((_, overlap, category, omega, _),) = table.rows
    assert [one.remark for one in (overlap, category, omega)] == [
        "by chance 0.08", "undefined, because x.", "",
    ]  # fmt: skip


def test_people_stand_beside_the_latent_majority_with_plain_agreement():
    left_out = person(
        "c", sensitivity=None, sensitivity_low=None, sensitivity_high=None, specificity=None,
        majority_agreement=None, shared_lists=3,
        undefined="undefined, because this person shares fewer than 30 lists with the people "
        "compared.",
    )  # fmt: skip
    people = [{"annotator": one, "percent_agreement_concept": 0.7} for one in "ac"]
    rows = [person("a", warning="fewer than 20 lists"), left_out]
    table = competence(rows, people, Behind(Study(slug="s"), {}))
    assert [cell.text for cell in table.rows[0]] == [
        "a",
        "0.95",
        "0.80",
        "0.88",
        "0.70",
        "40",
        "39",
    ]
    assert table.rows[0][1].between == "0.90 to 0.98"
    assert table.rows[1][1].text == "–"
    assert table.rows[1][1].remark == left_out["undefined"]
    assert table.warnings == ["a: fewer than 20 lists."]
    assert "rejects nobody" in table.caption
    assert too_few(rows) == ""
    nobody = [person("a", majority_agreement=None, undefined=FEW)]
    assert competence(nobody, people, Behind(Study(slug="s"), {})).rows == []
    assert too_few(nobody) == FEW
    assert too_few([]) == ""


@pytest.mark.django_db
def test_a_small_study_says_why_people_are_not_compared(monkeypatch):
    monkeypatch.setattr(services, "figures_draw", lambda **_: None)
    study = labelled_study()
    snapshot = services.snapshot_refresh_now(study=study)
    rows = rows_of(snapshot, "competence")
    found = sorted((row["lists"], row["shared_lists"], row["undefined"]) for row in rows)
    assert found == [(3, 3, FEW), (4, 3, FEW)]
    overlap = next(
        row for row in rows_of(snapshot, "agreement") if row["measure"] == "mean_matched_jaccard"
    )
    assert overlap["shuffles"] == 200
    shown = researcher_client(study).get(f"/studies/{study.slug}/results/").content.decode()
    assert f"Each person beside a latent majority: {FEW}" in shown
    assert "by chance 0." in shown
