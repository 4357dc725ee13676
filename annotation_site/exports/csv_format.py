"""CSV that spreadsheets cannot execute and that `read` turns back into exactly what was written.

The dialect, which is part of the product's interface:

- UTF-8 without a byte-order mark; RFC 4180: commas, CRLF after every record, a header record,
  double quotes around cells that hold a comma, a quote, CR or LF, quotes doubled inside.
- A missing cell is empty; an empty text is ``""``. (Readers that know one kind of empty cell see
  both as missing.)
- An integer is written in decimal, a float as the shortest text that gives the same float back
  (Python's ``repr``: ``0.1``, ``1.0``, ``1e-07``). Infinite numbers are refused.
- Texts, column names included, whose first character after any leading apostrophes is ``=``,
  ``+``, ``-``, ``@``, tab or CR get one more leading apostrophe, so that no spreadsheet takes them
  for a formula. Reading removes one from texts of that shape. Numbers are never touched.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from numbers import Integral, Real

from annotation_site.exports.table import Cell, Column, Row, Table

_CHUNK_BYTES = 64 * 1024
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NEUTRALISED = re.compile(r"'+[=+\-@\t\r]")
_NEEDS_QUOTES = re.compile(r'[",\r\n]')
_INTEGER = re.compile(r"-?[0-9]+")
_FLOAT = re.compile(r"-?[0-9]+(\.[0-9]+)?(e[+-][0-9]+)?")
# One cell and what ends it. A quoted cell is tried first: an unquoted one may be empty.
_CELL = re.compile(r'(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)')


class CsvFormat:
    """Comma-separated values in the dialect that this module documents."""

    media_type = "text/csv; charset=utf-8"
    extension = "csv"

    def write(self, table: Table) -> Iterator[bytes]:
        """Yield the file in pieces of about 64 KiB.

        Raises ValueError for a row of the wrong length or an infinite number, and TypeError for a
        cell that does not suit its column.
        """
        lines: list[str] = []
        size = 0
        for line in _lines(table):
            lines.append(line)
            size += len(line)
            if size >= _CHUNK_BYTES:
                yield "".join(lines).encode()
                lines, size = [], 0
        if lines:
            yield "".join(lines).encode()


def read(data: bytes, *, name: str, columns: Sequence[Column]) -> Table:
    """Read what `CsvFormat.write` wrote: the same columns, the same cells, of the same types.

    Raises
    ------
    ValueError
        When the bytes are not in the dialect, the header names other columns, or a number column
        holds something else; the message says which record.
    """
    records = list(_records(data.decode()))
    header = [_restored(cell) for cell in records[0]] if records else []
    if header != [column.name for column in columns]:
        raise ValueError(f"The header is {header}, expected {[c.name for c in columns]}.")
    rows = [
        _parse_row(record, columns, number) for number, record in enumerate(records[1:], start=2)
    ]
    return Table(name, tuple(columns), rows)


def _lines(table: Table) -> Iterator[str]:
    yield _line(_text(column.name) for column in table.columns)
    writers = [_text if column.kind == "text" else _number for column in table.columns]
    for number, row in enumerate(table.rows, start=1):
        if len(row) != len(writers):
            raise ValueError(f"Row {number} has {len(row)} cells for {len(writers)} columns.")
        yield _line(write(cell) for write, cell in zip(writers, row, strict=True))


def _line(cells: Iterable[str]) -> str:
    return ",".join(cells) + "\r\n"


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    if not isinstance(cell, str):
        raise TypeError(f"{cell!r} is not a text.")
    text = f"'{cell}" if _FORMULA.match(cell) else cell
    if text == "" or _NEEDS_QUOTES.search(text):
        return '"' + text.replace('"', '""') + '"'
    return text


def _number(cell: Cell) -> str:
    if cell is None:
        return ""
    # NumPy's scalars count as numbers here, but their own repr names their type.
    if isinstance(cell, Integral) and not isinstance(cell, bool):
        return str(int(cell))
    if not isinstance(cell, Real) or isinstance(cell, bool):
        raise TypeError(f"{cell!r} is not a number.")
    if math.isnan(cell):
        return ""
    if math.isinf(cell):
        raise ValueError("An infinite number has no place in a table.")
    return repr(float(cell))


def _records(text: str) -> Iterator[list[str | None]]:
    """Split a file into records; None is a missing cell, ``""`` an empty text."""
    record: list[str | None] = []
    position, number = 0, 1
    while position < len(text):
        match = _CELL.match(text, position)
        if match is None:
            raise ValueError(f"Record {number} is not CSV as this product writes it.")
        quoted, plain, end = match.groups()
        record.append(quoted.replace('""', '"') if quoted is not None else plain or None)
        position = match.end()
        if end == "\r\n":
            yield record
            record, number = [], number + 1
    if record:
        raise ValueError(f"Record {number} breaks off.")


def _restored(cell: str | None) -> str | None:
    return cell[1:] if cell is not None and _NEUTRALISED.match(cell) else cell


def _parse_row(record: Sequence[str | None], columns: Sequence[Column], number: int) -> Row:
    if len(record) != len(columns):
        raise ValueError(f"Record {number} has {len(record)} cells for {len(columns)} columns.")
    return tuple(
        _restored(cell) if column.kind == "text" else _parse_number(cell, number)
        for cell, column in zip(record, columns, strict=True)
    )


def _parse_number(cell: str | None, record: int) -> int | float | None:
    if cell is None:
        return None
    if _INTEGER.fullmatch(cell):
        return int(cell)
    if _FLOAT.fullmatch(cell):
        return float(cell)
    raise ValueError(f"Record {record} has {cell!r} in a column of numbers.")
