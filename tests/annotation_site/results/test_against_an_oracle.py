"""Every number of four made-up studies' tables equals one that was computed anew from their files,
in exact fractions, by code that shares nothing with the product's measures."""

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest

from annotation_site.exports import EXPORT_FORMATS, Table, labels_jsonl
from annotation_site.results.files.archive import study_lists
from annotation_site.results.files.archive_annotations import LIST_COLUMNS
from annotation_site.results.files.labels_export import annotation_records
from annotation_site.results.snapshots.computation import table_request
from annotation_site.results.tables.dataframes import annotations_of
from annotation_site.results.tables.filters import Filters
from annotation_site.results.tables.registry import TABLES
from annotation_site.results.tables.request import TableRequest
from tests.annotation_site.oracle import people
from tests.annotation_site.oracle.agreement import Agreement
from tests.annotation_site.oracle.coverage import Coverage, Row, Rows
from tests.annotation_site.oracle.records import Choice, Study, read
from tests.annotation_site.oracle.shapes import Made, make

pytestmark = pytest.mark.django_db
NEAR = 1e-9
MOST_SHOWN = 400
RESAMPLES = 20  # what is drawn at random is looked at elsewhere
GROUP = ("model", "kind", "layer")
KEYS: dict[str, tuple[str, ...]] = {
    "coverage": GROUP,
    "coverage_adjudicated": GROUP,
    "coverage_intervals": (*GROUP, "measure"),
    "table_2": ("model", "kind", "stopwords_concepts"),
    "real_against_random": ("measure", "model", "layer"),
    "agreement": ("model", "measure"),
    "agreement_by_kind": ("model", "kind", "measure"),
    "agreement_by_layer": (*GROUP, "measure"),
    "agreement_by_category": ("model", "category", "measure"),
    "agreement_of_pairs": ("first", "second", "measure"),
    "retest": ("annotator", "measure"),
    "reference": ("annotator", "purpose"),
    "people": ("annotator",),
    "time_per_list": ("model", "kind"),
    "learning_curve": ("first_list", "last_list"),
    "lists": ("list_id",),
    "disagreement": ("list_id",),
}
"""The tables that are compared, and what names a row of each."""


def study_of(made: Made, **chosen: Any) -> Study:
    """The study as the oracle knows it: from what is exported."""
    table = Table("lists", LIST_COLUMNS, list(study_lists(made.study)))
    lists = b"".join(EXPORT_FORMATS["csv"].write(table)).decode()
    labels = [labels_jsonl.line_of(one).decode() for one in annotation_records(made.study)]
    return read(
        lists, labels, categories=made.shape.categories, populations=made.populations,
        choice=Choice(**{"min_tokens": made.shape.least, **chosen}),
    )  # fmt: skip


def request_of(made: Made, **chosen: Any) -> TableRequest:
    """What the product computes its tables from, with few resamples."""
    filters = Filters(**{"min_tokens": made.shape.least, **chosen})
    request, _ = table_request(made.study, annotations_of(made.study), filters)
    return replace(request, resamples=RESAMPLES, machines=None)


def expected_tables(study: Study, least: int) -> dict[str, Callable[[], Rows]]:
    """What the oracle says, by table."""
    covering = Coverage(study, study.covering)
    final = Coverage(study, study.with_final)
    agreement = Agreement(study)
    pairs = agreement.of_pairs()
    return {
        "coverage": covering.table,
        "coverage_adjudicated": final.table,
        "coverage_intervals": covering.intervals,
        "table_2": lambda: table_2(covering),
        "real_against_random": lambda: {
            **covering.against_random("coverage"),
            **covering.against_random("coverage_with_stopwords"),
        },
        "agreement": agreement.table,
        "agreement_by_kind": lambda: agreement.table("kind"),
        "agreement_by_layer": lambda: agreement.table("kind", "layer"),
        "agreement_by_category": agreement.by_category,
        "agreement_of_pairs": lambda: pairs,
        "retest": agreement.retest,
        "reference": lambda: people.references(study, least),
        "people": lambda: people.people(study, pairs),
        "time_per_list": lambda: people.time_per_list(study),
        "learning_curve": lambda: people.learning_curve(study, agreement),
        "lists": covering.table_of_lists,
        "disagreement": agreement.disagreement,
    }


def table_2(covering: Coverage) -> Rows:
    """The rows over all layers, each measure with its interval."""
    whole = {key: row for key, row in covering.table().items() if key[2] is None}
    intervals = covering.intervals()
    found = {}
    for (model, kind, _), row in whole.items():
        for which, ending in (("without", ""), ("with", "_with_stopwords")):
            known: Row = intervals.get((model, kind, None, f"coverage{ending}"), {})
            found[model, kind, which] = {
                "coverage": row[f"coverage{ending}"],
                "low": known.get("low"),
                "high": known.get("high"),
                "concepts_per_list": row[f"concepts_per_list{ending}"],
                **{n: row[n] for n in ("lists", "lists_total", "annotations", "no_pattern")},
            }
    return found


class Differences:
    """What was compared, and what is not as it should be."""

    def __init__(self, numbers: dict[int, int]) -> None:
        self.numbers = numbers  # an item's key to its number in the files
        self.compared = 0
        self.found: list[str] = []

    def table(self, name: str, frame: pd.DataFrame, expected: Rows) -> None:
        rows = {self._key(row, KEYS[name]): row for row in frame.to_dict("records")}
        assert len(rows) == len(frame), name
        for key in rows.keys() ^ expected.keys():
            where = "the product" if key in rows else "the oracle"
            self.found.append(f"{name} {key}: only {where} has this row")
        for key in rows.keys() & expected.keys():
            for column, value in expected[key].items():
                self.cell(f"{name} {key} {column}", rows[key][column], value)

    def cell(self, where: str, has: Any, wanted: Any) -> None:
        self.compared += 1
        missing = has is None or has is pd.NA or (isinstance(has, float) and math.isnan(has))
        if wanted is None or missing:
            same = wanted is None and missing
        else:
            same = abs(Fraction(float(has)) - Fraction(wanted)) <= NEAR
        if not same:
            said = wanted if wanted is None else f"{float(wanted)!r} ({wanted})"
            self.found.append(f"{where}: {has!r}, and the oracle says {said}")

    def said(self) -> str:
        """The first of them, for a message."""
        first = "\n".join(sorted(self.found)[:MOST_SHOWN])
        return f"{len(self.found)} of {self.compared} numbers differ:\n{first}"

    def _key(self, row: dict[Any, Any], names: tuple[str, ...]) -> tuple[Any, ...]:
        found = []
        for name in names:
            value = row[name]
            if value is None or value is pd.NA or value != value:
                value = None
            elif name == "list_id":
                value = self.numbers[int(value)]
            elif isinstance(value, float | np.integer):
                value = int(value)
            found.append(value)
        return tuple(found)


def compared(made: Made, only: tuple[str, ...] = tuple(KEYS), **chosen: Any) -> Differences:
    """The tables of a study under a choice beside the oracle's."""
    request = request_of(made, **request_choice(chosen))
    study = study_of(made, **chosen)
    items = made.study.items.order_by("pk").values_list("pk", flat=True)
    differences = Differences({pk: number for number, pk in enumerate(items, start=1)})
    expected = expected_tables(study, made.shape.least)
    for name in only:
        differences.table(name, TABLES[name](request), expected[name]())
    return differences


def request_choice(chosen: dict[str, Any]) -> dict[str, Any]:
    """The oracle's choice as the product's filter has it: layers are a range there."""
    found = dict(chosen)
    layers = found.pop("layers", None)
    if layers is not None:
        found |= {"layer_from": min(layers), "layer_to": max(layers)}
    return found


@pytest.fixture(autouse=True)
def _people_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Machine annotators take their time, and are in none of these tables."""
    monkeypatch.setattr("annotation_site.results.tables.machine_annotators.MACHINE_ANNOTATORS", {})


NUMBERS = {
    "every purpose": 7500,
    "two models": 6000,
    "several patterns": 5000,
    "two answers": 2700,
}
"""How many numbers each study has at least."""


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_is_the_one_that_fractions_give(name: str):
    differences = compared(make(name, seed=1))
    assert not differences.found, differences.said()
    assert differences.compared >= NUMBERS[name]


CHOICES: dict[str, dict[str, Any]] = {
    "smaller patterns": {"min_tokens": 2},
    "two kinds": {"kinds": ("random", "value"), "layers": (1, 2)},
    "one layer and category": {"layers": (1,), "categories": ("syntactic",)},
    "some people": {"people": ("p0", "p2", "p3"), "min_tokens": 6},
    "final answers": {"adjudicated": "on"},
    "final answers only": {"adjudicated": "only", "min_tokens": 4},
}


def test_every_number_under_a_filter_is_the_one_that_fractions_give():
    made = make("several patterns", seed=2)
    for name, chosen in CHOICES.items():
        differences = compared(made, **chosen)
        assert not differences.found, f"{name}: {differences.said()}"
        assert differences.compared >= 800, name


def test_the_studies_hold_what_intervals_differ_by():
    """Rows with an interval and without, for each reason that there is."""
    found = set()
    for name in ("every purpose", "several patterns", "two answers"):
        study = study_of(make(name, seed=1))
        covering = Coverage(study, study.covering)
        for (model, kind, layer, _), row in covering.intervals().items():
            own = [one for one in covering.study.own if (one.model, one.kind) == (model, kind)]
            judged = [one for one in own if one.number in covering.lists]
            strata = covering.strata(one for one in judged if layer in (None, one.layer))
            varying = covering.varying(strata)
            found.add(
                (
                    "layer" if layer is not None else "all layers",
                    "interval" if row["low"] is not None else "none",
                    "whole" if not varying else "partly" if varying != strata else "sample",
                    "single" if any(len(one) == 1 for one in varying.values()) else "several",
                )
            )
    assert found >= {
        ("all layers", "interval", "sample", "several"),
        ("all layers", "interval", "sample", "single"),
        ("all layers", "interval", "partly", "several"),
        ("layer", "interval", "sample", "several"),
        ("layer", "none", "sample", "several"),
        ("layer", "none", "sample", "single"),
        ("layer", "none", "whole", "several"),
    }
