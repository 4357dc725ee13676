"""Rows, figures and tables of measurements for pages, and two measurements side by side."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext

from annotation_site.errors import Invalid
from annotation_site.measurements import selectors, tables
from annotation_site.measurements.figures import (
    Drawing,
    Figure,
    Scale,
    drawing_of,
    figure_of,
    scale_of,
)
from annotation_site.measurements.models import Measurement, MeasurementFile
from annotation_site.measurements.progress import share_done

MOST_OPEN = 12  # rows of a table that is not folded
MOST_JOINED_OPEN = 80
MOST_SHOWN = 25  # rows of a longer one, on the measurement's page
MOST_JOINED = 400  # rows of two tables side by side
MOST_READ = 4_000_000  # bytes of a table that a page reads; a larger one is a download
DRAWN = (".svg", ".pdf")
KINDS = {"csv": "CSV", "parquet": "Parquet"}


@dataclass(frozen=True)
class Row:
    """A measurement in a list."""

    measurement: Measurement
    percent: int | None


@dataclass(frozen=True)
class Chart:
    """A figure with its drawings for a wide and for a narrow page."""

    id: str
    figure: Figure
    drawings: Sequence[Drawing]
    files: Sequence[str] = ()
    letter: str = ""


@dataclass(frozen=True)
class NamedFile:
    """A file of a table, with what its format is called."""

    name: str
    kind: str


@dataclass(frozen=True)
class PageTable:
    """A table on a page: some of its rows, what its columns hold, and how the rows were chosen."""

    shown: tables.ShownTable
    columns: Sequence[tuple[str, str]] = ()
    files: Sequence[NamedFile] = ()
    is_open: bool = False
    chosen: str = ""


@dataclass(frozen=True)
class Difference:
    """A parameter that two measurements do not share."""

    name: str
    one: Any
    other: Any


def rows_of(measurements: Iterable[Measurement]) -> list[Row]:
    """Measurements as a list shows them."""
    found = []
    for one in measurements:
        steps = selectors.measurement_steps(one) if one.state == Measurement.State.RUNNING else []
        found.append(Row(one, int(100 * share_done(steps)) if steps else None))
    return found


def parameters_of(measurement: Measurement) -> list[tuple[str, Any]]:
    """The parameters in a ready measurement's manifest; of another, the options that are set."""
    found = measurement.parameters
    if measurement.is_ready:
        found = json.loads(measurement.manifest or "{}").get("parameters", {})
    return [(name, value) for name, value in found.items() if value is not None]


def words_of(measurement: Measurement) -> list[str]:
    """The result in words, a paragraph each."""
    return [line for line in measurement.words.splitlines() if line.strip()]


def table_of(measurement: Measurement, name: str) -> selectors.Table:
    """A whole table of a ready measurement.

    Raises NotFound for a name that none of its tables has, Invalid for one that is too large.
    """
    size = measurement.files.filter(name=f"{name}.csv").values_list("size", flat=True).first()
    if size is not None and size > MOST_READ:
        raise Invalid(gettext("This table is too large for a page. Download it as CSV or Parquet."))
    return selectors.table(measurement, name)


def columns_said(table: selectors.Table) -> list[tuple[str, str]]:
    """The meaning of each column, by the name that pages give it."""
    return [(tables.said(column), holds) for column, holds in table.about.items()]


def charts_of(measurement: Measurement, files: Iterable[MeasurementFile]) -> list[Chart]:
    """The figures, each on its own scale."""
    names = {file.name for file in files}
    return [
        Chart(
            figure.name,
            figure,
            [drawing_of(figure, "wide"), drawing_of(figure, "narrow")],
            [end for end in DRAWN if f"{figure.name}{end}" in names],
        )
        for figure in _figures(measurement)
    ]


def tables_of(measurement: Measurement, files: Iterable[MeasurementFile]) -> list[PageTable]:
    """The tables: short ones whole and open, of long ones the usual rows."""
    sizes = {file.name: file.size for file in files}
    found = []
    for name in selectors.table_names(measurement):
        if sizes.get(f"{name}.csv", MOST_READ + 1) > MOST_READ:
            continue  # its file is in the list of files
        table = selectors.table(measurement, name)
        rows, chosen = tables.usual(table, MOST_SHOWN)
        found.append(
            PageTable(
                tables.shown(name, table.columns, rows[:MOST_SHOWN], table.count),
                columns_said(table),
                [
                    NamedFile(f"{name}.{end}", words)
                    for end, words in KINDS.items()
                    if f"{name}.{end}" in sizes
                ],
                is_open=table.count <= MOST_OPEN,
                chosen=chosen,
            )
        )
    return found


def differences(one: Measurement, other: Measurement) -> list[Difference]:
    """Model, corpus and parameters that differ, the model first."""
    sides = [
        {
            gettext("model"): str(side.model),
            gettext("weights"): side.model.weights_digest,
            **({gettext("corpus"): side.corpus_name} if side.reads_corpus else {}),
            **side.parameters,
        }
        for side in (one, other)
    ]
    first, second = sides
    return [
        Difference(name, first.get(name), second.get(name))
        for name in dict.fromkeys((*first, *second))
        if first.get(name) != second.get(name)
    ]


def chart_pairs(one: Measurement, other: Measurement) -> list[list[Chart]]:
    """The figures of both by name, the two of a pair on one scale."""
    seconds = {figure.name: figure for figure in _figures(other)}
    return [
        [
            _half(figure, letter, scale_of([first, second]))
            for letter, figure in (("A", first), ("B", second))
        ]
        for first in _figures(one)
        if (second := seconds.get(first.name)) is not None
    ]


def joined_tables(one: Measurement, other: Measurement) -> list[PageTable]:
    """The tables that both have, joined by their keys, with differences.

    Raises Invalid for two kinds, and where one is not ready.
    """
    found = []
    for table in selectors.side_by_side(one, other):
        rows, chosen = tables.usual_joined(table, MOST_JOINED)
        shown = tables.shown_joined(table, rows[:MOST_JOINED], ("A", "B"), gettext("difference"))
        is_open = len(rows) <= MOST_JOINED_OPEN
        found.append(PageTable(shown, is_open=is_open, chosen=chosen))
    return found


def _half(figure: Figure, letter: str, scale: Scale) -> Chart:
    drawings = [drawing_of(figure, layout, scale) for layout in ("half", "narrow")]
    return Chart(f"{figure.name}-{letter}", figure, drawings, letter=letter)


def _figures(measurement: Measurement) -> list[Figure]:
    return [figure_of(entries) for entries in measurement.about.get("lines", [])]
