r"""Display forms of tokens, the same for every tokenizer.

A token that starts a word is shown plain (`the`), a piece that continues a word behind U+22EF
(`⋯ing`). Tokens without a letter, digit or combining mark are not pieces of words: they are shown
as they are, with a word-start marker as a visible space (`,` and `␣,`); where a sign on the piece
itself marks continuations, as in WordPiece, such a piece keeps its sign (`⋯,`). Spaces inside a
token are `␣`.

Some vocabularies mark where a word ends and not where it starts (`the</w>`, `th@@`). There a piece
that the word goes on after has U+22EF behind it (`th⋯`), and a piece that ends a word is plain
(`the`): it may be a whole word or the end of one (`the` of `bathe`), so nothing is looked up for
it. Where a vocabulary marks nothing, every token is plain and nothing is looked up.

What cannot be seen, or would be mistaken for one of these signs, is escaped:

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
from functools import cache

CONTINUATION = "⋯"
SPACE = "␣"
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SHORT_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", " ": SPACE}
_INVISIBLE_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}
# Default_Ignorable_Code_Point and blank letters outside these categories: joiners, fillers,
# variation selectors, the Braille blank.
_BLANKS = frozenset((0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0)).union(
    range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0)
)


@dataclass(frozen=True, slots=True)
class Marking:
    """A vocabulary's marks of where words start, continue and end; each is "" if there is none.

    `space` stands for the space in front of a word. `continues` begins a piece that continues a
    word. `ends` closes a piece that ends a word; `goes_on` one that the word goes on after.
    `in_bytes` says that the entries are spelled in GPT-2's alphabet of bytes.
    """

    space: str = ""
    continues: str = ""
    ends: str = ""
    goes_on: str = ""
    in_bytes: bool = False
    whole_words: bool = False

    @property
    def known(self) -> str:
        """Meaning of the marks: "starts" of words, only their "ends", or "nothing"."""
        if self.space or self.continues or self.whole_words:
            return "starts"
        return "ends" if self.ends or self.goes_on else "nothing"


WORDPIECE = Marking(continues="##")
BYTE_LEVEL = Marking(space="Ġ", in_bytes=True)
METASPACE = Marking(space="▁")
WHOLE_WORDS = Marking(whole_words=True)
UNMARKED = Marking()


@dataclass(frozen=True, slots=True)
class TokenForm:
    """A token's display form, and the word to look up for it (None: nothing to look up)."""

    display: str
    surface: str | None


def token_form(text: str, marking: Marking, *, special: bool = False) -> TokenForm:
    """The form of the vocabulary string `text`; special tokens are shown without any marker."""
    if special:
        return TokenForm(_escaped(text), None)
    if not marking.space:
        return _affixed(text, marking)
    if marking.in_bytes:
        return _spaced(_bytes_of(text))
    byte = _BYTE_TOKEN.fullmatch(text)
    if byte:
        return TokenForm(f"\\x{byte[1].lower()}", None)
    return _spaced(text.replace(marking.space, " ").encode("utf-8", "surrogatepass"))


def _affixed(text: str, marking: Marking) -> TokenForm:
    """The form of a token with signs at its beginning and end; a sign alone is text."""
    inner = _without(text, marking.continues, at_end=False)
    starts = inner == text
    closing = marking.ends or marking.goes_on
    piece = _without(inner, closing, at_end=True)
    goes_on = bool(closing) and (piece == inner) == bool(marking.ends)
    if marking.in_bytes:
        content = _bytes_of(piece)
        shown, word = _escaped_bytes(content), content.decode("utf-8", "replace")
        word = "" if "�" in word else word
    else:
        shown, word = _escaped(piece), piece
    whole = marking.known == "starts" and starts and not goes_on
    display = f"{'' if starts else CONTINUATION}{shown}{CONTINUATION if goes_on else ''}"
    return TokenForm(display, word if whole and _is_word(word) else None)


def _without(text: str, sign: str, *, at_end: bool) -> str:
    """The text without the sign, unless nothing would be left."""
    return (text.removesuffix(sign) if at_end else text.removeprefix(sign)) or text


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
    # Most tokens begin with a letter, and asking for that takes no loop.
    return text[:1].isalpha() or any(
        unicodedata.category(character)[0] in "LNM" for character in text
    )


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
