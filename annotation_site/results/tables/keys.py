"""Keys of a study's extractions: those that are never active, and those with a short list."""

from typing import Any

import pandas as pd
from django.db.models import Count, Q

from annotation_site.analysis.annotation_frames import typed_frame
from annotation_site.analysis.paper import PREFIXES_SHOWN
from annotation_site.analysis.prefix_shares import KEY_COLUMNS
from annotation_site.annotation.models import Study
from annotation_site.corpus.models import Extraction, TriggerPrefixes, Vector
from annotation_site.results.tables.filters import Filters
from annotation_site.results.tables.model_names import model_names


def key_frame(study: Study, filters: Filters | None = None) -> pd.DataFrame | None:
    """A row of `KEY_COLUMNS` per model, kind and layer that the filter takes.

    None for a study whose lists are no trigger prefixes. Two queries for each extraction.
    """
    if study.list_source != Study.ListSource.TRIGGER_PREFIXES:
        return None
    names = model_names(study)
    rows = [
        (names[extraction.pk], kind, layer, *counts)
        for extraction in Extraction.objects.filter(pk__in=names).order_by("pk")
        for kind, layer, *counts in key_counts(extraction)
        if kind in study.kinds and (filters is None or filters.takes_layer(kind, layer))
    ]
    return typed_frame(rows, KEY_COLUMNS)


def key_counts(extraction: Extraction) -> list[tuple[Any, ...]]:
    """Kind, layer, keys, never active ones and those with a short list, of each kind and layer.

    A restored extraction holds a study's lists alone, and the counts of the whole one.
    """
    if extraction.restored is not None:
        return [tuple(row) for row in extraction.restored.get("keys", ())]
    places = ("kind", "layer")
    listed = TriggerPrefixes.objects.filter(
        extraction=extraction, side=TriggerPrefixes.Side.POSITIVE
    )
    full = Q(**{f"prefixes__{PREFIXES_SHOWN - 1}__isnull": False})
    active = {
        (kind, layer): (some, whole)
        for kind, layer, some, whole in listed.order_by()
        .values_list(*places)
        .annotate(some=Count("pk"), whole=Count("pk", filter=full))
    }
    keys = Vector.objects.filter(extraction=extraction).order_by()
    found = []
    for kind, layer, number in keys.values_list(*places).annotate(n=Count("pk")):
        some, whole = active.get((kind, layer), (0, 0))
        found.append((kind, layer, number, number - some, some - whole))
    return sorted(found)
