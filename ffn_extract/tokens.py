r"""Tokens as a person should see them, the same way for every tokenizer.

A token that starts a word is shown plain (`the`), a piece that continues a word behind U+22EF
(`⋯ing`). Tokens without a letter, digit or combining mark are not pieces of words: they are shown
as they are, with a word-start marker as a visible space (`,` and `␣,`); a WordPiece continuation
of that sort keeps its sign (`⋯,`). Spaces inside a token are `␣`. What cannot be seen, or would be
mistaken for one of these signs, is escaped:

=================  =============================================================
`\\`               a backslash
`\n` `\t` `\r`     newline, tab, carriage return
`\xe2`             a byte that is no valid UTF-8 by itself
`\u202e`           any other character that is invisible, moves its neighbours
                   (controls, bidirectional marks, zero width, odd spaces), is
                   unassigned, or is U+22EF or U+2423 itself
=================  =============================================================

The mapping can be undone, so two tokens of a vocabulary never look the same, special tokens and
doubled entries aside.
"""

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum
from functools import cache

CONTINUATION = "⋯"
SPACE = "␣"
_METASPACE = "▁"
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SHORT_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", " ": SPACE}
_INVISIBLE_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}
# Default_Ignorable_Code_Point and blank letters outside these categories: joiners, fillers,
# variation selectors, the Braille blank.
_BLANKS = frozenset((0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0)).union(
    range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0)
)


class Marking(Enum):
    """How a vocabulary marks where a word starts or goes on."""

    WORDPIECE = "##"
    BYTE_LEVEL = "Ġ"
    METASPACE = "▁"
    WHOLE_WORDS = ""


@dataclass(frozen=True, slots=True)
class TokenForm:
    """What a token looks like, and the word to look up for it (None: nothing to look up)."""

    display: str
    surface: str | None


def token_form(text: str, marking: Marking, *, special: bool = False) -> TokenForm:
    """The form of the vocabulary string `text`; special tokens are shown without any marker."""
    if special:
        return TokenForm(_escaped(text), None)
    if marking is Marking.WORDPIECE:
        return _wordpiece(text)
    if marking is Marking.BYTE_LEVEL:
        return _spaced(_bytes_of(text))
    if marking is Marking.METASPACE:
        byte = _BYTE_TOKEN.fullmatch(text)
        if byte:
            return TokenForm(f"\\x{byte[1].lower()}", None)
        return _spaced(text.replace(_METASPACE, " ").encode("utf-8", "surrogatepass"))
    return TokenForm(_escaped(text), text if _is_word(text) else None)


def _wordpiece(text: str) -> TokenForm:
    piece = text.removeprefix(Marking.WORDPIECE.value)
    if piece and piece != text:
        return TokenForm(CONTINUATION + _escaped(piece), None)
    return TokenForm(_escaped(text), text if _is_word(text) else None)


def _spaced(content: bytes) -> TokenForm:
    """The form of a token whose word start is a leading space."""
    shown = _escaped_bytes(content)
    text = content.decode("utf-8", "ignore")
    if not _is_word(text):
        return TokenForm(shown, None)
    if content.startswith(b" "):
        whole = "�" not in content.decode("utf-8", "replace")
        return TokenForm(shown.removeprefix(SPACE), text[1:] if whole else None)
    return TokenForm(CONTINUATION + shown, None)


def _is_word(text: str) -> bool:
    return any(unicodedata.category(character)[0] in "LNM" for character in text)


def _escaped(text: str) -> str:
    return "".join(map(_escaped_character, text))


def _escaped_bytes(content: bytes) -> str:
    # Bytes that do not decode become lone surrogates U+DC80..U+DCFF, which UTF-8 cannot hold
    # itself, so they cannot be mistaken for characters of the token.
    return "".join(
        f"\\x{ord(character) - 0xDC00:02x}"
        if "\udc80" <= character <= "\udcff"
        else _escaped_character(character)
        for character in content.decode("utf-8", "surrogateescape")
    )


@cache
def _escaped_character(character: str) -> str:
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    code = ord(character)
    hidden = unicodedata.category(character) in _INVISIBLE_CATEGORIES or code in _BLANKS
    if hidden or character in (CONTINUATION, SPACE):
        return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return character


def _bytes_of(text: str) -> bytes:
    """The bytes that a byte-level vocabulary string stands for.

    Strings that hold a character outside that alphabet (tokens added later) are taken as text.
    """
    alphabet = _byte_alphabet()
    try:
        return bytes(alphabet[character] for character in text)
    except KeyError:
        return text.encode("utf-8", "surrogatepass")


@cache
def _byte_alphabet() -> dict[str, int]:
    """GPT-2's alphabet: printable bytes stand for themselves, the others for U+0100 onwards."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet = {chr(byte): byte for byte in printable}
    others = (byte for byte in range(256) if byte not in set(printable))
    return alphabet | {chr(0x100 + i): byte for i, byte in enumerate(others)}
