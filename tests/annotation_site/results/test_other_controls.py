"""A study of value vectors beside every control: tables, pages, files and an archive."""

import io

import pytest

from annotation_site.analysis.annotation_frames import KIND_NAMES, kind_heading
from annotation_site.analysis.controls import CONTROLS
from annotation_site.annotation.models import Assignment
from annotation_site.results.files.archive_restore import study_restore
from annotation_site.results.files.labels_export import annotation_records
from annotation_site.results.snapshots import selectors, services
from annotation_site.results.tables.filters import Filters
from annotation_site.verify import verify
from tests.annotation_site.archives import members, packed, stored
from tests.annotation_site.factories import (
    answer,
    client_of,
    make_extraction,
    make_study,
    pattern,
    researcher_of,
    submit,
)

pytestmark = pytest.mark.django_db
KINDS = ("value", *CONTROLS["value"])
FURTHER = KINDS[2:]
FOUND = {"value": 9, "random": 3, "random-covariance": 4, "permuted": 5, "shuffled": 6}
"""How many tokens of each list of a kind people put into a pattern of more than 3."""


@pytest.fixture
def study(monkeypatch):
    monkeypatch.setattr(services, "figures_draw", lambda **_: None)  # no test here looks at one
    return annotated()


def annotated(kinds=KINDS):
    study = make_study(
        extraction=make_extraction(kinds=kinds), kinds=kinds, lists_per_layer=2, annotators=1
    )
    for row in Assignment.objects.filter(purpose="annotation").select_related("item__vector"):
        submit(row, answer(pattern(1, list(range(1, FOUND[row.item.vector.kind] + 1)))))
    return study


def computed(study):
    return services.snapshot_refresh_now(study=study, filters=Filters(min_tokens=study.min_tokens))


def test_values_minus_each_further_control_by_hand(study):
    rows = selectors.rows_of(computed(study), "other_controls")
    whole = {
        row["control"]: row for row in rows if row["measure"] == "coverage" and row["layer"] is None
    }
    assert tuple(whole) == FURTHER
    for control, row in whole.items():
        assert row["mean_second"] == pytest.approx(FOUND[control] / 30)
        assert row["difference"] == pytest.approx((9 - FOUND[control]) / 30)
        assert (row["lists_first"], row["lists_second"], row["cliffs_delta"]) == (4, 4, 1)
    # Of 2 lists each in either layer, 2 of the 36 assignments of kinds are as far from 0.
    assert all(0.02 < row["p"] < 0.1 for row in whole.values())
    assert len(rows) == len(FURTHER) * 2 * 3  # 2 measures, of all layers and of 2


def test_the_headline_keeps_the_paper_s_control(study):
    rows = selectors.rows_of(computed(study), "real_against_random")
    assert rows[0]["mean_second"] == 0  # 3 tokens are no pattern


@pytest.mark.parametrize(
    ("kinds", "title"),
    [
        (("value", "permuted"), "Value minus permuted value vectors"),
        (("value", "random", "permuted"), "Value minus random"),
    ],
)
def test_the_headline_names_its_control(monkeypatch, kinds, title):
    monkeypatch.setattr(services, "figures_draw", lambda **_: None)
    study = annotated(kinds)
    computed(study)
    page = client_of(researcher_of(study)).get(f"/studies/{study.slug}/results/")
    assert title in page.content.decode()
    assert (page.context["others"] is None) == (len(kinds) == 2)


def test_the_results_page_tells_of_each_control(study):
    computed(study)
    page = client_of(researcher_of(study)).get(f"/studies/{study.slug}/results/")
    table = page.context["others"]
    assert [row[0].text for row in table.rows if "stopwords" not in row[0].text] == [
        f"{kind_heading(control)}, Coverage: all layers" for control in FURTHER
    ]
    assert "people’s false positives" in table.caption
    text = page.content.decode()
    assert "Value minus other controls, overall and by layer" in text
    for control in FURTHER:
        assert f"minus that of its {KIND_NAMES[control]} is" in text


def test_an_archive_verifies_and_restores_every_control(study, tmp_path):
    data = packed(study)
    found = members(data)
    assert found["tables/other_controls.csv"].count(b"\n") == 1 + len(FURTHER) * 2 * 3
    assert b"minus that of its shuffled tokens is" in found["methods.md"]
    assert verify(stored(tmp_path, data)).differences == []
    restored = study_restore(file=io.BytesIO(data), restored_by=study.created_by)
    assert list(annotation_records(restored)) == list(annotation_records(study))
    of_shuffled = restored.items.filter(vector__kind="shuffled")
    assert of_shuffled.count() == 4
    assert set(of_shuffled.values_list("vector__norm", "vector__scores")) == {(None, None)}


def test_every_page_of_a_list_without_scores_opens(study):
    computed(study)
    client = client_of(researcher_of(study))
    item = study.items.filter(vector__kind="shuffled").select_related("vector").first()
    slug, extraction = study.slug, item.vector.extraction
    for address in (
        f"/studies/{slug}/run/lists/?kind=shuffled",
        f"/studies/{slug}/lists/{item.pk}/",
        f"/studies/{slug}/adjudication/",
        f"/api/studies/{slug}/tables/other_controls",
        f"/api/extractions/{extraction.public_id}/vectors?kind=shuffled",
        "/explore/search/?tokens=word1&kind=shuffled",
    ):
        response = client.get(address)
        assert response.status_code == 200, address
