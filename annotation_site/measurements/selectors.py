"""Queries of measurements: lists, results, and two of a kind side by side."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext

from annotation_site.accounts.models import User
from annotation_site.annotation.lists.hidden import hidden_from
from annotation_site.corpus.models import Extraction, LanguageModel
from annotation_site.corpus.selectors import StepState
from annotation_site.errors import Invalid, NotAllowed, NotFound
from annotation_site.measurements.files import file_content
from annotation_site.measurements.models import (
    Measurement,
    MeasurementFile,
    MeasurementLine,
)
from ffn_extract.measurements import (
    MEASUREMENTS,
    RUN_NO_MODEL,
    STEPS_OF_SOME,
    STEPS_WITHOUT,
)
from ffn_extract.progress import MEASUREMENT_STEPS, STEPS

State = Measurement.State
Cell = str | int | float | None
Row = list[Cell]
_OF_NORM = ("checkpoint", "vectors", "random", "projection")
MOST_OTHERS = 50
TABLE, FIGURES = ".csv", (".svg", ".pdf")


def measurements(
    *, model: LanguageModel | int | None = None, name: str = "", state: str = ""
) -> QuerySet[Measurement]:
    """All measurements, newest first, or those of a model (or its number), of a kind or in a state.

    Without the columns that only the page of one needs.
    """
    found = Measurement.objects.select_related("model", "requested_by")
    found = found.defer("manifest", "environment", "words", "reading")
    given = {"model": model, "name": name, "state": state}
    return found.filter(**{field: value for field, value in given.items() if value})


def require_shown(model: LanguageModel, user: User) -> None:
    """Raises NotAllowed for a person who annotates lists of a model in an unfinished study."""
    if hidden_from(user).is_about(model.weights_digest):
        raise NotAllowed(
            gettext(
                "You annotate lists of this model in an unfinished study. Its measurements are "
                "open to you when the study is closed."
            )
        )


def measurement_of(public_id: UUID, user: User, **where: Any) -> Measurement:
    """A measurement by its id, where the person may see it.

    Its tables and texts are about vectors: see `require_shown`. Raises NotFound and NotAllowed.
    """
    whole = Measurement.objects.select_related("model", "requested_by")
    found = whole.filter(public_id=public_id, **where).first()
    if found is None:
        raise NotFound(gettext("There is no such measurement."))
    require_shown(found.model, user)
    return found


def measurable_models() -> QuerySet[LanguageModel]:
    """The models that have a ready extraction here, by name."""
    ready = Extraction.objects.filter(state=Extraction.State.READY)
    return LanguageModel.objects.filter(pk__in=ready.values("model")).order_by("name", "pk")


def measured_models() -> QuerySet[LanguageModel]:
    """The models that have a measurement, by name."""
    measured = Measurement.objects.values("model")
    return LanguageModel.objects.filter(pk__in=measured).order_by("name", "pk")


def others_of_kind(measurement: Measurement) -> list[Measurement]:
    """Other ready measurements of the same kind, newest first, as a page offers them."""
    found = measurements(name=measurement.name, state=State.READY).exclude(pk=measurement.pk)
    return list(found[:MOST_OTHERS])


def measurement_names() -> list[str]:
    """The kinds of measurements, in the order of the registry."""
    return list(MEASUREMENTS)


def measurement_log(
    measurement: Measurement, *, at_most: int | None = None
) -> list[MeasurementLine]:
    """The lines of a measurement's log, newest first; by default all of them."""
    return list(measurement.log.select_related("person").order_by("-pk")[:at_most])


def measurement_steps(measurement: Measurement) -> list[StepState]:
    """Every step of a measurement in order, with its state."""
    if measurement.name in RUN_NO_MODEL:
        steps = [step for step in STEPS if step[0] in _OF_NORM]
    else:
        steps = [step for step in MEASUREMENT_STEPS if _has_step(measurement, step[0])]
    keys = [key for key, _ in steps]
    ready, running = measurement.state == State.READY, measurement.state == State.RUNNING
    # A process that has yet to load its libraries reports no step: it is about to do the first.
    current = keys.index(measurement.step) if measurement.step in keys else 0 if running else -1
    found = []
    for position, (key, title) in enumerate(steps):
        if ready or position < current:
            state = "done"
        elif position > current or measurement.state not in (State.RUNNING, State.FAILED):
            state = "waiting"
        else:
            state = "running" if running else "failed"
        shown = (measurement.step_done, measurement.step_total) if state == "running" else (0, 0)
        found.append(StepState(key, gettext(title), state, *shown))
    return found


def _has_step(measurement: Measurement, step: str) -> bool:
    if step == "control" and not measurement.parameters.get("control"):
        return False
    without = STEPS_WITHOUT.get(step, ())
    return measurement.name in STEPS_OF_SOME.get(step, MEASUREMENTS) and (
        measurement.name not in without
    )


@dataclass(frozen=True)
class Table:
    """A table of a measurement, or some rows of it.

    Cells are whole numbers, numbers, words, or None where a number is undefined. `about` says what
    each column holds; `count` counts all rows.
    """

    name: str
    columns: list[str]
    rows: list[Row]
    about: Mapping[str, str]
    count: int


@dataclass(frozen=True)
class Figure:
    """A figure: its title, and the files that hold it by extension."""

    name: str
    title: str
    files: Mapping[str, MeasurementFile]


def measurement_files(measurement: Measurement) -> list[MeasurementFile]:
    """The files of a ready measurement, by name, without their bytes."""
    return list(measurement.files.all())


def measurement_file(measurement: Measurement, name: str) -> tuple[MeasurementFile, bytes]:
    """A file with its bytes. Raises NotFound."""
    found = measurement.files.select_related("content").filter(name=name).first()
    if found is None:
        raise NotFound(gettext("This measurement has no such file."))
    return found, file_content(found)


def figures(measurement: Measurement) -> list[Figure]:
    """The figures of a ready measurement, in its own order."""
    there = {file.name: file for file in measurement_files(measurement)}
    found = []
    for name, title in measurement.about.get("figures", []):
        files = {e[1:]: there[name + e] for e in FIGURES if name + e in there}
        if files:
            found.append(Figure(str(name), str(title), files))
    return found


def table_names(measurement: Measurement) -> list[str]:
    """The names of a ready measurement's tables, in its own order."""
    return [str(name) for name in measurement.about.get("tables", [])]


def table(
    measurement: Measurement, name: str, *, offset: int = 0, limit: int | None = None
) -> Table:
    """A table of a ready measurement, or `limit` rows of it. Raises NotFound."""
    if name not in table_names(measurement):
        raise NotFound(gettext("This measurement has no such table."))
    _, content = measurement_file(measurement, name + TABLE)
    columns, rows = _read(content)
    about = measurement.about.get("columns", {}).get(name, {})
    end = None if limit is None else offset + limit
    return Table(name, columns, rows[offset:end], about, len(rows))


def tables(measurement: Measurement) -> list[Table]:
    """All tables of a ready measurement."""
    return [table(measurement, name) for name in table_names(measurement)]


def _read(content: bytes) -> tuple[list[str], list[Row]]:
    lines = csv.reader(io.StringIO(content.decode()))
    columns = next(lines, [])
    texts = [line for line in lines if len(line) == len(columns)]
    kinds = [_kind([row[i] for row in texts]) for i in range(len(columns))]
    return columns, [
        [_cell(text, kind) for text, kind in zip(row, kinds, strict=True)] for row in texts
    ]


def _kind(texts: Sequence[str]) -> type:
    """The type of a column: a column with one word in it is one of words."""
    for kind in (int, float):
        try:
            for text in texts:
                if text:
                    kind(text)
        except ValueError:
            continue
        if any(texts):
            return kind
    return str


def _cell(text: str, kind: type) -> Cell:
    if kind is str:
        return text
    value: Cell = kind(text) if text else None
    return value


@dataclass(frozen=True)
class Pair:
    """A value in two measurements; `difference` is the second's less the first's, of numbers."""

    first: Cell
    second: Cell

    @property
    def difference(self) -> float | None:
        if isinstance(self.first, str) or isinstance(self.second, str):
            return None
        if self.first is None or self.second is None:
            return None
        return self.second - self.first


@dataclass(frozen=True)
class JoinedTable:
    """A table of two measurements. Each row has the keys' cells, and a pair for each value."""

    name: str
    keys: list[str]
    values: list[str]
    rows: list[tuple[Row, list[Pair]]]
    about: Mapping[str, str]


def side_by_side(first: Measurement, second: Measurement) -> list[JoinedTable]:
    """The tables that two ready measurements of a kind both have, joined on their key columns.

    The key columns are the fewest leading ones that tell the rows of both apart; where none do,
    rows are joined by their place. Raises Invalid for two kinds, and for one that is not ready.
    """
    if first.name != second.name:
        raise Invalid(gettext("Choose two measurements of one kind."))
    if not first.state == second.state == State.READY:
        raise Invalid(gettext("Both measurements must be ready. Come back when they are."))
    own, other = table_names(first), set(table_names(second))
    return [_joined(table(first, name), table(second, name)) for name in own if name in other]


def _joined(first: Table, second: Table) -> JoinedTable:
    columns = [name for name in first.columns if name in second.columns]
    rows = [_in_order(one, columns) for one in (first, second)]
    n = next((n for n in range(1, len(columns)) if all(_differ(some, n) for some in rows)), 0)
    by_key = [_by_key(some, n) for some in rows]
    keys = list(dict.fromkeys([*by_key[0], *by_key[1]]))
    empty: Row = [None] * (len(columns) - n)
    joined = []
    for key in keys:
        values = [some.get(key, empty) for some in by_key]
        pairs = [Pair(a, b) for a, b in zip(*values, strict=True)]
        joined.append((list(key) if n else [], pairs))
    return JoinedTable(first.name, columns[:n], columns[n:], joined, first.about)


def _in_order(one: Table, columns: Sequence[str]) -> list[Row]:
    places = [one.columns.index(name) for name in columns]
    return [[row[place] for place in places] for row in one.rows]


def _differ(rows: Sequence[Row], n: int) -> bool:
    return len({tuple(row[:n]) for row in rows}) == len(rows)


def _by_key(rows: Sequence[Row], n: int) -> dict[tuple[Any, ...], Row]:
    return dict(_keyed(rows, n))


def _keyed(rows: Sequence[Row], n: int) -> Iterator[tuple[tuple[Any, ...], Row]]:
    for place, row in enumerate(rows):
        yield (tuple(row[:n]) if n else (place,)), row[n:]
