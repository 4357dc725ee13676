"""The input of an export format: a named table with typed columns."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # the web process writes exports and must not pay for loading pandas
    import pandas as pd

Cell = str | int | float | None
"""A text, a number, or None where a value is missing or undefined."""

Row = tuple[Cell, ...]


@dataclass(frozen=True)
class Column:
    """A column's name, and whether its cells are texts or numbers (int or float)."""

    name: str
    kind: Literal["text", "number"]


@dataclass(frozen=True)
class Table:
    """A table to write: `rows` is read once, in order, so it can be a generator."""

    name: str
    columns: tuple[Column, ...]
    rows: Iterable[Row]

    def checked_rows(self) -> Iterator[Row]:
        """The rows, each with a cell for every column. Raises ValueError for another length."""
        for number, row in enumerate(self.rows, start=1):
            if len(row) != len(self.columns):
                raise ValueError(
                    f"Row {number} has {len(row)} cells for {len(self.columns)} columns."
                )
            yield row


MADE_UP = Column("made_up", "number")
"""Last column of every table of a study whose annotations are made up; 1 in each row."""


def marked(table: Table, made_up: bool) -> Table:
    """The table, with the column `MADE_UP` if its annotations are made up."""
    if not made_up:
        return table
    return Table(table.name, (*table.columns, MADE_UP), ((*row, 1) for row in table.rows))


def table_from_frame(name: str, frame: "pd.DataFrame") -> Table:
    """Make a table of a dataframe, without its index; NaN and None become missing cells.

    Columns of integer and float type, and those that hold nothing else, become numbers, every other
    column text.
    """
    frame = frame.infer_objects()
    columns = tuple(
        Column(str(label), "number" if dtype.kind in "iuf" else "text")
        for label, dtype in frame.dtypes.items()
    )
    cells = frame.astype(object).where(frame.notna(), None)
    return Table(name, columns, cells.itertuples(index=False, name=None))
