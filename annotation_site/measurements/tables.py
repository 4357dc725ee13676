"""A measurement's tables as pages show them, and two of a kind joined: pure functions of CSV.

A column is a key, a value or a detail of a value. Which it is, and how its numbers are written, is
said here once for all measurements; a column that is not named here is a value with two decimals.
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext

from annotation_site.analysis import written

KEYS = frozenset({
    "layer", "kind", "group", "k", "weights", "event", "layers", "statistic", "extreme", "cluster",
    "condition", "attribute", "method", "variant", "index",
})  # fmt: skip
"""Columns that say of what a row is."""
SHARES = frozenset({
    "share", "expected", "saved_share", "accuracy", "accuracy_sd", "changed_top_share",
})  # fmt: skip
COUNTS = frozenset({
    "n", "examples", "events", "induced_by_ffn", "undefined", "input_token", "vectors", "size",
    "active", "tokens", "seeds",
})  # fmt: skip
DETAILS = frozenset({
    "median", "low", "high", "n", "expected", "vectors", "std_iou", "min_iou", "max_iou", "seeds",
    "accuracy_sd", "saved_correct_sd", "saved_all_sd", "undefined",
})  # fmt: skip
"""Columns that two measurements are not compared by."""
MOST_CHOICES = 400  # values of a key that a page offers to choose from


@dataclass(frozen=True)
class Table:
    """A table as its file holds it: texts, an empty one where nothing is defined."""

    name: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    @property
    def keys(self) -> list[int]:
        """Places of the columns that say of what a row is."""
        return [place for place, column in enumerate(self.columns) if column in KEYS]

    @property
    def values(self) -> list[int]:
        """Places of the columns that two measurements are compared by."""
        return [
            place for place, column in enumerate(self.columns)
            if column not in KEYS and column not in DETAILS
        ]  # fmt: skip


@dataclass(frozen=True)
class Heading:
    """A column's name on a page; `span` columns stand under it."""

    text: str
    is_number: bool
    span: int = 1


@dataclass(frozen=True)
class Cell:
    """A cell as a page writes it; `between` is its interval."""

    text: str
    is_number: bool
    between: str = ""


@dataclass(frozen=True)
class ShownTable:
    """Some rows of a table with their headings; `total` rows in all."""

    name: str
    headings: Sequence[Heading]
    rows: Sequence[Sequence[Cell]]
    total: int
    parts: Sequence[Heading] = ()  # a second line of headings

    @property
    def is_whole(self) -> bool:
        """Whether no row is left out."""
        return len(self.rows) == self.total


@dataclass(frozen=True)
class Choice:
    """A key by which rows can be chosen: its values, in their order."""

    name: str
    values: Sequence[str]


def read_table(name: str, content: str) -> Table:
    """A table of the text of its CSV."""
    lines = list(csv.reader(io.StringIO(content)))
    return Table(name, tuple(lines[0]), [tuple(line) for line in lines[1:]])


def choices_of(table: Table) -> list[Choice]:
    """The keys that tell rows apart, with their values as they come."""
    found = []
    for place in table.keys:
        values = list(dict.fromkeys(row[place] for row in table.rows))
        if 2 <= len(values) <= MOST_CHOICES:
            found.append(Choice(table.columns[place], values))
    return found


def rows_where(table: Table, chosen: Mapping[str, str]) -> Table:
    """The rows whose keys have the chosen values; an empty value chooses all."""
    wanted = [(table.columns.index(name), value) for name, value in chosen.items() if value]
    rows = [row for row in table.rows if all(row[place] == value for place, value in wanted)]
    return Table(table.name, table.columns, rows)


def shown(table: Table, first: int = 0, most: int | None = None) -> ShownTable:
    """Rows from `first` on, at most `most` of them; an interval stands with its value."""
    last = None if most is None else first + most
    main = _main(table)
    places = [
        place for place, column in enumerate(table.columns)
        if main is None or column not in ("low", "high")
    ]  # fmt: skip
    rows = [
        [
            Cell(
                _write(table, place, row[place]),
                _is_number(table.columns[place]),
                _between(table, row) if place == main else "",
            )
            for place in places
        ]
        for row in table.rows[first:last]
    ]
    headings = [
        Heading(said(table.columns[place]), _is_number(table.columns[place])) for place in places
    ]
    return ShownTable(table.name, headings, rows, len(table.rows))


def joined(one: Table, other: Table, labels: tuple[str, str], difference: str) -> ShownTable:
    """The rows of two tables side by side by their keys, with differences, the second minus first.

    A row that only one of them has is there too, with dashes.
    """
    keys = [name for name in one.columns if name in KEYS and name in other.columns]
    values = [one.columns[place] for place in one.values if one.columns[place] in other.columns]
    first, second = _by_key(one, keys), _by_key(other, keys)
    headings = [Heading(said(name), _is_number(name)) for name in keys]
    parts = []
    for name in values:
        headings.append(Heading(said(name), True, 3))
        parts += [Heading(part, True) for part in (*labels, difference)]
    rows = []
    for key in dict.fromkeys((*first, *second)):
        cells = [Cell(text, _is_number(name)) for name, text in zip(keys, key, strict=True)]
        for name in values:
            cells += _compared(name, one, first.get(key), other, second.get(key))
        rows.append(cells)
    return ShownTable(one.name, headings, rows, len(rows), parts)


def said(column: str) -> str:
    """A column's name with spaces."""
    return column.replace("_", " ")


def _compared(
    name: str,
    one: Table,
    row: tuple[str, ...] | None,
    other: Table,
    other_row: tuple[str, ...] | None,
) -> list[Cell]:
    cells, numbers = [], []
    for table, found in ((one, row), (other, other_row)):
        place = table.columns.index(name)
        text = found[place] if found else ""
        between = _between(table, found) if found and place == _main(table) else ""
        cells.append(Cell(_write(table, place, text), True, between))
        numbers.append(float(text) if text else None)
    before, after = numbers
    apart = None if before is None or after is None else after - before
    return [*cells, Cell(_difference(name, apart), True)]


def _difference(name: str, apart: float | None) -> str:
    if name in SHARES:
        return written.points(apart)
    if apart is None:
        return written.MISSING
    if name in COUNTS:
        return f"{round(apart):+,}".replace("-", "−") if round(apart) else "0"
    size = written.decimal(apart)
    return size if size.startswith("−") or not float(size.replace(",", "")) else f"+{size}"


def _by_key(table: Table, keys: Sequence[str]) -> dict[tuple[str, ...], tuple[str, ...]]:
    places = [table.columns.index(name) for name in keys]
    return {tuple(row[place] for place in places): row for row in table.rows}


def _is_number(column: str) -> bool:
    return column not in KEYS or column in ("layer", "k", "cluster", "index")


def _main(table: Table) -> int | None:
    """The place of the value that `low` and `high` belong to, where the table has them."""
    if "low" not in table.columns or "high" not in table.columns:
        return None
    return next(iter(table.values), None)


def _between(table: Table, row: tuple[str, ...]) -> str:
    main = _main(table)
    if main is None:
        return ""
    low, high = (row[table.columns.index(end)] for end in ("low", "high"))
    if not low or not high:
        return ""
    # As on the results page: the unit stands behind the upper end alone.
    ends = {"low": _write(table, main, low).rstrip("%"), "high": _write(table, main, high)}
    return gettext("%(low)s to %(high)s") % ends


def _write(table: Table, place: int, text: str) -> str:
    column = table.columns[place]
    if column == "median" and (main := next(iter(table.values), None)) is not None:
        column = table.columns[main]
    if column in KEYS:
        return text
    if not text:
        return written.MISSING
    return _WRITERS.get(column, _decimal)(text)


def _decimal(text: str) -> str:
    try:
        return written.decimal(float(text))
    except ValueError:
        return text  # a column of words


_WRITERS: dict[str, Callable[[str], str]] = {
    **{name: lambda text: written.share(float(text)) for name in SHARES},
    **{name: lambda text: written.count(round(float(text))) for name in COUNTS},
}
