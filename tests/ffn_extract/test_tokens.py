"""What people see of a token."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffn_extract.tokens import (
    BYTE_LEVEL,
    METASPACE,
    UNMARKED,
    WHOLE_WORDS,
    WORDPIECE,
    Marking,
    TokenForm,
    _byte_alphabet,
    token_form,
)

BYTES, SPACES = BYTE_LEVEL, METASPACE
WORD_ENDS, GOES_ON = Marking(ends="</w>"), Marking(goes_on="@@")
CLIP = Marking(ends="</w>", in_bytes=True)
BOTH_ENDS = Marking(continues="##", ends="</w>")
MARKINGS = (
    *(BYTES, SPACES, UNMARKED, WHOLE_WORDS, WORDPIECE, WORD_ENDS, GOES_ON, CLIP, BOTH_ENDS),
    *(Marking(space="_"), Marking(in_bytes=True), Marking(continues="@@", in_bytes=True)),
)


@pytest.mark.parametrize(
    ("text", "marking", "display", "surface"),
    [
        ("the", WORDPIECE, "the", "the"),
        ("##ing", WORDPIECE, "⋯ing", None),
        (",", WORDPIECE, ",", None),
        ("##,", WORDPIECE, "⋯,", None),
        ("##", WORDPIECE, "##", None),
        ("#", WORDPIECE, "#", None),
        ("⋯", WORDPIECE, "\\u22ef", None),
        ("…", WORDPIECE, "…", None),
        ("...", WORDPIECE, "...", None),
        ("\\", WORDPIECE, "\\\\", None),
        ("1984", WORDPIECE, "1984", "1984"),
        ("café", WORDPIECE, "café", "café"),
        ("Ġthe", BYTES, "the", "the"),
        ("ing", BYTES, "⋯ing", None),
        (",", BYTES, ",", None),
        ("Ġ,", BYTES, "␣,", None),
        ("Ġ", BYTES, "␣", None),
        ("ĠĠ", BYTES, "␣␣", None),
        ("ĠĠreturn", BYTES, "␣return", " return"),
        ("Ċ", BYTES, "\\n", None),
        ("ĠĊ", BYTES, "␣\\n", None),
        ("ĉ", BYTES, "\\t", None),
        ("\\n", BYTES, "⋯\\\\n", None),
        ("Ċn", BYTES, "⋯\\nn", None),
        ("Ã©", BYTES, "⋯é", None),
        ("ĠÃ©", BYTES, "é", "é"),
        ("â", BYTES, "\\xe2", None),
        ("ĠâĢ", BYTES, "␣\\xe2\\x80", None),
        ("âĢĭ", BYTES, "\\u200b", None),
        ("Ġaâ", BYTES, "a\\xe2", None),
        ("猫", BYTES, "⋯猫", None),
        ("▁the", SPACES, "the", "the"),
        ("ing", SPACES, "⋯ing", None),
        ("▁", SPACES, "␣", None),
        ("▁▁", SPACES, "␣␣", None),
        ("▁of▁the", SPACES, "of␣the", "of the"),
        (",", SPACES, ",", None),
        ("▁,", SPACES, "␣,", None),
        ("<0x0A>", SPACES, "\\x0a", None),
        ("<0xE2>", SPACES, "\\xe2", None),
        ("\n", SPACES, "\\n", None),
        ("the", WHOLE_WORDS, "the", "the"),
        ("##ing", WHOLE_WORDS, "##ing", "##ing"),
        ("@-@", WHOLE_WORDS, "@-@", None),
        ("the</w>", WORD_ENDS, "the", None),
        ("th", WORD_ENDS, "th⋯", None),
        (".</w>", WORD_ENDS, ".", None),
        (".", WORD_ENDS, ".⋯", None),
        ("</w>", WORD_ENDS, "</w>⋯", None),
        ("</w></w>", WORD_ENDS, "</w>", None),
        ("th@@", GOES_ON, "th⋯", None),
        ("the", GOES_ON, "the", None),
        ("@@", GOES_ON, "@@", None),
        ("Ã©</w>", CLIP, "é", None),
        ("Ã", CLIP, "\\xc3⋯", None),
        ("the</w>", BOTH_ENDS, "the", "the"),
        ("th", BOTH_ENDS, "th⋯", None),
        ("##e</w>", BOTH_ENDS, "⋯e", None),
        ("##e", BOTH_ENDS, "⋯e⋯", None),
        ("Ã©t", Marking(continues="@@", in_bytes=True), "ét", "ét"),
        ("the", UNMARKED, "the", None),
        ("th e", UNMARKED, "th␣e", None),
        ("_the", Marking(space="_"), "the", "the"),
    ],
)
def test_tokens_look_the_same_way_for_every_tokenizer(text, marking, display, surface):
    assert token_form(text, marking) == TokenForm(display, surface)


@pytest.mark.parametrize(
    ("character", "display"),
    [
        ("\u202e", "\\u202e"), ("\u200d", "\\u200d"), ("\u00ad", "\\u00ad"), ("\x07", "\\u0007"),
        ("\u00a0", "\\u00a0"), ("\u3000", "\\u3000"), ("\u2028", "\\u2028"), ("\ufeff", "\\ufeff"),
        ("\ufe0f", "\\ufe0f"), ("\u3164", "\\u3164"), ("\u2423", "\\u2423"), ("\r", "\\r"),
        ("\U000e0041", "\\U000e0041"), ("\ue000", "\\ue000"), ("\u2800", "\\u2800"),
    ],
)  # fmt: skip
def test_what_cannot_be_seen_is_escaped(character, display):
    for marking in (WORDPIECE, SPACES, WHOLE_WORDS):
        assert token_form(f"a{character}b", marking).display.removeprefix("⋯") == f"a{display}b"


def test_special_tokens_are_shown_as_they_are_and_never_looked_up():
    for text in ("[CLS]", "<|endoftext|>", "<s>"):
        for marking in MARKINGS:
            assert token_form(text, marking, special=True) == TokenForm(text, None)


def as_string(content: bytes) -> str:
    characters = {byte: character for character, byte in _byte_alphabet().items()}
    return "".join(characters[byte] for byte in content)


TRICKY = st.lists(
    st.sampled_from(
        [b" ", b"a", b",", b"\\", b"n", b"\n", b"\xe2", b"\x8b", b"\xaf", b"\xe2\x8b\xaf"]
    ),
    min_size=1,
    max_size=6,
).map(b"".join)


@given(st.lists(st.binary(min_size=1, max_size=6) | TRICKY, unique=True, max_size=30))
def test_two_byte_level_tokens_never_look_the_same(tokens):
    displays = [token_form(as_string(token), BYTES).display for token in tokens]
    assert len(set(displays)) == len(tokens)


@given(st.lists(st.text(alphabet="▁a,\\n\n⋯␣\u202ex0", min_size=1, max_size=6), unique=True))
def test_two_metaspace_tokens_never_look_the_same(tokens):
    displays = [token_form(token, SPACES).display for token in tokens]
    assert len(set(displays)) == len(tokens)


SIGNS = [*("#", "##", "@@", "</w>", "</", "w>", "_", "a", ",", "\\", "n"), *"\n⋯␣\u202eé"]


@given(st.sampled_from(MARKINGS), st.data())
def test_two_tokens_never_look_the_same_whatever_marks_words(marking, data):
    pieces = st.lists(st.sampled_from(SIGNS), min_size=1, max_size=5).map("".join)
    tokens = data.draw(st.lists(pieces, unique=True, max_size=30))
    if marking.in_bytes:
        affixes = (marking.continues, marking.ends)
        tokens = [in_alphabet(token, affixes) for token in tokens]
    displays = [token_form(token, marking).display for token in tokens]
    assert len(set(displays)) == len(tokens)


def in_alphabet(token: str, affixes: tuple[str, ...]) -> str:
    """The token in the alphabet of bytes, with its affixes left as they are."""
    for sign in filter(None, affixes):
        token = token.replace(sign, "\0")
    kept = [as_string(part.encode()) for part in token.split("\0")]
    return (next(filter(None, affixes), "")).join(kept)


@given(st.text(min_size=1, max_size=8), st.sampled_from(MARKINGS))
def test_nothing_is_looked_up_where_a_word_start_is_not_known(text, marking):
    surface = token_form(text, marking).surface
    assert marking.known == "starts" or surface is None


@given(st.text(max_size=8), st.sampled_from(MARKINGS))
def test_any_string_has_a_display_that_is_plain_text(text, marking):
    display = token_form(text, marking).display
    display.encode()
    assert display.isprintable()
