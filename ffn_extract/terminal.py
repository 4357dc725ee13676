"""Escape untrusted text for a terminal."""

import logging

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str) -> str:
    r"""Escape every invisible character, such as \x1b or \u202e.

    That takes in controls, line ends, bidirectional marks, zero widths and lone surrogates.

    Examples
    --------
    >>> printable("a\x1b]0;b")
    'a\\x1b]0;b'
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class PrintableFormatter(logging.Formatter):
    """Log formatter that escapes lines."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        return printable(super().format(record))
