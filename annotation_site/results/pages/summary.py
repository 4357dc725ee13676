"""Summary of the newest snapshot in a few figures, for the progress page."""

import datetime
import statistics
from dataclasses import dataclass
from typing import Any

from annotation_site.annotation.models import Study
from annotation_site.corpus.models import Kind
from annotation_site.results.models import Snapshot
from annotation_site.results.pages.disagreement import OVERLAP, TABLE
from annotation_site.results.snapshots.versions import data_version
from annotation_site.results.tables.filters import Filters


@dataclass(frozen=True)
class Summary:
    """Coverage by model and kind, and the mean overlap of two people's patterns."""

    coverage: list[dict[str, Any]]
    overlap: float | None
    overlap_lists: int
    annotations: int
    annotators: int
    computed_at: datetime.datetime
    is_current: bool


def summary_of(study: Study) -> Summary | None:
    """The summary, or None before the first snapshot."""
    found = (
        Snapshot.objects.filter(
            study=study, filter_key=Filters.of(study).key, state=Snapshot.State.READY
        )
        .order_by("-data_version")
        .values_list(
            "tables__coverage", f"tables__{TABLE}", "counts", "finished_at", "data_version"
        )
        .first()
    )
    if found is None:
        return None
    coverage, disagreement, counts, computed_at, version = found
    overlaps = [row[OVERLAP] for row in _rows(disagreement) if row[OVERLAP] is not None]
    return Summary(
        coverage=[
            {**row, "kind_label": Kind(row["kind"]).label}
            for row in _rows(coverage)
            if row["layer"] is None
        ],
        overlap=statistics.fmean(overlaps) if overlaps else None,
        overlap_lists=len(overlaps),
        annotations=counts["annotations"],
        annotators=counts.get("annotators", 0),  # missing in old snapshots
        computed_at=computed_at,
        is_current=version == data_version(study.pk),
    )


def _rows(stored: dict[str, Any] | None) -> list[dict[str, Any]]:
    if stored is None:
        return []
    names = [name for name, _ in stored["columns"]]
    return [dict(zip(names, row, strict=True)) for row in stored["rows"]]
