"""A census: an extraction with a number, or a list, of every value vector of a study's model."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db.models import Avg, Count, F, Max, Min, QuerySet
from django.utils.translation import gettext_noop

from annotation_site.corpus.models import Extraction, Kind, ValueStatistics, Vector
from annotation_site.errors import Invalid
from annotation_site.proxies.registry import PROXIES, Proxy
from annotation_site.sentences import Sentence
from ffn_extract.options import ALL

NO_LISTS = gettext_noop(
    "There is no list of every value vector of %(model)s. Extract the model with the same options "
    "and “all” vectors per layer (--per-layer all), then compute the proxy."
)
NO_STATISTICS = gettext_noop(
    "No extraction of %(model)s has value statistics. Extract the model with the same options and "
    "value statistics (--value-statistics)."
)
FEWER_LAYERS = gettext_noop(
    "“%(extraction)s” has value vectors in %(found)s of the model’s %(layers)s layers. Extract the "
    "model with “all” vectors per layer (--per-layer all)."
)
LACKS = gettext_noop(
    "Layer %(layer)s of “%(extraction)s” has %(found)s of %(whole)s value vectors. Extract the "
    "model with “all” vectors per layer (--per-layer all)."
)
LACKS_NUMBERS = gettext_noop(
    "Layer %(layer)s of “%(extraction)s” has this number of %(found)s of %(whole)s value vectors. "
    "Extract the model with value statistics (--value-statistics)."
)
_ALIKE: Mapping[str, Any] = {
    "projection": "raw",
    "top_k": 30,
    "drop_special": False,
    "through_head": False,
}
"""Options that decide a list, with the values that they have where a bundle names none."""


@dataclass(frozen=True)
class LayerNumbers:
    """Census of a proxy in a layer: the number of vectors, and their mean."""

    layer: int
    vectors: int
    mean: float


def candidates(extraction: Extraction, others: Iterable[Extraction]) -> list[Extraction]:
    """Those of the ready extractions whose lists are alike, the extraction itself first.

    Alike: the same weights, projection, length and special tokens. `others` are of `ready_of`,
    which leaves out extractions that came with a study's archive: they hold the study's lists
    alone, so they are no census.
    """
    weights = extraction.model.weights_digest if extraction.model else ""
    wanted = _options(extraction)
    found = [
        one
        for one in others
        if one.model is not None and one.model.weights_digest == weights and _options(one) == wanted
    ]
    return sorted(found, key=lambda one: (one.pk != extraction.pk, one.pk))


def ready_of(weights: Iterable[str]) -> QuerySet[Extraction]:
    """Ready extractions of models with these weights, without what is long."""
    return (
        Extraction.objects.filter(
            state=Extraction.State.READY,
            model__weights_digest__in=list(weights),
            restored__isnull=True,
        )
        .select_related("model")
        .defer("manifest", "plan", "environment", "restored")
        .order_by("pk")
    )


def with_lists(among: Iterable[Extraction]) -> list[Extraction]:
    """Those that were extracted with every value vector."""
    return [one for one in among if has_all_lists(one)]


def with_statistics(among: Iterable[Extraction]) -> list[Extraction]:
    """Those whose bundle has value statistics."""
    return [one for one in among if has_statistics(one)]


def has_all_lists(extraction: Extraction) -> bool:
    """Whether it was extracted with every value vector."""
    parameters = extraction.parameters
    return parameters.get("per_layer") == ALL and Kind.VALUE in parameters.get("kinds", [])


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


def sizes_of_lists(extraction: Extraction) -> dict[int, int]:
    """The number of value vectors by layer. Raises Invalid, with numbers, where some lack."""
    rows = Vector.objects.filter(extraction=extraction, kind=Kind.VALUE)
    found = list(_layers(rows))
    _require_layers(extraction, [layer for layer, *_ in found])
    largest = extraction.model.d_ff if extraction.model else 0
    # Layers may differ in size, and d_ff is that of the largest.
    most = max((count for _, count, *_ in found), default=0)
    for layer, count, first, last in found:
        whole = max(last + 1, largest if count == most else 0)
        if count != whole or first != 0:
            raise Invalid(
                Sentence(
                    LACKS,
                    extraction=str(extraction),
                    layer=layer,
                    found=f"{count:,}",
                    whole=f"{whole:,}",
                )
            )
    return {layer: count for layer, count, *_ in found}


def _layers(rows: QuerySet[Any]) -> QuerySet[Any, tuple[int, int, int, int]]:
    return (
        rows.order_by("layer")
        .values("layer")
        .annotate(n=Count("pk"), first=Min("index"), last=Max("index"))
        .values_list("layer", "n", "first", "last")
    )


def _require_layers(extraction: Extraction, layers: Sequence[int]) -> None:
    n_layers = extraction.model.n_layers if extraction.model else 0
    if list(layers) != list(range(n_layers)):
        raise Invalid(
            Sentence(
                FEWER_LAYERS,
                extraction=str(extraction),
                found=len(layers),
                layers=n_layers,
            )
        )


def statistic_census(extraction: Extraction, column: str) -> list[LayerNumbers]:
    """The census of a number that every value vector of every layer has.

    Raises Invalid, with numbers, where a vector lacks it.
    """
    held = _statistics(extraction.pk, str(extraction.bundle_digest))
    _require_layers(extraction, [one["layer"] for one in held])
    lists = Vector.objects.filter(extraction=extraction, kind=Kind.VALUE)
    every = _layers(lists) if has_all_lists(extraction) else ()
    sizes = {layer: highest + 1 for layer, _, _, highest in every}
    largest = extraction.model.d_ff if extraction.model else 0
    for one in held:
        whole = max(one["last"] + 1, sizes.get(one["layer"], largest))
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


def name_of(extraction: Extraction) -> str:
    """The name of an extraction's model."""
    return extraction.model.name if extraction.model else str(extraction)


def statistic_rows(extraction: Extraction, column: str) -> QuerySet[Any, tuple[int, int, float]]:
    """Layer, index and the number, in that order, of every vector that has one."""
    return (
        ValueStatistics.objects.filter(extraction=extraction, **{f"{column}__isnull": False})
        .order_by("layer", "index")
        .values_list("layer", "index", F(column))
    )


def _options(extraction: Extraction) -> dict[str, Any]:
    return {name: extraction.parameters.get(name, usual) for name, usual in _ALIKE.items()}
