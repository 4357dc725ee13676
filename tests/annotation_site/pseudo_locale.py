"""A language in which every message comes back between marks, and what pages say outside them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.utils.translation import trans_real
from lxml import etree, html

OPEN, CLOSE = "⟦⟧"
# No text of the page, or what a person typed.
NOT_TEXT = {"script", "style", "textarea", "template"}
SPOKEN = ("alt", "aria-label", "placeholder", "title")
# Names of the product, of file formats and of the clock, and the words that tests plant.
NAMES = re.compile(
    r"\b(FFN Concepts|UTC|CSV|JSON|JSONL|LATEX|MARKDOWN|PARQUET|XLSX|PDF|PNG|SVG|SHA-256|zq\w+)\b"
)
WORD = re.compile(r"[^\W\d_]+")


class Pseudo(trans_real.DjangoTranslation):
    """English, each message between marks; those of a marked message's values are within.

    `asked` has every message that was wanted.
    """

    def __init__(self, language: str) -> None:
        self.asked: set[str] = set()
        super().__init__(language)

    def gettext(self, message: str) -> str:
        self.asked.add(message.rpartition(trans_real.CONTEXT_SEPARATOR)[2])
        return self._marked(message)

    def _marked(self, message: str) -> str:
        text = message.rpartition(trans_real.CONTEXT_SEPARATOR)[2]
        return f"{OPEN}{text}{CLOSE}" if text else super().gettext(message)

    def ngettext(self, singular: str, plural: str, n: int) -> str:
        self.asked.add(singular.rpartition(trans_real.CONTEXT_SEPARATOR)[2])
        return self._marked(singular if n == 1 else plural)


@contextmanager
def pseudo_locale() -> Iterator[Pseudo]:
    """Every request and message of the block in the pseudo-locale, in place of English."""
    kept = trans_real.translation(settings.LANGUAGE_CODE)
    default = trans_real._default
    pseudo = Pseudo(settings.LANGUAGE_CODE)
    trans_real._translations[settings.LANGUAGE_CODE] = pseudo
    trans_real._default = pseudo
    try:
        with trans_real_active(pseudo):
            yield pseudo
    finally:
        trans_real._translations[settings.LANGUAGE_CODE] = kept
        trans_real._default = default


@contextmanager
def trans_real_active(translation: trans_real.DjangoTranslation) -> Iterator[None]:
    """For code that runs in no request."""
    before = getattr(trans_real._active, "value", None)
    trans_real._active.value = translation
    try:
        yield
    finally:
        if before is None:
            del trans_real._active.value
        else:
            trans_real._active.value = before


def outside(text: str, depth: int = 0) -> tuple[list[str], int]:
    """The words of a text outside the marks, and how many marks are open after it."""
    said = []
    for piece in re.split(f"([{OPEN}{CLOSE}])", NAMES.sub(" ", text)):
        if piece == OPEN:
            depth += 1
        elif piece == CLOSE:
            depth -= 1
        elif depth == 0 and WORD.search(piece):
            said.append(" ".join(piece.split()))
    return said, depth


def words_outside(content: bytes) -> list[str]:
    """What a page says outside the marks, but for what `translate="no"` keeps as it is."""
    found: list[str] = []
    depth = 0
    for event, element in etree.iterwalk(
        html.fromstring(content.decode()), events=("start", "end")
    ):
        if not isinstance(element.tag, str):
            continue
        kept = _is_kept(element)
        if event == "start" and not kept:
            for name in SPOKEN:
                said, _ = outside(element.get(name, ""))
                found += [f"{one} ({name})" for one in said]
        holder = element if event == "start" else element.getparent()
        text = element.text if event == "start" else element.tail
        if text and holder is not None and not _is_kept(holder):
            said, depth = outside(text, depth)
            found += said
    return found + ([] if depth == 0 else [f"{depth} marks are left open"])


def _is_kept(element: etree._Element) -> bool:
    for one in (element, *element.iterancestors()):
        if one.tag in NOT_TEXT:
            return True
        # What a researcher wrote, in Markdown, is in their language; browsers may translate it.
        if one.get("translate") == "no" or "prose" in one.get("class", "").split():
            return True
    return False
