"""CSV that spreadsheets cannot execute and that `read` turns back into exactly what was written.

The dialect, which is part of the product's interface:

- UTF-8 without a byte-order mark; RFC 4180: commas, CRLF after every record, a header record,
  double quotes around cells that hold a comma, a quote, CR or LF, quotes doubled inside.
- A missing cell is empty; an empty text is ``""``. (Readers that know one kind of empty cell see
  both as missing.)
- An integer is written in decimal, a float as the shortest text that gives the same float back
  (Python's ``repr``: ``0.1``, ``1.0``, ``1e-07``). Infinite numbers are refused.
- In texts, column names included, an apostrophe stands wherever a spreadsheet could find a
  formula: before ``=``, ``+``, ``-``, ``@`` (full-width ones too) and tab at the beginning and
  after a comma, ``;``, ``|``, ``:``, tab or line end, also where apostrophes and quotes come first;
  before CR and LF at the beginning; and at the end of a text in quotes that ends in a separator
  other than a comma.
  So whichever separator a program looks for, no cell that it finds begins with a formula. Reading
  removes these apostrophes. Numbers are never touched.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from annotation_site.exports.cells import number_of, text_of
from annotation_site.exports.pieces import in_pieces
from annotation_site.exports.table import Cell, Column, Row, Table
from ffn_extract.formulas import NEEDS_QUOTES, neutralised, restored

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
        return in_pieces(_lines(table))


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
    for row in table.checked_rows():
        yield _line(write(cell) for write, cell in zip(writers, row, strict=True))


def _line(cells: Iterable[str]) -> str:
    return ",".join(cells) + "\r\n"


def _text(cell: Cell) -> str:
    text = text_of(cell)
    if text is None:
        return ""
    text = neutralised(text)
    if text == "" or NEEDS_QUOTES.search(text):
        return '"' + text.replace('"', '""') + '"'
    return text


def _number(cell: Cell) -> str:
    number = number_of(cell)
    return "" if number is None else repr(number)


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
    return None if cell is None else restored(cell)


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
