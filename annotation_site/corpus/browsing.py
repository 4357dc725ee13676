"""Search an extraction's vectors: by layer, or by a token in their lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Lower

from annotation_site.corpus.loading import CONTINUATION
from annotation_site.corpus.models import Extraction, Kind, Token, Vector

PER_PAGE = 25
MOST_COUNTED = 1000


@dataclass(frozen=True)
class ShownToken:
    """A token at its 1-based rank; `wanted` if the search was for it."""

    rank: int
    display: str
    wanted: bool


@dataclass(frozen=True)
class ShownVector:
    """A vector with its highest-scoring tokens and, if stored, its lowest."""

    vector: Vector
    top: Sequence[ShownToken]
    bottom: Sequence[ShownToken]


@dataclass(frozen=True)
class VectorsPage:
    """One page of the vectors found. `count` stops at MOST_COUNTED + 1, which means "more".

    `total` is how many there are, where a bundle's own counts say so: of all, and of a kind.
    `left_out` of the extraction's vectors are on no page of this search or another.
    """

    vectors: Sequence[ShownVector]
    count: int
    number: int
    has_next: bool
    total: int | None = None
    left_out: int = 0

    @property
    def is_more(self) -> bool:
        """Whether there are more than were counted."""
        return self.count > MOST_COUNTED

    @property
    def found(self) -> int:
        """How many there are, as far as they were counted where nothing tells."""
        return self.count if self.total is None else self.total


def tokens_spelled(extraction: Extraction, word: str) -> QuerySet[Token]:
    """Tokens that read `word` in any case, at a word's start or within a word."""
    return _spelled(extraction.tokens.all(), word)


def tokens_that_read(extraction: Extraction, word: str) -> QuerySet[Token]:
    """As `tokens_spelled`; a `*` at the end also finds the tokens that begin so."""
    return tokens_reading(extraction.tokens.all(), word)


def tokens_reading(tokens: QuerySet[Token], word: str) -> QuerySet[Token]:
    """As `tokens_that_read`, among some tokens: those of several extractions, for instance."""
    beginning = word.rstrip("*")
    if beginning == word or not any(letter.isalnum() for letter in beginning):
        return _spelled(tokens, word)
    forms = [beginning, CONTINUATION + beginning.removeprefix(CONTINUATION)]
    found = tokens.annotate(lowered=Lower("display"))
    return found.filter(
        reduce(or_, (Q(lowered__startswith=form.lower()) for form in dict.fromkeys(forms)))
    )


def _spelled(tokens: QuerySet[Token], word: str) -> QuerySet[Token]:
    piece = word.removeprefix(CONTINUATION)
    forms = [word] if word != piece else [piece, CONTINUATION + piece]
    # Lowered here and by the database: SQLite's lower() leaves all but ASCII as it is.
    lowered_forms = [*(form.lower() for form in forms), *(Lower(Value(form)) for form in forms)]
    return tokens.annotate(lowered=Lower("display")).filter(lowered__in=lowered_forms)


def vectors_page(
    extraction: Extraction,
    *,
    kind: str = "",
    layer: int | None = None,
    word: str = "",
    number: int = 1,
    without: Mapping[int, str] | None = None,
) -> VectorsPage:
    """Page `number`, from 1, of the vectors of a kind, of a layer, and with `word` in their list.

    What is not given is not asked for. `without` are vectors that are not there for the reader:
    their keys, each with its kind.
    """
    left_out = without or {}
    found = extraction.vectors.exclude(pk__in=left_out) if left_out else extraction.vectors.all()
    if kind:
        found = found.filter(kind=kind)
    if layer is not None:
        found = found.filter(layer=layer)
    wanted: set[int] = set()
    if word:
        wanted = set(tokens_spelled(extraction, word).values_list("token_id", flat=True))
        found = found.filter(_holds_any(wanted)) if wanted else found.none()
    # Counted and put into order at once: a token's lists lie scattered over the whole table, and
    # finding them is what takes the time.
    first, last = (number - 1) * PER_PAGE, number * PER_PAGE
    ordered = found.order_by("kind", "layer", "index").values_list("pk", flat=True)
    ids = list(ordered[: max(MOST_COUNTED, last) + 1])
    rows = extraction.vectors.in_bulk(ids[first:last])
    shown = [rows[pk] for pk in ids[first:last] if pk in rows]
    count = min(len(ids), MOST_COUNTED + 1)
    total = None if word or layer is not None else _told(extraction, kind)
    if total is not None:
        total -= sum(one == kind or not kind for one in left_out.values())
    return VectorsPage(
        _shown(extraction, shown, wanted), count, number, len(ids) > last, total, len(left_out)
    )


def first_kind(extraction: Extraction) -> str:
    """The kind that a page begins with: value vectors, where there are some, else any."""
    return Kind.VALUE if _told(extraction, Kind.VALUE) else ""


def _told(extraction: Extraction, kind: str) -> int | None:
    """How many vectors the bundle says it has, of a kind or of all."""
    counts = extraction.counts or {}
    found = counts.get("kinds", {}).get(kind) if kind else counts.get("vectors")
    return found if isinstance(found, int) else None


def _holds_any(token_ids: set[int]) -> Q:
    return reduce(or_, (Q(token_ids__holds=token_id) for token_id in sorted(token_ids)))


def _shown(
    extraction: Extraction, vectors: Sequence[Vector], wanted: set[int]
) -> list[ShownVector]:
    ids = {i for v in vectors for i in (*v.token_ids, *(v.bottom_token_ids or ()))}
    rows = extraction.tokens.filter(token_id__in=ids)
    displays = dict(rows.values_list("token_id", "display"))

    def tokens(token_ids: Sequence[int]) -> list[ShownToken]:
        return [ShownToken(r, displays[i], i in wanted) for r, i in enumerate(token_ids, 1)]

    return [ShownVector(v, tokens(v.token_ids), tokens(v.bottom_token_ids or ())) for v in vectors]
