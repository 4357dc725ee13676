"""The lists of an extraction, without those that are hidden from the reader."""

from annotation_site.accounts.models import User
from annotation_site.annotation.lists.hidden import hidden_from
from annotation_site.corpus.browsing import VectorsPage, vectors_page
from annotation_site.corpus.models import Extraction


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
