"""A model's census of lists: an extraction that has the list of every value vector."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db.models import Count, Max, Min, QuerySet
from django.utils.translation import gettext_noop

from annotation_site.corpus.models import Extraction, Kind, Vector
from annotation_site.errors import Invalid
from annotation_site.sentences import Sentence
from ffn_extract.options import ALL

FEWER_LAYERS = gettext_noop(
    "“%(extraction)s” has value vectors in %(found)s of the model’s %(layers)s layers. Extract the "
    "model with “all” vectors per layer (--per-layer all)."
)
LACKS = gettext_noop(
    "Layer %(layer)s of “%(extraction)s” has %(found)s of %(whole)s value vectors. Extract the "
    "model with “all” vectors per layer (--per-layer all)."
)
_ALIKE: Mapping[str, Any] = {
    "projection": "raw",
    "top_k": 30,
    "drop_special": False,
    "through_head": False,
}
"""Options that decide a list, with the values that they have where a bundle names none."""


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


def has_all_lists(extraction: Extraction) -> bool:
    """Whether it was extracted with every value vector."""
    parameters = extraction.parameters
    return parameters.get("per_layer") == ALL and Kind.VALUE in parameters.get("kinds", [])


def sizes_of_lists(extraction: Extraction) -> dict[int, int]:
    """The number of value vectors by layer. Raises Invalid, with numbers, where some lack."""
    rows = Vector.objects.filter(extraction=extraction, kind=Kind.VALUE)
    found = list(layers_of(rows))
    require_layers(extraction, [layer for layer, *_ in found])
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


def layers_of(rows: QuerySet[Any]) -> QuerySet[Any, tuple[int, int, int, int]]:
    """Layer, number of vectors, and their lowest and highest index, of each layer of the rows."""
    return (
        rows.order_by("layer")
        .values("layer")
        .annotate(n=Count("pk"), first=Min("index"), last=Max("index"))
        .values_list("layer", "n", "first", "last")
    )


def require_layers(extraction: Extraction, layers: Sequence[int]) -> None:
    """Raises Invalid unless these are all layers of the extraction's model."""
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


def name_of(extraction: Extraction) -> str:
    """The name of an extraction's model."""
    return extraction.model.name if extraction.model else str(extraction)


def _options(extraction: Extraction) -> dict[str, Any]:
    return {name: extraction.parameters.get(name, usual) for name, usual in _ALIKE.items()}
