"""Proxies of a study's value vectors, for the tables of estimates."""

from collections.abc import Mapping
from typing import Any

from annotation_site.analysis.proxies import Proxies, proxies_of
from annotation_site.annotation.models import Item, Study
from annotation_site.corpus.models import Extraction, Kind
from annotation_site.results.tables.model_names import model_names


def study_proxies(study: Study) -> Proxies | None:
    """The proxies of a study's own value lists; None where it has none.

    Those of a restored extraction came with its archive, which says what was known of the whole
    population then. Two queries, and one for each extraction with proxies.
    """
    names = model_names(study)
    titles: dict[str, str] = {}
    missing: dict[str, str] = {}
    values: list[tuple[int, str, float]] = []
    census: list[tuple[str, str, int, int, float]] = []
    for extraction in Extraction.objects.filter(pk__in=names).order_by("pk"):
        told = (extraction.restored or {}).get("proxies")
        if not told:
            continue
        titles |= dict(told["titles"])
        missing |= dict(told["missing"])
        values += _values(study, extraction, told)
        census += [
            (proxy, names[extraction.pk], layer, vectors, mean)
            for proxy, layer, vectors, mean in told["census"]
        ]
    return proxies_of(titles, values, census, missing) if titles else None


def _values(
    study: Study, extraction: Extraction, told: Mapping[str, Any]
) -> list[tuple[int, str, float]]:
    """Proxies of the study's lists of an extraction, which has them by layer and index."""
    known: dict[tuple[int, int], list[tuple[str, float]]] = {}
    for proxy, layer, index, value in told["values"]:
        known.setdefault((layer, index), []).append((proxy, value))
    items = Item.objects.filter(
        study=study,
        use=Item.Use.STUDY,
        vector__extraction=extraction,
        vector__kind=Kind.VALUE,
    )
    return [
        (item, proxy, value)
        for item, layer, index in items.order_by("pk").values_list(
            "pk", "vector__layer", "vector__index"
        )
        for proxy, value in known.get((layer, index), ())
    ]
