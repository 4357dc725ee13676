r"""LaTeX tables with booktabs, for ``\input``; texts are escaped.

Floats are rounded for readers. pdfLaTeX sets Latin letters; for other scripts compile with LuaLaTeX
or XeLaTeX and a font that has them.
"""

import re
from collections.abc import Iterator

from annotation_site.exports.cells import number_of, rounded, text_of
from annotation_site.exports.pieces import in_pieces
from annotation_site.exports.table import Cell, Column, Table

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # After the end of a row a bracket or a star would be an option of it.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    # Two in a row would become another sign.
    "-": "-{}",
    "'": "'{}",
    "`": "`{}",
    '"': r"\char34{}",
    "−": "$-$",
    "×": r"$\times$",
    "–": "--",
    "—": "---",
    "“": "``",
    "”": "''",
    **{sign: "\\" + sign for sign in "&%$#_{}"},
}
_SPECIAL = re.compile("[" + re.escape("".join(_ESCAPES)) + "]")


class LatexFormat:
    """A tabular; the caption and the float around it are the paper's own."""

    media_type = "application/x-tex; charset=utf-8"
    extension = "tex"

    def write(self, table: Table) -> Iterator[bytes]:
        """Yield the file in pieces. Raises ValueError and TypeError as the CSV format does."""
        return in_pieces(_lines(table))


def _lines(table: Table) -> Iterator[str]:
    yield "% In the preamble: \\usepackage{booktabs}\n"
    alignment = "".join("l" if column.kind == "text" else "r" for column in table.columns)
    yield f"\\begin{{tabular}}{{{alignment}}}\n\\toprule\n"
    yield _line([escaped(column.name) for column in table.columns])
    yield "\\midrule\n"
    for row in table.checked_rows():
        yield _line([_cell(c, cell) for c, cell in zip(table.columns, row, strict=True)])
    yield "\\bottomrule\n\\end{tabular}\n"


def _line(cells: list[str]) -> str:
    return f"{' & '.join(cells)} \\\\\n"


def _cell(column: Column, cell: Cell) -> str:
    if column.kind == "text":
        return escaped(text_of(cell) or "")
    number = number_of(cell)
    if number is None:
        return ""
    return f"${_power(rounded(number))}$" if number < 0 else _with_dollars(rounded(number))


def _power(digits: str) -> str:
    """1.2e-04 → 1.2 \\times 10^{-4}."""
    mantissa, _, exponent = digits.partition("e")
    return f"{mantissa} \\times 10^{{{int(exponent)}}}" if exponent else mantissa


def _with_dollars(digits: str) -> str:
    return f"${_power(digits)}$" if "e" in digits else digits


def escaped(text: str) -> str:
    """Escape a text for LaTeX; whitespace and control characters become single spaces."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return _SPECIAL.sub(lambda found: _ESCAPES[found[0]], words)
