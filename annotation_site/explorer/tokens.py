"""The page of a token: the value vectors that promote it and those that push it down, by layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

from django.utils.translation import gettext

from annotation_site.accounts.models import User
from annotation_site.annotation.lists.glosses import TokenGlosses
from annotation_site.annotation.lists.hidden import hidden_from
from annotation_site.annotation.models import Study
from annotation_site.corpus.models import Extraction, Kind, LanguageModel, Token, Vector
from annotation_site.errors import NotFound
from annotation_site.explorer.lookups import BOTTOM, TOP, Held, Side, lists_holding

BEST = 5  # vectors shown of a layer
BAR = 60  # pixels of the largest layer


@dataclass(frozen=True)
class Sense:
    """A gloss with its part of speech, which is empty where the source has none."""

    part: str
    gloss: str


@dataclass(frozen=True)
class Promoter:
    """A value vector with the token at a rank, from 1; no score where none is stored."""

    layer: int
    index: int
    rank: int
    score: float | None


@dataclass(frozen=True)
class OfLayer:
    """A layer: how many value vectors hold the token, and those in which it ranks best."""

    layer: int
    count: int
    width: int  # of its bar, in pixels
    best: list[Promoter]

    @property
    def more(self) -> int:
        """Vectors that hold it and are not shown."""
        return self.count - len(self.best)


@dataclass(frozen=True)
class TokenSide:
    """One side of the lists. `is_stored` is false where the extraction has no such side."""

    is_stored: bool
    layers: list[OfLayer]

    @property
    def count(self) -> int:
        """Value vectors that hold the token on this side."""
        return sum(one.count for one in self.layers)

    @property
    def first(self) -> Promoter | None:
        """The vector in which it ranks best of all, then has the largest score."""
        best = [one for layer in self.layers for one in layer.best]
        return min(
            best,
            key=lambda one: (one.rank, -abs(one.score or 0), one.layer, one.index),
            default=None,
        )


@dataclass(frozen=True)
class TokenPage:
    """Everything that the page of a token shows to one reader.

    `senses` stand best first. `highest` and `lowest` are on one scale.
    """

    extraction: Extraction
    token: Token
    senses: list[Sense]
    highest: TokenSide
    lowest: TokenSide


def token_find(*, extraction: Extraction, token_id: int) -> Token:
    """A token of an extraction's lists. Raises NotFound for every other, with what to do."""
    model = cast("LanguageModel", extraction.model)  # a ready extraction has one
    if token_id >= model.vocab_size:
        raise NotFound(
            gettext(
                "This model has no token number %(token)s. Choose a number of 0 to %(last)s, or "
                "open a token from the list of a vector."
            )
            % {"token": token_id, "last": f"{model.vocab_size - 1:,}"}
        )
    found = extraction.tokens.filter(token_id=token_id).first()
    if found is None:
        raise NotFound(
            gettext(
                "Token number %(token)s is in none of the lists of this extraction. Search the "
                "lists for a word, and open a token from there."
            )
            % {"token": f"{token_id:,}"}
        )
    return found


def token_page(token: Token, user: User) -> TokenPage:
    """The page of a token; vectors that are hidden from the reader are in no row and count."""
    extraction = token.extraction
    hidden = list(hidden_from(user).within(extraction).values_list("pk", flat=True))
    held = {
        side: lists_holding(extraction, token.token_id, side, without=hidden)
        for side in (TOP, BOTTOM)
    }
    layers = {
        side: [(layer, list(found)) for layer, found in groupby(rows, lambda one: one.layer)]
        for side, rows in held.items()
    }
    largest = max((len(found) for one in layers.values() for _, found in one), default=0)
    rows = _shown(layers.values())
    n_layers = cast("LanguageModel", extraction.model).n_layers
    values = extraction.vectors.filter(kind=Kind.VALUE)

    def side(name: Side, is_stored: bool) -> TokenSide:
        found = dict(layers[name])
        return TokenSide(
            is_stored,
            [
                _layer(layer, found.get(layer, []), rows, name, largest)
                for layer in range(n_layers if is_stored else 0)
            ],
        )

    # Of all lists or of none.
    sample = values.order_by("layer", "index").values_list("bottom_token_ids", flat=True)[:1]
    glosses = TokenGlosses(*(getattr(token, name) for name in TokenGlosses.COLUMNS))
    return TokenPage(
        extraction,
        token,
        [Sense(*pair) for pair in glosses.shown(Study.GlossRule.RANKED)],
        side(TOP, bool(sample)),
        side(BOTTOM, any(sample)),
    )


def _shown(sides: Any) -> dict[int, Vector]:
    """The vectors that stand on the page, with their scores."""
    pks = [one.pk for layers in sides for _, found in layers for one in found[:BEST]]
    return Vector.objects.only("scores", "bottom_scores").in_bulk(pks)


def _layer(
    layer: int, found: Sequence[Held], rows: dict[int, Vector], side: Side, largest: int
) -> OfLayer:
    best = []
    for one in found[:BEST]:
        row = rows.get(one.pk)
        scores: Any = row and (row.scores if side == TOP else row.bottom_scores)
        score = scores[one.rank - 1] if scores else None
        best.append(Promoter(one.layer, one.index, one.rank, score))
    width = max(1, round(BAR * len(found) / largest)) if found else 0
    return OfLayer(layer, len(found), width, best)
