"""A measurement's tables as pages show them, and two of a kind joined: pure functions of rows.

A column is a key, a value or a detail of a value. Which it is, and how its numbers are written, is
said here once for all measurements; a column that is not named here is a value with two decimals.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from django.utils.translation import gettext

from annotation_site.analysis import written
from annotation_site.measurements.selectors import Cell as Value
from annotation_site.measurements.selectors import JoinedTable, Pair, Row, Table

KEYS = frozenset({
    "layer", "kind", "group", "k", "weights", "event", "layers", "statistic", "extreme", "cluster",
    "condition", "attribute", "method", "variant", "index", "bin",
})  # fmt: skip
"""Columns that say of what a row is."""
SHARES = frozenset({
    "share", "expected", "saved_share", "accuracy", "accuracy_sd", "changed_top_share",
    "agreement", "chance", "precision_50", "active_share", "composed_share", "matches_final",
    "from_x", "from_o", "both", "neither",
})  # fmt: skip
COUNTS = frozenset({
    "n", "examples", "events", "induced_by_ffn", "undefined", "input_token", "vectors", "size",
    "active", "tokens", "seeds", "keys",
})  # fmt: skip
DETAILS = frozenset({
    "median", "low", "high", "n", "expected", "vectors", "std_iou", "min_iou", "max_iou", "seeds",
    "accuracy_sd", "saved_correct_sd", "saved_all_sd", "undefined",
})  # fmt: skip
"""Columns that two measurements are not compared by."""
ENDS = frozenset({"low", "high"})
"""Of the interval of a table's first value."""
USUAL_K = 10  # dominant sub-updates
MOST_CHOICES = 400  # values of a key that a page offers to choose from

T = TypeVar("T")
JoinedRow = tuple[Row, list[Pair]]


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


def choices_of(table: Table) -> list[Choice]:
    """The keys that tell rows apart, with their values as they come."""
    found = []
    for place, column in enumerate(table.columns):
        values = list(dict.fromkeys(_word(row[place]) for row in table.rows))
        if column in KEYS and 2 <= len(values) <= MOST_CHOICES:
            found.append(Choice(column, values))
    return found


def rows_where(table: Table, chosen: Mapping[str, str]) -> list[Row]:
    """The rows whose keys have the chosen values."""
    wanted = [(table.columns.index(name), value) for name, value in chosen.items()]
    return [row for row in table.rows if all(_word(row[place]) == value for place, value in wanted)]


def usual(table: Table, most: int) -> tuple[Sequence[Row], str]:
    """The rows of a table that a page shows first, and in words which they are.

    Of a table with more than `most` rows, those of the 10 dominant sub-updates, as in its figure.
    """
    if len(table.rows) <= most or "k" not in table.columns:
        return table.rows, ""
    place = table.columns.index("k")
    return _of_ten(table.rows, [row[place] for row in table.rows])


def usual_joined(table: JoinedTable, most: int) -> tuple[Sequence[JoinedRow], str]:
    """The same of two joined tables."""
    if len(table.rows) <= most or "k" not in table.keys:
        return table.rows, ""
    place = table.keys.index("k")
    return _of_ten(table.rows, [key[place] for key, _ in table.rows])


def _of_ten(rows: Sequence[T], numbers: Sequence[Value]) -> tuple[Sequence[T], str]:
    chosen = [row for row, k in zip(rows, numbers, strict=True) if k == USUAL_K]
    return (chosen, f"k = {USUAL_K}") if chosen else (rows, "")


def shown(name: str, columns: Sequence[str], rows: Sequence[Row], total: int) -> ShownTable:
    """Rows of a table; an interval stands with its value."""
    main = _main(columns)
    places = [n for n, name in enumerate(columns) if main is None or name not in ENDS]
    cells = [
        [
            Cell(
                _write(columns[place], row[place], main),
                _is_number(columns[place]),
                _between(dict(zip(columns, row, strict=True)), main)
                if columns[place] == main
                else "",
            )
            for place in places
        ]
        for row in rows
    ]
    headings = [Heading(said(columns[n]), _is_number(columns[n])) for n in places]
    return ShownTable(name, headings, cells, total)


def shown_joined(
    table: JoinedTable, rows: Sequence[JoinedRow], labels: tuple[str, str], difference: str
) -> ShownTable:
    """Rows of two tables side by side: each value of both, and their difference."""
    main = _main(table.values)
    compared = [name for name in table.values if name not in DETAILS]
    headings = [Heading(said(name), _is_number(name)) for name in table.keys]
    parts = []
    for name in compared:
        headings.append(Heading(said(name), True, 3))
        parts += [Heading(part, True) for part in (*labels, difference)]
    written_rows = []
    for key, pairs in rows:
        cells = [
            Cell(_word(value), _is_number(name))
            for name, value in zip(table.keys, key, strict=True)
        ]
        found = dict(zip(table.values, pairs, strict=True))
        sides = [{name: pair.first for name, pair in found.items()}]
        sides.append({name: pair.second for name, pair in found.items()})
        for name in compared:
            cells += [
                Cell(_write(name, side[name], main), True, _between(side, main) * (name == main))
                for side in sides
            ]
            cells.append(Cell(_difference(name, found[name].difference), True))
        written_rows.append(cells)
    return ShownTable(table.name, headings, written_rows, len(table.rows), parts)


def said(column: str) -> str:
    """A column's name with spaces."""
    return column.replace("_", " ")


def _difference(name: str, apart: float | None) -> str:
    if name in SHARES:
        return written.points(apart)
    if apart is None:
        return written.MISSING
    size = written.count(round(apart)) if name in COUNTS else written.decimal(apart)
    size = size.replace("-", "−")
    return size if size.startswith("−") or not float(size.replace(",", "")) else f"+{size}"


def _is_number(column: str) -> bool:
    return column not in KEYS or column in ("layer", "k", "cluster", "index")


def _main(columns: Sequence[str]) -> str | None:
    """The value that `low` and `high` belong to, where the table has them."""
    if not ENDS.issubset(columns):
        return None
    return next((name for name in columns if name not in KEYS and name not in DETAILS), None)


def _between(row: Mapping[str, Value], main: str | None) -> str:
    if main is None or row["low"] is None or row["high"] is None:
        return ""
    low, high = (_write(main, row[end], main) for end in ("low", "high"))
    # As on the results page: the unit stands behind the upper end alone.
    return gettext("%(low)s to %(high)s") % {"low": low.rstrip("%"), "high": high}


def _write(column: str, value: Value, main: str | None) -> str:
    if column in KEYS or isinstance(value, str):
        return _word(value)
    if value is None:
        return written.MISSING
    return _WRITERS.get(main or column if column == "median" else column, written.decimal)(value)


def _word(value: Value) -> str:
    return "" if value is None else str(value)


_WRITERS: dict[str, Callable[[float], str]] = {
    **dict.fromkeys(SHARES, written.share),
    **dict.fromkeys(COUNTS, lambda value: written.count(round(value))),
}
