"""docs/measures.md says what the code computes."""

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pandas as pd
import pytest

from annotation_site.analysis.agreement.registry import AGREEMENT_MEASURES, Measure
from annotation_site.analysis.agreement.tables import agreement_table, measure_agreement
from annotation_site.analysis.coverage import (
    AnnotationFrames,
    annotation_coverage,
    coverage_table,
    list_coverage,
)
from annotation_site.analysis.machine_annotators import MACHINE_ANNOTATORS
from annotation_site.analysis.stopwords import is_stopword, propose_stopwords_flag
from annotation_site.analysis.variance_components import variance_components
from annotation_site.results.tables.registry import PREFIX_TABLES
from annotation_site.results.tables.registry import TABLES as RESULT_TABLES
from tests.annotation_site.analysis.components import two_people
from tests.annotation_site.analysis.hand_worked import hand_worked_labels, hand_worked_study

PAGE = (Path(__file__).parents[3] / "docs" / "measures.md").read_text(encoding="utf-8")
CATEGORIES = hand_worked_study()["categories"]


def agreement(_: AnnotationFrames) -> pd.DataFrame:
    labels = hand_worked_labels(third_person=True)
    return agreement_table(measure_agreement(labels, min_tokens=4))


def wide_agreement(*by: str) -> pd.DataFrame:
    """Groups down, measures across, in the order of the study's categories."""
    labels = hand_worked_labels(third_person=True)
    known = measure_agreement(labels, min_tokens=4, categories=CATEGORIES)
    table = agreement_table(known if "category" in by else known.by_pair(), by=by)
    wide = table.pivot(index=list(by), columns="measure", values="value")
    return (
        wide.loc[table[list(by)].drop_duplicates().squeeze().tolist()].reset_index()
        if len(by) == 1
        else wide.reset_index()
    )


TABLES: dict[str, Callable[[AnnotationFrames], pd.DataFrame]] = {
    "annotations": lambda labels: annotation_coverage(labels, min_tokens=4),
    "lists": lambda labels: list_coverage(labels, min_tokens=4, categories=CATEGORIES),
    "kinds, min_tokens 4": lambda labels: coverage_table(
        labels, min_tokens=4, categories=CATEGORIES
    ),
    "kinds, min_tokens 3": lambda labels: coverage_table(
        labels, min_tokens=3, categories=CATEGORIES
    ),
    "kinds and layers": lambda labels: coverage_table(
        labels, min_tokens=4, categories=CATEGORIES, by=("kind", "layer")
    ),
    "agreement": agreement,
    "agreement of pairs": lambda labels: wide_agreement("first", "second"),
    "agreement by category": lambda labels: wide_agreement("category"),
    "variance components": lambda labels: variance_components(two_people(), min_tokens=1),
}


def table_of_page(name: str) -> list[list[str]]:
    """Header and rows of the Markdown table under the comment that names it."""
    _, after = PAGE.split(f"<!-- table: {name} -->\n")
    lines = after.split("\n\n")[0].strip().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [cells[0], *cells[2:]]


def test_every_table_of_the_page_is_known() -> None:
    assert set(re.findall("<!-- table: (.*) -->", PAGE)) == set(TABLES)


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_the_worked_study(name: str) -> None:
    header, *rows = table_of_page(name)
    table = TABLES[name](hand_worked_labels())
    assert len(rows) == len(table)
    for cells, (_, values) in zip(rows, table[header].iterrows(), strict=True):
        for column, cell, value in zip(header, cells, values, strict=True):
            if isinstance(value, str):
                assert cell == value, column
            elif pd.isna(value):
                assert cell == "", column
            else:
                assert float(Fraction(cell)) == pytest.approx(value, abs=1e-12), (cells, column)


def test_every_column_of_the_coverage_table_is_explained() -> None:
    labels = hand_worked_labels()
    for column in coverage_table(labels, min_tokens=4, categories=CATEGORIES).columns[2:]:
        assert column in CATEGORIES or f"`{column}`" in PAGE


def test_flags_of_the_worked_study_are_those_proposed() -> None:
    study = hand_worked_study()
    tokens = {one["list_id"]: one["tokens"] for one in study["lists"]}
    for answer in study["annotations"]:
        for pattern in answer["patterns"]:
            members = [tokens[answer["list_id"]][rank - 1] for rank in pattern["ranks"]]
            flag = propose_stopwords_flag([is_stopword(member) for member in members])
            assert flag is pattern["stopwords"], members


def test_the_registry_of_agreement_is_the_page_s() -> None:
    rows = re.findall(
        r"^\| \[(.*)\]\(#agreement\) \| `(\w+)` \| (.*) \| \[(.*)\]\((.*)\) \|$", PAGE, re.M
    )
    assert rows == [
        (one.title, one.name, one.unit, one.source, one.url) for one in AGREEMENT_MEASURES.values()
    ]


@pytest.mark.parametrize("measure", AGREEMENT_MEASURES.values(), ids=lambda one: one.name)
def test_every_measure_of_agreement_says_what_it_is(measure: Measure) -> None:
    assert measure.definition.endswith(".")
    assert measure.url.startswith("https://")
    assert measure.on in ("tokens", "patterns")


def test_machine_annotators_are_on_the_page() -> None:
    assert re.findall("^- `(machine-[a-z]+)`", PAGE, re.M) == list(MACHINE_ANNOTATORS)


def test_every_table_of_the_results_page_is_on_this_page() -> None:
    section = PAGE.split("## What the results page offers")[1].split("## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [
        *RESULT_TABLES,
        *PREFIX_TABLES,
    ]
