"""Proxies of a study's value vectors, for the tables of estimates."""

from collections.abc import Mapping
from typing import Any

from annotation_site.analysis.estimates.proxies import Proxies, proxies_of
from annotation_site.annotation.models import Item, Study
from annotation_site.corpus.models import Extraction, Kind
from annotation_site.proxies.registry import is_of_language_model
from annotation_site.proxies.selectors import Place, proxy_numbers
from annotation_site.results.tables.model_names import model_names


def study_proxies(study: Study) -> Proxies | None:
    """The proxies of a study's own value lists; None where it has none.

    Those of a restored extraction came with its archive, which says what was known of the whole
    population then; of others the site knows what is computed, and what came with a bundle. A proxy
    is missing where it is there, but lacks vectors, and no other model of the study has it.
    """
    items = _value_items(study)
    names = model_names(study) if items else {}
    titles: dict[str, str] = {}
    missing: dict[str, str] = {}
    values: list[tuple[int, str, float]] = []
    census: list[tuple[str, str, int, int, float]] = []
    told = {
        extraction.pk: extraction.restored["proxies"]
        for extraction in Extraction.objects.filter(pk__in=items, restored__isnull=False)
        if extraction.restored and extraction.restored.get("proxies")
    }
    for pk, of_archive in sorted(told.items()):
        titles |= dict(of_archive["titles"])
        missing |= dict(of_archive["missing"])
        values += _values(items[pk], of_archive)
        census += [
            (proxy, names[pk], layer, vectors, mean)
            for proxy, layer, vectors, mean in of_archive["census"]
        ]
    here = {pk: list(places) for pk, places in items.items() if pk not in told}
    for pk, of_model in sorted(proxy_numbers(study, here).items()):
        for one in of_model:
            name = one.proxy.name
            titles.setdefault(name, one.proxy.title)
            if one.missing:
                missing.setdefault(name, one.missing)
            census += [(name, names[pk], at.layer, at.vectors, at.mean) for at in one.census]
            values += [
                (item, name, one.values[place])
                for place, item in items[pk].items()
                if place in one.values
            ]
    # Language models last, also where another model of the study has more of the registry's.
    titles = dict(sorted(titles.items(), key=lambda one: is_of_language_model(one[0])))
    known = {proxy for proxy, *_ in census}
    missing = {name: reason for name, reason in missing.items() if name not in known}
    return proxies_of(titles, values, census, missing) if titles else None


def _value_items(study: Study) -> dict[int, dict[Place, int]]:
    """The study's own value lists: by extraction, the item of each layer and index."""
    found: dict[int, dict[Place, int]] = {}
    items = Item.objects.filter(study=study, use=Item.Use.STUDY, vector__kind=Kind.VALUE)
    for item, extraction, layer, index in items.order_by("pk").values_list(
        "pk", "vector__extraction", "vector__layer", "vector__index"
    ):
        found.setdefault(extraction, {})[layer, index] = item
    return found


def _values(items: Mapping[Place, int], told: Mapping[str, Any]) -> list[tuple[int, str, float]]:
    """Proxies of the study's lists of an extraction, which has them by layer and index."""
    return [
        (items[layer, index], proxy, value)
        for proxy, layer, index, value in told["values"]
        if (layer, index) in items
    ]
