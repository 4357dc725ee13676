"""Studies of a set of vectors: what a plan stores of it, and the lists that it leaves to draw.

A plan keeps the vectors that the set had, so that a later change of the set changes no study.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from annotation_site.accounts.models import User
from annotation_site.annotation.lists.hidden import NEURON_KINDS, hidden_from
from annotation_site.bounds import TITLE
from annotation_site.corpus.models import Extraction, Vector, VectorSet
from annotation_site.corpus.vector_sets import MOST_PLACES
from annotation_site.errors import Invalid, NotAllowed
from ffn_extract.chosen_vectors import place_of

DrawnFrom = Mapping[str, Any]
"""The title of a set, the digest of its model's weights, and its places."""
_NAMES = {"title", "weights", "places"}


def drawn_from(vector_set: VectorSet) -> DrawnFrom:
    """The stored form of a set: that of a plan and of a study."""
    return {
        "title": vector_set.title,
        "weights": vector_set.model.weights_digest,
        "places": vector_set.members,
    }


def of_set(vectors: "QuerySet[Vector]", stored: DrawnFrom | None) -> "QuerySet[Vector]":
    """Those of the vectors that a study can draw: values and keys at the set's places, and all of
    other kinds, such as the random baseline.
    """
    if stored is None:
        return vectors
    by_layer: defaultdict[int, list[int]] = defaultdict(list)
    for layer, index in stored["places"]:
        by_layer[layer].append(index)
    members = reduce(
        or_, (Q(layer=layer, index__in=indices) for layer, indices in by_layer.items())
    )
    return vectors.filter(members | ~Q(kind__in=NEURON_KINDS))


def set_check(
    stored: DrawnFrom | None, *, kinds: Sequence[str], extractions: Sequence[Extraction]
) -> None:
    """Raises Invalid for what no set can have stored, and for kinds and models that it has not."""
    if stored is None:
        return
    if not _is_whole(stored):
        raise Invalid(_("The vectors of the set cannot be read. Choose the set again."))
    if not set(kinds) & set(NEURON_KINDS):
        raise Invalid(
            _("Only vectors of a set: choose value vectors or key vectors among the kinds.")
        )
    for extraction in extractions:
        if extraction.model is None or extraction.model.weights_digest != stored["weights"]:
            raise Invalid(
                _(
                    "The set “%(set)s” is not of the model of “%(extraction)s”. Choose the models "
                    "of the set alone, or no set."
                )
                % {"set": stored["title"], "extraction": extraction}
            )


def set_shown(stored: DrawnFrom | None, by: User) -> None:
    """Raises NotAllowed where a vector of the set is hidden from the person: the lists of the study
    would show its tokens.
    """
    if stored is None:
        return
    hidden = hidden_from(by)
    if hidden and any(
        hidden.holds(weights=stored["weights"], kind=NEURON_KINDS[0], layer=layer, index=index)
        for layer, index in stored["places"]
    ):
        raise NotAllowed(
            _(
                "A vector of the set “%(set)s” belongs to an unfinished study in which you "
                "annotate. Draw from the set when that study is closed, or from another set."
            )
            % {"set": stored["title"]}
        )


def _is_whole(stored: object) -> bool:
    """Whether it is what `drawn_from` gives: an archive can hold anything."""
    if not isinstance(stored, Mapping) or set(stored) != _NAMES:
        return False
    title, weights, places = stored["title"], stored["weights"], stored["places"]
    return (
        isinstance(title, str)
        and len(title) <= TITLE
        and isinstance(weights, str)
        and isinstance(places, list)
        and 0 < len(places) <= MOST_PLACES
        and all(isinstance(place, list) and place_of(place) is not None for place in places)
    )
