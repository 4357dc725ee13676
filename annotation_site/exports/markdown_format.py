"""Markdown tables (GitHub's dialect): numbers are rounded, texts are escaped."""

import re
from collections.abc import Iterator

from annotation_site.exports.cells import number_of, rounded, text_of
from annotation_site.exports.pieces import in_pieces
from annotation_site.exports.table import Cell, Column, Table

_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# : and @ would make links of addresses, $ a formula. Only marks that work inside a line: a cell
# cannot start a heading or a list.
_MARKUP = re.compile(r"([\\`*_{}\[\]|~:@$])")


class MarkdownFormat:
    """One table, no heading; floats have three decimals."""

    media_type = "text/markdown; charset=utf-8"
    extension = "md"

    def write(self, table: Table) -> Iterator[bytes]:
        """Yield the file in pieces. Raises ValueError and TypeError as the CSV format does."""
        return in_pieces(_lines(table))


def _lines(table: Table) -> Iterator[str]:
    yield _line([escaped(column.name) for column in table.columns])
    yield _line(["---" if column.kind == "text" else "---:" for column in table.columns])
    for row in table.checked_rows():
        yield _line([_cell(c, cell) for c, cell in zip(table.columns, row, strict=True)])


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _cell(column: Column, cell: Cell) -> str:
    if column.kind == "text":
        return escaped(text_of(cell) or "")
    number = number_of(cell)
    return "" if number is None else rounded(number)


def escaped(text: str) -> str:
    """Escape all special characters of Markdown and HTML; a line break becomes a space."""
    plain = _MARKUP.sub(r"\\\1", " ".join(text.split()))
    return re.sub(r"[&<>]", lambda found: _HTML[found[0]], plain)
