"""Search over all lists of the site's models. Reads only.

A search is arrays: the index of tokens gives the lists that hold the words, and the other
conditions take away. So the count is exact, and any order is one sort.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import numpy as np
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from numpy.typing import NDArray

from annotation_site.accounts.models import User
from annotation_site.annotation.lists.hidden import NEURON_KINDS, Hidden, hidden_from
from annotation_site.corpus.browsing import tokens_reading
from annotation_site.corpus.models import Extraction, Token, Vector
from annotation_site.corpus.postings import (
    KINDS,
    Held,
    every_list,
    lists_holding,
    unscored,
)
from annotation_site.corpus.selectors import extractions_ready
from annotation_site.errors import Invalid
from annotation_site.explorer.search.labels import (
    Place,
    VectorLabels,
    labels_of,
    places_labelled,
    shares_in_concepts,
)

MOST_WORDS = 10
MOST_LETTERS = 500
MOST_TOKENS = 1000  # of one model that a word with a * can find
MOST_ROWS = 10_000  # that pages and files show
PER_PAGE = 25
TOP = 10  # tokens of a list that its row shows
ROWS_AT_ONCE = 1000

ORDERS = {
    "score": _("score of the token, highest first"),
    "share": _("share in concepts, highest first"),
    "origin": _("model, kind, layer and index"),
}
MATCHES = {"all": _("all of them"), "any": _("any of them")}


@dataclass(frozen=True)
class VectorSearch:
    """Conditions and order. Empty and None leave out nothing.

    `tokens` are words that a list's top tokens read, in any case; `*` at a word's end finds what
    begins so. `match` is whether a list has to hold all or any of them. `said` are words that one
    description of a pattern has. The percentages are of the share of top tokens in concepts.
    """

    tokens: str = ""
    match: str = "all"
    said: str = ""
    category: str = ""
    kind: str = ""
    layer_from: int | None = None
    layer_to: int | None = None
    extractions: tuple[UUID, ...] = ()
    percent_from: float | None = None
    percent_to: float | None = None
    labelled: bool = False
    order: str = ""

    @property
    def query(self) -> str:
        """The search as it stands in an address, without what leaves out nothing."""
        given = {one.name: (getattr(self, one.name), one.default) for one in fields(self)}
        plain = {name: value for name, (value, default) in given.items() if value != default}
        if plain.get("labelled"):
            plain["labelled"] = "1"
        return urlencode(plain, doseq=True)

    @property
    def is_empty(self) -> bool:
        """Whether there is no condition."""
        return self == VectorSearch(match=self.match, order=self.order)

    @cached_property
    def words(self) -> list[str]:
        """The words of `tokens`, each once. Raises Invalid for too many."""
        words = list(dict.fromkeys(self.tokens.split()))
        if len(words) > MOST_WORDS:
            raise Invalid(
                gettext("Search for at most %(most)s tokens at once, not %(n)s.")
                % {"most": MOST_WORDS, "n": len(words)}
            )
        return words

    @property
    def words_said(self) -> list[str]:
        """The words of `said`, each once. Raises Invalid for too many."""
        words = list(dict.fromkeys(self.said.split()))
        if len(words) > MOST_WORDS:
            raise Invalid(
                gettext("Search for at most %(most)s words in descriptions at once, not %(n)s.")
                % {"most": MOST_WORDS, "n": len(words)}
            )
        return words

    @property
    def ordered_by(self) -> str:
        """The order: by score, unless another is chosen or there are no tokens."""
        return self.order or ("score" if self.tokens.strip() else "origin")

    @property
    def within(self) -> Q:
        """The conditions on kind and layer, for the database."""
        given = {
            "kind": self.kind or None,
            "layer__gte": self.layer_from,
            "layer__lte": self.layer_to,
        }
        return Q(**{name: value for name, value in given.items() if value is not None})

    @property
    def has_percent(self) -> bool:
        """Whether the share in concepts is a condition."""
        return self.percent_from is not None or self.percent_to is not None

    @property
    def asks_labels(self) -> bool:
        """Whether lists without annotations cannot be found."""
        return bool(self.labelled or self.said.strip() or self.category or self.has_percent)


@dataclass(frozen=True)
class TopToken:
    """A token of a found list at its rank; `wanted` if the search was for it."""

    rank: int
    display: str
    wanted: bool


@dataclass(frozen=True)
class FoundVector:
    """A found list: its vector, the best of the searched tokens, and what people called it."""

    vector: Vector
    extraction: Extraction
    rank: int | None
    score: float | None
    top: list[TopToken]
    further: list[TopToken]
    labels: VectorLabels

    @property
    def is_neuron(self) -> bool:
        """Whether it has a page, which is that of its neuron."""
        return self.vector.kind in NEURON_KINDS


@dataclass(frozen=True)
class Found:
    """The lists that a search finds, in its order.

    `of` are positions in `extractions`, one for each list. `unknown` are words that no chosen model
    has a token for.
    """

    extractions: Sequence[Extraction]
    of: NDArray[np.intp]
    lists: Held
    wanted: Mapping[int, set[int]] = field(default_factory=dict)
    unknown: Sequence[str] = ()
    is_partly_hidden: bool = False

    def __len__(self) -> int:
        return len(self.of)

    @property
    def is_cut(self) -> bool:
        """Whether there are more than pages and files show."""
        return len(self) > MOST_ROWS


@dataclass(frozen=True)
class FoundPage:
    """One page of what a search finds."""

    found: Found
    rows: list[FoundVector]
    number: int

    @property
    def count(self) -> int:
        """How many lists were found."""
        return len(self.found)

    @property
    def has_next(self) -> bool:
        """Whether another page follows."""
        return self.number * PER_PAGE < min(self.count, MOST_ROWS)

    @property
    def next_page(self) -> int | None:
        """The number of the page that follows."""
        return self.number + 1 if self.has_next else None


def vectors_found(search: VectorSearch, user: User) -> Found:
    """The lists that a search finds for a reader, in its order.

    Raises Invalid for too many words, a word that begins too many tokens, an order by score without
    tokens, and an extraction that is not there.
    """
    if search.order == "score" and not search.words:
        raise Invalid(
            gettext("Lists have a score only where you search for tokens. Choose another order.")
        )
    words, said = search.words, search.words_said
    extractions = _extractions(search)
    tokens, unknown = _token_ids(extractions, words)
    labelled, shares = _labelled(search, user, [one.pk for one in extractions], said)
    hidden = hidden_from(user)
    parts: list[Held] = []
    for extraction in extractions:
        own = None if labelled is None else _at(labelled.get(extraction.pk, []))
        codes = None if own is None else _codes(own)
        left = Held.joined(
            [
                lists.where(_kept(lists, search, extraction, hidden, codes))
                for lists in _candidates(search, extraction.pk, tokens[extraction.pk], own)
            ]
        )
        parts.append(left.where(np.argsort(_codes(left))))
    lists = Held.joined(parts)
    of = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    order = _order(search, extractions, of, lists, shares)
    return Found(
        extractions=extractions,
        of=of[order],
        lists=lists.where(order),
        wanted={pk: set().union(*ids) for pk, ids in tokens.items()},
        unknown=unknown,
        is_partly_hidden=any(
            one.model is not None and hidden.is_about(one.model.weights_digest)
            for one in extractions
        ),
    )


def _candidates(
    search: VectorSearch, extraction: int, tokens: Sequence[set[int]], labelled: Held | None
) -> Iterable[Held]:
    """Lists of an extraction in parts: with the tokens, else with annotations, else all."""
    if tokens:
        every = search.match == "all"
        return [lists_holding(extraction, tokens, every=every, within=search.within)]
    return every_list(extraction, within=search.within) if labelled is None else [labelled]


def found_page(search: VectorSearch, user: User, number: int = 1) -> FoundPage:
    """A page of what a search finds, from 1; the last one for a number beyond it."""
    found = vectors_found(search, user)
    pages = max(1, -(-min(len(found), MOST_ROWS) // PER_PAGE))
    number = min(number, pages)
    first = (number - 1) * PER_PAGE
    return FoundPage(found, rows_of(found, user, first, first + PER_PAGE), number)


def rows_in_chunks(found: Found, user: User) -> Iterator[FoundVector]:
    """All rows that a file has, read in parts."""
    for first in range(0, min(len(found), MOST_ROWS), ROWS_AT_ONCE):
        yield from rows_of(found, user, first, min(first + ROWS_AT_ONCE, MOST_ROWS))


def rows_of(found: Found, user: User, first: int, end: int) -> list[FoundVector]:
    """The rows from one position up to another; few queries, whatever their number."""
    chosen = slice(first, end)
    places = list(zip(found.of[chosen].tolist(), _told(found.lists, chosen), strict=True))
    vectors, displays = _read(found, places)
    labels = labels_of(user, [vector.pk for vector in vectors.values()])
    rows = []
    for position, (kind, layer, index) in places:
        extraction = found.extractions[position]
        vector = vectors.get((extraction.pk, kind, layer, index))
        if vector is None:
            continue  # deleted meanwhile
        wanted = found.wanted.get(extraction.pk, set())
        ranks = (n for n, token_id in enumerate(vector.token_ids, 1) if token_id in wanted)
        rank = next(ranks, None)  # scores fall, so the best one too
        scores: Any = vector.scores  # the field gives floats for the bytes that it stores
        shown = [
            TopToken(n, displays[extraction.pk].get(token_id, ""), token_id in wanted)
            for n, token_id in enumerate(vector.token_ids, 1)
            if n <= TOP or token_id in wanted
        ]
        rows.append(
            FoundVector(
                vector=vector,
                extraction=extraction,
                rank=rank,
                score=None if rank is None or scores is None else scores[rank - 1],
                top=shown[:TOP],
                further=shown[TOP:],
                labels=labels.get(vector.pk, VectorLabels()),
            )
        )
    return rows


def _extractions(search: VectorSearch) -> list[Extraction]:
    ready = extractions_ready().order_by("pk")
    if not search.extractions:
        return list(ready)
    chosen = list(ready.filter(public_id__in=search.extractions))
    if len(chosen) < len(set(search.extractions)):
        raise Invalid(
            gettext(
                "One of the chosen models is not here, or has no lists. Choose the models again."
            )
        )
    return chosen


def _token_ids(
    extractions: Sequence[Extraction], words: Sequence[str]
) -> tuple[dict[int, list[set[int]]], list[str]]:
    """For each extraction the token ids of each word, and the words that no extraction has."""
    found: dict[int, list[set[int]]] = {one.pk: [set() for _ in words] for one in extractions}
    unknown = []
    every = Token.objects.filter(extraction__in=found)
    for n, word in enumerate(words):
        is_known = False
        for pk, token_id in tokens_reading(every, word).values_list("extraction", "token_id"):
            found[pk][n].add(token_id)
            is_known = True
        if not is_known:
            unknown.append(word)
        most = max((len(ids[n]) for ids in found.values()), default=0)
        if most > MOST_TOKENS:
            raise Invalid(
                gettext(
                    "%(word)s begins %(n)s tokens, and a search can take %(most)s. Write more "
                    "letters before the *."
                )
                % {"word": word, "n": f"{most:,}", "most": f"{MOST_TOKENS:,}"}
            )
    return found, unknown


def _labelled(
    search: VectorSearch, user: User, extractions: Sequence[int], said: Sequence[str]
) -> tuple[dict[int, list[Place]] | None, dict[Place, float]]:
    """The places that pass the conditions on annotations, by extraction; None without any.

    And the shares in concepts, where a condition or the order needs them.
    """
    shares = {}
    if search.has_percent or search.ordered_by == "share":
        shares = shares_in_concepts(user, extractions=extractions)
    if not search.asks_labels:
        return None, shares
    places = places_labelled(user, extractions, words=said, category=search.category)
    if search.has_percent:
        low = -np.inf if search.percent_from is None else search.percent_from / 100
        high = np.inf if search.percent_to is None else search.percent_to / 100
        # A share is a quotient of whole numbers: 0.3 is to be at least 30 percent.
        near = 1e-9
        places &= {place for place, share in shares.items() if low - near <= share <= high + near}
    by_extraction: defaultdict[int, list[Place]] = defaultdict(list)
    for place in places:
        by_extraction[place[0]].append(place)
    return dict(by_extraction), shares


def _at(places: Sequence[Place]) -> Held:
    """The lists at places."""
    return unscored(
        [KINDS.index(kind) for _, kind, _, _ in places],
        [layer for _, _, layer, _ in places],
        [index for _, _, _, index in places],
    )


def _codes(lists: Held) -> NDArray[np.uint64]:
    """A number for each list's kind, layer and index."""
    kinds, layers, indices = (
        part.astype(np.uint64) for part in (lists.kinds, lists.layers, lists.indices)
    )
    code: NDArray[np.uint64] = (kinds << np.uint64(56)) | (layers << np.uint64(32)) | indices
    return code


def _kept(
    lists: Held,
    search: VectorSearch,
    extraction: Extraction,
    hidden: Hidden,
    labelled: NDArray[np.uint64] | None,
) -> NDArray[np.bool_]:
    """Which of an extraction's lists pass the conditions and are not hidden."""
    kept = np.ones(len(lists), bool)
    if search.kind:
        kept &= lists.kinds == KINDS.index(search.kind)
    if search.layer_from is not None:
        kept &= lists.layers >= search.layer_from
    if search.layer_to is not None:
        kept &= lists.layers <= search.layer_to
    if labelled is not None:
        kept &= np.isin(_codes(lists), labelled)
    weights = extraction.model.weights_digest if extraction.model else ""
    if hidden.is_about(weights):
        gone = [
            (0, kind, layer, index)
            for first, layer, index in hidden.places[weights]
            for kind in (NEURON_KINDS if first in NEURON_KINDS else (first,))
        ]
        kept &= ~np.isin(_codes(lists), _codes(_at(gone)))
    return kept


def _order(
    search: VectorSearch,
    extractions: Sequence[Extraction],
    of: NDArray[np.intp],
    lists: Held,
    shares: Mapping[Place, float],
) -> NDArray[np.intp]:
    """Positions of the lists, which stand by place, in the order of the search."""
    if search.ordered_by == "origin":
        return np.arange(len(lists))
    if search.ordered_by == "score":
        return np.argsort(-lists.scores, kind="stable")
    share_of = np.full(len(lists), -1.0)
    for position, extraction in enumerate(extractions):
        own = {place: share for place, share in shares.items() if place[0] == extraction.pk}
        known = _codes(_at(list(own)))
        sorter = np.argsort(known)
        mine = np.flatnonzero(of == position)
        codes = _codes(lists.where(mine))
        at = np.searchsorted(known, codes, sorter=sorter)
        hits = at < len(known)
        hits[hits] = known[sorter[at[hits]]] == codes[hits]
        values = np.array(list(own.values()), float)
        share_of[mine[hits]] = values[sorter[at[hits]]]
    return np.argsort(-share_of, kind="stable")


def _told(lists: Held, chosen: slice) -> list[tuple[str, int, int]]:
    """Kind, layer and index of some lists, as Python's own values."""
    kinds = [KINDS[code] for code in lists.kinds[chosen]]
    layers, indices = lists.layers[chosen].tolist(), lists.indices[chosen].tolist()
    return list(zip(kinds, layers, indices, strict=True))


def _read(
    found: Found, places: Sequence[tuple[int, tuple[str, int, int]]]
) -> tuple[dict[tuple[int, str, int, int], Vector], dict[int, dict[int, str]]]:
    """The vectors at places, and the tokens that their rows show, by extraction."""
    groups: defaultdict[tuple[int, str, int], list[int]] = defaultdict(list)
    for position, (kind, layer, index) in places:
        groups[found.extractions[position].pk, kind, layer].append(index)
    chosen: defaultdict[int, Q] = defaultdict(Q)
    for (pk, kind, layer), indices in groups.items():
        chosen[pk] |= Q(kind=kind, layer=layer, index__in=indices)
    vectors: dict[tuple[int, str, int, int], Vector] = {}
    displays: dict[int, dict[int, str]] = {}
    for pk, which in chosen.items():
        rows = Vector.objects.filter(which, extraction=pk).only(
            "extraction", "kind", "layer", "index", "token_ids", "scores"
        )
        ids: set[int] = set()
        wanted = found.wanted.get(pk, set())
        for vector in rows:
            vectors[pk, vector.kind, vector.layer, vector.index] = vector
            ids.update(vector.token_ids[:TOP], wanted.intersection(vector.token_ids))
        displays[pk] = dict(
            Token.objects.filter(extraction=pk, token_id__in=ids).values_list("token_id", "display")
        )
    return vectors, displays


def search_of(values: Mapping[str, Any]) -> VectorSearch:
    """The search of a form's or a query's checked values."""
    names = [one.name for one in fields(VectorSearch)]
    given = {name: values[name] for name in names if values.get(name) not in (None, "")}
    if "extractions" in given:
        given["extractions"] = tuple(given["extractions"])
    return VectorSearch(**given)
