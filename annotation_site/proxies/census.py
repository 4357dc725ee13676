"""A census: an extraction with a number, or a list, of every value vector of a study's model."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db.models import Avg, Count, F, Max, QuerySet
from django.utils.translation import gettext_noop

from annotation_site.corpus.censuses import (
    candidates,
    has_all_lists,
    layers_of,
    name_of,
    ready_of,
    require_layers,
    sizes_of_lists,
    with_lists,
)
from annotation_site.corpus.models import Extraction, Kind, ValueStatistics, Vector
from annotation_site.errors import Invalid
from annotation_site.proxies.registry import PROXIES, Proxy
from annotation_site.sentences import Sentence

NO_LISTS = gettext_noop(
    "There is no list of every value vector of %(model)s. Extract the model with the same options "
    "and “all” vectors per layer (--per-layer all), then compute the proxy."
)
NO_STATISTICS = gettext_noop(
    "No extraction of %(model)s has value statistics. Extract the model with the same options and "
    "value statistics (--value-statistics)."
)
LACKS_NUMBERS = gettext_noop(
    "Layer %(layer)s of “%(extraction)s” has this number of %(found)s of %(whole)s value vectors. "
    "Extract the model with value statistics (--value-statistics)."
)


@dataclass(frozen=True)
class LayerNumbers:
    """Census of a proxy in a layer: the number of vectors, and their mean."""

    layer: int
    vectors: int
    mean: float


def with_statistics(among: Iterable[Extraction]) -> list[Extraction]:
    """Those whose bundle has value statistics."""
    return [one for one in among if has_statistics(one)]


def has_statistics(extraction: Extraction) -> bool:
    """Whether its bundle came with value statistics."""
    return bool(extraction.counts.get("value_statistics"))


def censuses_for(
    extraction: Extraction, proxy: Proxy, among: Sequence[Extraction]
) -> list[Extraction]:
    """The extractions whose vectors a proxy may be known of, the first choice first.

    Whether one has every vector is not looked at. Raises Invalid with the reason and what to do
    where there is none.
    """
    alike = candidates(extraction, among)
    found = with_lists(alike) if proxy.is_computed else with_statistics(alike)
    if not found:
        message = NO_LISTS if proxy.is_computed else NO_STATISTICS
        raise Invalid(Sentence(message, model=name_of(extraction)))
    return found


def complete_census(
    extraction: Extraction, proxy: Proxy, among: Sequence[Extraction]
) -> Extraction:
    """The first extraction with the list of every value vector, of which a proxy can be computed.

    Raises Invalid, with the reason of the last one, where each lacks some, or there is none.
    """
    *others, last = censuses_for(extraction, proxy, among)
    for one in others:
        try:
            sizes_of_lists(one)
        except Invalid:
            continue
        return one
    sizes_of_lists(last)
    return last


def statistic_census(extraction: Extraction, column: str) -> list[LayerNumbers]:
    """The census of a number that every value vector of every layer has.

    Raises Invalid, with numbers, where a vector lacks it.
    """
    held = _statistics(extraction.pk, str(extraction.bundle_digest))
    require_layers(extraction, [one["layer"] for one in held])
    lists = Vector.objects.filter(extraction=extraction, kind=Kind.VALUE)
    every = layers_of(lists) if has_all_lists(extraction) else ()
    sizes = {layer: highest + 1 for layer, _, _, highest in every}
    largest = extraction.model.d_ff if extraction.model else 0
    most = max(one["n"] for one in held)
    for one in held:
        # Layers may differ in size, and d_ff is that of the largest.
        own = largest if one["n"] == most else 0
        whole = max(one["last"] + 1, sizes.get(one["layer"], own))
        if not one["n"] == one[f"{column}_n"] == whole:
            raise Invalid(
                Sentence(
                    LACKS_NUMBERS,
                    extraction=str(extraction),
                    layer=one["layer"],
                    found=f"{min(one['n'], one[f'{column}_n']):,}",
                    whole=f"{whole:,}",
                )
            )
    return [LayerNumbers(one["layer"], one["n"], one[f"{column}_mean"]) for one in held]


@lru_cache(maxsize=100)  # an extraction's rows never change, and every snapshot asks again
def _statistics(extraction: int, digest: str) -> list[dict[str, Any]]:
    """Of each layer of an extraction's value statistics the count and mean of every column."""
    columns = {
        f"{name}_{what}": of(name)
        for name in (one.statistic for one in PROXIES.values() if one.statistic)
        for what, of in (("n", Count), ("mean", Avg))
    }
    rows = ValueStatistics.objects.filter(extraction=extraction).order_by("layer")
    found = rows.values("layer").annotate(n=Count("pk"), last=Max("index"), **columns)
    return [dict(row) for row in found]


def layer_sizes(extraction: Extraction) -> dict[int, int]:
    """The number of value vectors by layer, where something here is known of each of them.

    Empty where no extraction of the model has a list, or statistics, of every value vector. Layers
    may differ in size, which a sample does not show.
    """
    weights = extraction.model.weights_digest if extraction.model else ""
    here = list(ready_of([weights]))
    for one in with_statistics(here):
        held = _statistics(one.pk, str(one.bundle_digest))
        if held and all(row["n"] == row["last"] + 1 for row in held):
            return {row["layer"]: row["n"] for row in held}
    for one in with_lists(here):
        try:
            return sizes_of_lists(one)
        except Invalid:
            continue
    return {}


def statistic_rows(extraction: Extraction, column: str) -> QuerySet[Any, tuple[int, int, float]]:
    """Layer, index and the number, in that order, of every vector that has one."""
    return (
        ValueStatistics.objects.filter(extraction=extraction, **{f"{column}__isnull": False})
        .order_by("layer", "index")
        .values_list("layer", "index", F(column))
    )
