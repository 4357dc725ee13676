"""Vectors that a person must not see, since they annotate one of their lists. Reads only.

People who annotate in an unfinished study see nothing of its vectors, whatever their role: neither
in the explorer, nor in searches, traces, measurements and their addresses in the API. The pages of
a study are for those who run it, and show its own lists.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from django.db.models import Q, QuerySet

from annotation_site.accounts.models import User
from annotation_site.annotation.models import Item, Membership, Study
from annotation_site.corpus.models import Extraction, Kind, Vector

UNFINISHED = (Study.State.DRAFT, Study.State.PILOT, Study.State.OPEN, Study.State.PAUSED)
"""States of studies that people annotate in, now or later.

A draft is one: its annotators are to see its lists for the first time when it opens.
"""
NEURON_KINDS = (Kind.VALUE.value, Kind.KEY.value)
"""The kinds whose layer and index are those of a neuron: one list of it hides both."""

Place = tuple[str, int, int]  # the first kind of those that are hidden together, layer, index


@dataclass(frozen=True)
class Hidden:
    """Vectors hidden from a person: by the digest of the weights, the places in that model.

    Lists of all extractions of the same weights are hidden: they show the same tokens.
    """

    places: dict[str, frozenset[Place]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.places)

    def holds(self, *, weights: str, kind: str, layer: int, index: int) -> bool:
        """Whether a vector of the model with these weights is hidden."""
        return (_first(kind), layer, index) in self.places.get(weights, ())

    def is_about(self, weights: str) -> bool:
        """Whether some vector of the model with these weights is hidden."""
        return weights in self.places

    def within(self, extraction: Extraction) -> QuerySet[Vector]:
        """The hidden vectors of an extraction."""
        weights = extraction.model.weights_digest if extraction.model else ""
        vectors = Vector.objects.filter(extraction=extraction)
        if not self.is_about(weights):
            return vectors.none()
        chosen = Q()
        for (first, layer), indices in _by_layer(self.places[weights]).items():
            kinds = NEURON_KINDS if first == NEURON_KINDS[0] else (first,)
            chosen |= Q(kind__in=kinds, layer=layer, index__in=indices)
        return vectors.filter(chosen)

    def left_out_of(self, vectors: QuerySet[Vector]) -> QuerySet[Vector]:
        """The vectors without the hidden ones."""
        for pks in self._pks():
            vectors = vectors.exclude(pk__in=pks)
        return vectors

    def _pks(self) -> list[list[int]]:
        """The hidden vectors' keys, by extraction."""
        alike = Extraction.objects.filter(model__weights_digest__in=self.places).select_related(
            "model"
        )
        found = [list(self.within(one).values_list("pk", flat=True)) for one in alike]
        return [pks for pks in found if pks]


def hidden_from(user: User) -> Hidden:
    """The vectors hidden from a person: those of the unfinished studies in which they annotate."""
    own = Membership.objects.filter(user=user, role=Membership.Role.ANNOTATOR, withdrawn_at=None)
    items = Item.objects.filter(
        study__state__in=UNFINISHED, study__in=own.values("study")
    ).values_list(
        "vector__extraction__model__weights_digest",
        "vector__kind",
        "vector__layer",
        "vector__index",
    )
    places: defaultdict[str, set[Place]] = defaultdict(set)
    for weights, kind, layer, index in items:
        places[weights].add((_first(kind), layer, index))
    return Hidden({weights: frozenset(found) for weights, found in places.items()})


def _first(kind: str) -> str:
    return NEURON_KINDS[0] if kind in NEURON_KINDS else kind


def _by_layer(places: frozenset[Place]) -> dict[tuple[str, int], list[int]]:
    found: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for first, layer, index in places:
        found[first, layer].append(index)
    return found
