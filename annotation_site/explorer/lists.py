"""The lists of an extraction, without those that are hidden from the reader."""

from annotation_site.accounts.models import User
from annotation_site.annotation.lists.hidden import hidden_from
from annotation_site.corpus.browsing import VectorsPage, tokens_spelled, vectors_page
from annotation_site.corpus.models import Extraction, Token

MOST_SPELLED = 12  # tokens that are offered for a word


def lists_page(
    extraction: Extraction,
    *,
    user: User,
    kind: str = "",
    layer: int | None = None,
    word: str = "",
    number: int = 1,
) -> VectorsPage:
    """A page of an extraction's lists, as `corpus.browsing.vectors_page` finds them.

    Hidden lists are in no row and no count. `left_out` counts those of the whole extraction,
    whatever was searched for, so that no search tells which they are.
    """
    without = dict(hidden_from(user).within(extraction).values_list("pk", "kind"))
    return vectors_page(
        extraction, kind=kind, layer=layer, word=word, number=number, without=without
    )


def tokens_offered(extraction: Extraction, word: str) -> list[Token]:
    """The tokens that read a word, at most MOST_SPELLED, each of which has a page."""
    found = tokens_spelled(extraction, word) if word else extraction.tokens.none()
    return list(found.order_by("token_id")[:MOST_SPELLED])
