"""What the pages of measurements show: rows, figures, tables, and two side by side."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext

from annotation_site.errors import NotFound
from annotation_site.measurements import tables
from annotation_site.measurements.figures import (
    Drawing,
    Figure,
    Scale,
    drawing_of,
    figure_of,
    scale_of,
)
from annotation_site.measurements.files import file_content
from annotation_site.measurements.models import Measurement, MeasurementFile
from ffn_extract.measurements import RUN_NO_MODEL

MOST_OPEN = 12  # rows of a table that is not folded
MOST_SHOWN = 25  # rows of a longer one, on the measurement's page
MOST_JOINED = 400  # rows of two tables side by side
MOST_READ = 4_000_000  # bytes of a table that a page reads; a larger one is a download
EXTENSIONS = ("csv", "parquet")
DRAWN = (".svg", ".pdf")
KINDS = {"csv": "CSV", "parquet": "Parquet"}


@dataclass(frozen=True)
class Row:
    """A measurement in a list."""

    measurement: Measurement
    percent: int | None
    has_examples: bool


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
    """A table on a page: its first rows, and what its columns hold."""

    shown: tables.ShownTable
    columns: Sequence[tuple[str, str]] = ()
    files: Sequence[NamedFile] = ()
    is_open: bool = False
    left_out: int = 0


@dataclass(frozen=True)
class Difference:
    """A parameter that two measurements do not share."""

    name: str
    one: Any
    other: Any


def has_examples(measurement: Measurement) -> bool:
    """Whether the measurement reads a corpus."""
    return measurement.name not in RUN_NO_MODEL


def words_of(measurement: Measurement) -> list[str]:
    """The result in words, a paragraph each."""
    return [line for line in measurement.words.splitlines() if line.strip()]


def table_of(measurement: Measurement, name: str) -> tables.Table | None:
    """A table of a ready measurement; None for one that is too large to show.

    Raises NotFound for a name that none of its tables has.
    """
    file = measurement.files.filter(name=f"{name}.csv").first()
    if name not in columns_of(measurement) or file is None:
        raise NotFound(gettext("This measurement has no such table."))
    if file.size > MOST_READ:
        return None
    return tables.read_table(name, file_content(file).decode())


def columns_of(measurement: Measurement) -> Mapping[str, Mapping[str, str]]:
    """What each column of each table holds."""
    found: Mapping[str, Mapping[str, str]] = measurement.about.get("columns", {})
    return found


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
    """The tables that have a CSV, short ones whole and open."""
    names = {file.name for file in files}
    found = []
    for name, columns in columns_of(measurement).items():
        if f"{name}.csv" not in names or (table := table_of(measurement, name)) is None:
            continue
        few = len(table.rows) <= MOST_OPEN
        found.append(
            PageTable(
                tables.shown(table, most=MOST_SHOWN),
                [(tables.said(column), holds) for column, holds in columns.items()],
                [
                    NamedFile(f"{name}.{end}", KINDS[end])
                    for end in EXTENSIONS
                    if f"{name}.{end}" in names
                ],
                is_open=few,
            )
        )
    return found


def differences(one: Measurement, other: Measurement) -> list[Difference]:
    """Model, corpus and parameters that differ, the model first."""
    sides = [
        {
            gettext("model"): str(side.model),
            gettext("weights"): side.model.weights_digest,
            **({gettext("corpus"): side.corpus_name} if has_examples(side) else {}),
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
    """The tables that both have, joined by their keys, with differences."""
    found = []
    for name in columns_of(one):
        if name not in columns_of(other) or not _have_csv(name, one, other):
            continue
        first, second = table_of(one, name), table_of(other, name)
        if first is None or second is None:
            continue
        whole = tables.joined(first, second, ("A", "B"), gettext("difference"))
        part = tables.ShownTable(
            whole.name, whole.headings, whole.rows[:MOST_JOINED], whole.total, whole.parts
        )
        is_open = whole.total <= MOST_OPEN
        found.append(PageTable(part, is_open=is_open, left_out=whole.total - len(part.rows)))
    return found


def _have_csv(name: str, *measurements: Measurement) -> bool:
    return all(one.files.filter(name=f"{name}.csv").exists() for one in measurements)


def _half(figure: Figure, letter: str, scale: Scale) -> Chart:
    drawings = [drawing_of(figure, layout, scale) for layout in ("half", "narrow")]
    return Chart(f"{figure.name}-{letter}", figure, drawings, letter=letter)


def _figures(measurement: Measurement) -> list[Figure]:
    return [figure_of(entries) for entries in measurement.about.get("figures", [])]
