"""Neutralise formulas in texts for spreadsheets, whatever separates the cells.

A program that takes ``;``, a tab, ``|`` or ``:`` for the separator begins a cell in the middle of a
text that was written with commas, and quotes around the text do not keep it from that. So a text is
neutralised at its beginning and wherever a cell could begin inside it.
"""

import re

FORMULA = "=+\\-@\uff0b\uff0d\uff1d\uff20"  # the last four: the full-width + - = @
LINE_ENDS = "\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029"
NEEDS_QUOTES = re.compile(r'[",\r\n]')
_OTHERS = rf"(?<=[;|:\t{LINE_ENDS}])"
_INSIDE = rf"(?<=[,;|:\t{LINE_ENDS}])"
# What would be first in a cell, maybe behind quotes: a formula, or white space that hides one.
_FIRST = rf"(?=['\"]*[{FORMULA}\t\r\n])"
_LATER = rf"(?=['\"]*[{FORMULA}\t])"
# A text in quotes that ends in a separator: the closing quote would open a cell of its own.
_END = r"(?='*\Z)"
_UNQUOTED = (
    re.compile(rf"\A{_FIRST}|{_INSIDE}{_LATER}"),
    re.compile(rf"\A'{_FIRST}|{_INSIDE}'{_LATER}"),
)
_QUOTED = (
    re.compile(rf"\A{_FIRST}|{_INSIDE}{_LATER}|{_OTHERS}{_END}"),
    re.compile(rf"\A'{_FIRST}|{_INSIDE}'{_LATER}|{_OTHERS}'{_END}"),
)


def neutralised(text: str) -> str:
    r"""The text with an apostrophe before everything that a spreadsheet could run.

    Examples
    --------
    >>> neutralised("=1+1"), neutralised("animals;=HYPERLINK(A1)"), neutralised("1-1 = 0")
    ("'=1+1", "animals;'=HYPERLINK(A1)", '1-1 = 0')
    """
    beginnings, _ = _QUOTED if NEEDS_QUOTES.search(text) else _UNQUOTED
    return beginnings.sub("'", text)


def restored(text: str) -> str:
    """The original text of a `neutralised` one.

    Examples
    --------
    >>> restored("animals;'=HYPERLINK(A1)")
    'animals;=HYPERLINK(A1)'
    """
    _, apostrophes = _QUOTED if NEEDS_QUOTES.search(text) else _UNQUOTED
    return apostrophes.sub("", text)
