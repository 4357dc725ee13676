"""Sets of vectors as readers see them, and the vectors that a search gives one.

A reader who annotates a member in an unfinished study sees neither its place nor its list.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from uuid import UUID

import numpy as np
from django.db.models import Q, QuerySet
from django.utils.translation import gettext

from annotation_site import bounds
from annotation_site.accounts.models import User
from annotation_site.annotation.lists.hidden import Hidden, hidden_from
from annotation_site.corpus.models import Extraction, Kind, LanguageModel, Vector, VectorSet
from annotation_site.corpus.postings import KINDS, unscored
from annotation_site.corpus.selectors import extractions_ready
from annotation_site.corpus.vector_sets import is_own, set_places, vector_sets
from annotation_site.downloads import Download, require_format, table_as_file
from annotation_site.errors import Invalid
from annotation_site.explorer.search.finding import (
    MOST_ROWS,
    Found,
    FoundVector,
    VectorSearch,
    rows_of,
    vectors_found,
)
from annotation_site.exports import EXPORT_FORMATS, Table
from annotation_site.exports.table import Column, Row
from ffn_extract.chosen_vectors import Place, place_of

PER_PAGE = 25
ROWS_AT_ONCE = 1000
MOST_IN_ADDRESS = 200  # vectors that the address of a form can name
COLUMNS = (
    Column("set", "text"), Column("model", "text"), Column("layer", "number"),
    Column("index", "number"), Column("tokens", "text"),
)  # fmt: skip


@dataclass(frozen=True)
class Member:
    """A vector of a set. `row` is its list in the newest extraction that has it, if one does."""

    layer: int
    index: int
    row: FoundVector | None


@dataclass(frozen=True)
class SetPage:
    """One page of a set's vectors, as a reader sees it. `hidden` are so many that are not shown."""

    vector_set: VectorSet
    shown: Sequence[Place]
    hidden: int
    members: list[Member]
    number: int
    is_own: bool

    @property
    def has_next(self) -> bool:
        """Whether another page follows."""
        return self.number * PER_PAGE < len(self.shown)

    @property
    def typed(self) -> str:
        """The places that the reader sees, as people type them: a layer's on a line."""
        by_layer: defaultdict[int, list[str]] = defaultdict(list)
        for layer, index in self.shown:
            by_layer[layer].append(f"{layer}:{index}")
        return "\n".join(", ".join(places) for places in by_layer.values())

    @property
    def in_address(self) -> str:
        """The places for the address of a form; empty for more than one can take."""
        if len(self.shown) > MOST_IN_ADDRESS:
            return ""
        return ",".join(f"{layer}:{index}" for layer, index in self.shown)

    @property
    def changes(self) -> str:
        """The places as changes of a trace in an address; empty for more than one can have."""
        if len(self.shown) > bounds.TRACE_CHANGES:
            return ""
        return "&".join(f"change={layer}.{index}" for layer, index in self.shown)


def places_shown(vector_set: VectorSet, user: User) -> list[Place]:
    """The places of a set that are not hidden from a reader."""
    return _not_hidden(vector_set, hidden_from(user))


def places_hidden(vector_set: VectorSet, user: User) -> list[Place]:
    """The others, which a change by this reader keeps."""
    shown = set(places_shown(vector_set, user))
    return [place for place in set_places(vector_set) if place not in shown]


def sets_shown(user: User, model: LanguageModel | None = None) -> list[tuple[VectorSet, int]]:
    """All sets, or those of a model, each with the number of vectors that the reader sees."""
    hidden = hidden_from(user)
    return [(one, len(_not_hidden(one, hidden))) for one in vector_sets(model)]


def sets_to_extend(user: User, model: LanguageModel) -> list[VectorSet]:
    """The sets of a model that a person may add vectors to, for `explorer/_add_to_set.html`."""
    return [one for one in vector_sets(model).defer("members") if is_own(one, user)]


def set_page(vector_set: VectorSet, user: User, number: int = 1) -> SetPage:
    """A page of a set, from 1; the last one for a number beyond it."""
    shown = places_shown(vector_set, user)
    pages = max(1, -(-len(shown) // PER_PAGE))
    number = max(1, min(number, pages))
    first = (number - 1) * PER_PAGE
    return SetPage(
        vector_set=vector_set,
        shown=shown,
        hidden=len(vector_set.members) - len(shown),
        members=_members(vector_set.model, shown[first : first + PER_PAGE], user),
        number=number,
        is_own=is_own(vector_set, user),
    )


def set_file(vector_set: VectorSet, user: User, extension: str) -> Download:
    """The vectors of a set that a reader sees, as a file. Raises NotFound for another format."""
    require_format(EXPORT_FORMATS, extension)
    table = Table("set", COLUMNS, _rows(vector_set, user))
    return table_as_file(table, name=f"set-{vector_set.public_id}", extension=extension)


def _rows(vector_set: VectorSet, user: User) -> Iterator[Row]:
    shown = places_shown(vector_set, user)
    for first in range(0, len(shown), ROWS_AT_ONCE):
        for member in _members(vector_set.model, shown[first : first + ROWS_AT_ONCE], user):
            tokens = " ".join(token.display for token in member.row.top) if member.row else None
            yield (
                vector_set.title,
                str(vector_set.model),
                member.layer,
                member.index,
                tokens,
            )


def _not_hidden(vector_set: VectorSet, hidden: Hidden) -> list[Place]:
    weights = vector_set.model.weights_digest
    places = set_places(vector_set)
    if not hidden.is_about(weights):
        return places
    return [
        (layer, index)
        for layer, index in places
        if not hidden.holds(weights=weights, kind=Kind.VALUE, layer=layer, index=index)
    ]


def _members(model: LanguageModel, places: Sequence[Place], user: User) -> list[Member]:
    """Vectors at places with their lists, as far as an extraction of the model has them."""
    extractions = list(extractions_ready().filter(model=model).order_by("pk"))
    position = {one.pk: n for n, one in enumerate(extractions)}
    newest: dict[Place, int] = {}
    if places and extractions:
        by_layer: defaultdict[int, list[int]] = defaultdict(list)
        for layer, index in places:
            by_layer[layer].append(index)
        chosen = reduce(
            or_, (Q(layer=layer, index__in=indices) for layer, indices in by_layer.items())
        )
        held = Vector.objects.filter(chosen, extraction__in=position, kind=Kind.VALUE)
        for pk, layer, index in held.order_by("extraction").values_list(
            "extraction", "layer", "index"
        ):
            newest[layer, index] = pk
    there = [place for place in places if place in newest]
    found = Found(
        extractions=extractions,
        of=np.array([position[newest[place]] for place in there], np.intp),
        lists=unscored(
            [KINDS.index(Kind.VALUE)] * len(there),
            [layer for layer, _ in there],
            [index for _, index in there],
        ),
    )
    rows = {
        (row.vector.layer, row.vector.index): row for row in rows_of(found, user, 0, len(there))
    }
    return [Member(layer, index, rows.get((layer, index))) for layer, index in places]


def places_found(search: VectorSearch, user: User) -> tuple[LanguageModel, list[Place], int]:
    """The value vectors that a search finds: their model, their places, and how many lists are of
    other kinds.

    Raises Invalid where they are of several models, or more than a search gives.
    """
    found = vectors_found(search, user)
    if found.is_cut:
        raise Invalid(
            gettext(
                "The search finds %(n)s lists, and a set can take those of at most %(most)s. Add a "
                "condition."
            )
            % {"n": f"{len(found):,}", "most": f"{MOST_ROWS:,}"}
        )
    values = found.lists.kinds == KINDS.index(Kind.VALUE)
    extractions = [found.extractions[n] for n in np.unique(found.of[values]).tolist()]
    model = _one_model(extractions)
    lists = found.lists.where(values)
    places = zip(lists.layers.tolist(), lists.indices.tolist(), strict=True)
    return model, sorted(set(places)), int((~values).sum())


def places_ticked(ticked: Sequence[str], user: User) -> tuple[LanguageModel, list[Place]]:
    """The vectors of ticked rows, each as an extraction's id and LAYER:INDEX.

    Raises Invalid for anything else, for vectors of several models, and for what the reader does
    not see.
    """
    by_extraction: defaultdict[UUID, list[Place]] = defaultdict(list)
    for one in ticked:
        public_id, _, word = one.partition(" ")
        place = place_of(word)
        try:
            known = UUID(public_id)
        except ValueError:
            known = None
        if place is None or known is None:
            raise Invalid(gettext("Tick lists of the table, and save them again."))
        by_extraction[known].append(place)
    extractions: QuerySet[Extraction] = extractions_ready().filter(public_id__in=by_extraction)
    model = _one_model(list(extractions))
    places = sorted({place for places in by_extraction.values() for place in places})
    hidden = hidden_from(user)
    return model, [
        (layer, index)
        for layer, index in places
        if not hidden.holds(weights=model.weights_digest, kind=Kind.VALUE, layer=layer, index=index)
    ]


def _one_model(extractions: Sequence[Extraction]) -> LanguageModel:
    models = {one.model for one in extractions if one.model is not None}
    if not models:
        raise Invalid(
            gettext("None of these lists is of a value vector. Sets have value vectors alone.")
        )
    if len(models) > 1:
        raise Invalid(
            gettext(
                "These lists are of %(n)s models, and a set has vectors of one. Choose one model "
                "in the search."
            )
            % {"n": len(models)}
        )
    return models.pop()
