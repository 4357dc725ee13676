"""Estimates of a finished study beside the picture of a model: one per layer or group of layers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annotation_site.analysis import MEASURES_VERSION
from annotation_site.annotation.models import Study
from annotation_site.corpus.models import Extraction
from annotation_site.explorer.judged import FINISHED
from annotation_site.proxies.registry import announced, title_of
from annotation_site.results.models import Snapshot
from annotation_site.results.snapshots.versions import data_version
from annotation_site.results.tables.filters import Filters
from annotation_site.results.tables.model_names import model_names

LOOKED_AT = 3  # finished studies, the newest first


@dataclass(frozen=True)
class LayerEstimates:
    """Estimates of coverage over all value vectors, by layer, and the study that they are of."""

    study: Study
    proxy: str
    by_layer: Mapping[int, float]


def layer_estimates(extraction: Extraction, studies: Sequence[Study]) -> LayerEstimates | None:
    """The estimates of the newest finished study that has some with an interval.

    Of the proxy that is announced as the best. A study of a set speaks of its set alone. Three
    queries for each study that is looked at.
    """
    finished = [
        study for study in reversed(studies) if study.state in FINISHED and study.drawn_from is None
    ]
    for study in finished[:LOOKED_AT]:
        name = model_names(study).get(extraction.pk)
        rows = [row for row in _rows(study) if row["model"] == name]
        if found := _by_layer(rows):
            proxy, by_layer = found
            return LayerEstimates(study, title_of(proxy), by_layer)
    return None


def _rows(study: Study) -> list[dict[str, Any]]:
    """Rows of coverage with an interval, of the current tables of a study; none of older ones."""
    stored = (
        Snapshot.objects.filter(
            study=study,
            filter_key=Filters.of(study).key,
            state=Snapshot.State.READY,
            data_version=data_version(study.pk),
            measures_version=MEASURES_VERSION,
        )
        .values_list("tables__estimates", flat=True)
        .first()
    )
    if not stored:
        return []
    names = [column for column, _ in stored["columns"]]
    rows = [dict(zip(names, row, strict=True)) for row in stored["rows"]]
    return [row for row in rows if row["measure"] == "coverage" and row["low"] is not None]


def _by_layer(rows: Sequence[Mapping[str, Any]]) -> tuple[str, dict[int, float]] | None:
    proxy = announced(row["proxy"] for row in rows)
    parts = [row for row in rows if row["proxy"] == proxy and row["layer_from"] is not None]
    if not proxy or not parts:
        return None
    # A layer of its own is the closer one, so it comes last and stays.
    parts.sort(key=lambda row: row["layer_from"] - row["layer_to"])
    return proxy, {
        layer: row["value"]
        for row in parts
        for layer in range(row["layer_from"], row["layer_to"] + 1)
    }
