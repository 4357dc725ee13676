"""Glosses, short descriptions of tokens: one source per file, each a line in `GLOSS_SOURCES`.

Importing this package loads no source; a source's module is imported when it is opened.
"""

from collections.abc import Callable, Iterator, Sequence

from ffn_extract.errors import GlossError
from ffn_extract.glosses.gloss import Gloss, GlossSource
from ffn_extract.glosses.packaged import PackagedGlosses

__all__ = ["GLOSS_SOURCES", "Gloss", "GlossSource", "gloss_each"]


def _wordnet() -> GlossSource:
    from ffn_extract.wordnet import wordnet_is_at_hand

    if not wordnet_is_at_hand():
        return PackagedGlosses()
    from ffn_extract.glosses.wordnet import WordNetGlosses

    return WordNetGlosses()


def _wikipedia() -> GlossSource:
    try:
        from ffn_extract.glosses.wikipedia import WikipediaGlosses
    except ImportError as error:
        raise GlossError(
            f"Wikipedia is asked through wptools, which cannot be loaded: {error}. Install it with "
            "pip install -r requirements/extract.txt."
        ) from error
    return WikipediaGlosses()


GLOSS_SOURCES: dict[str, Callable[[], GlossSource]] = {
    "wordnet": _wordnet,
    "wikipedia": _wikipedia,
}
"""Name → what opens the source; opening raises FFNExtractError when it cannot be had."""


def gloss_each(
    surfaces: Sequence[str | None], sources: Sequence[GlossSource]
) -> Iterator[Gloss | None]:
    """The first gloss of each surface form that any of the sources has, asked in order.

    A surface of None (a piece that continues a word, punctuation, a special token) has none.
    """
    for surface in surfaces:
        yield _first_gloss(surface, sources) if surface else None


def _first_gloss(surface: str, sources: Sequence[GlossSource]) -> Gloss | None:
    for source in sources:
        gloss = source.look_up(surface)
        if gloss is not None:
            return gloss
    return None
