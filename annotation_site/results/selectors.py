"""Reading results: the newest snapshot and whether it is stale. Nothing here computes."""

from dataclasses import dataclass
from typing import Any

from annotation_site.annotation.models import Study
from annotation_site.corpus.models import Kind
from annotation_site.exports import Column, Table
from annotation_site.results.models import Snapshot
from annotation_site.results.services import data_version, filter_key, filters_of


@dataclass(frozen=True)
class ResultsState:
    """What a results page shows: the newest ready snapshot, and the one that is to come."""

    snapshot: Snapshot | None
    pending: Snapshot | None
    is_current: bool
    has_answers: bool


def results_state(study: Study) -> ResultsState:
    """Where the study's own results stand."""
    version = data_version(study.pk)
    same = Snapshot.objects.filter(study=study, filter_key=filter_key(filters_of(study)))
    ready = same.filter(state=Snapshot.State.READY).order_by("-data_version").first()
    pending = same.filter(data_version=version).exclude(state=Snapshot.State.READY).first()
    return ResultsState(
        snapshot=ready,
        pending=pending,
        is_current=ready is not None and ready.data_version == version,
        has_answers=version > 0,
    )


def table_of(snapshot: Snapshot, name: str) -> Table:
    """A stored table, ready for an export format."""
    stored = snapshot.tables[name]
    return Table(
        name=name,
        columns=tuple(Column(column, kind) for column, kind in stored["columns"]),
        rows=(tuple(row) for row in stored["rows"]),
    )


def coverage_rows(snapshot: Snapshot) -> list[dict[str, Any]]:
    """The coverage table's rows as dictionaries, over all layers and by layer."""
    stored = snapshot.tables["coverage"]
    names = [name for name, _ in stored["columns"]]
    return [dict(zip(names, row, strict=True)) for row in stored["rows"]]


def results_tables(study: Study, snapshot: Snapshot) -> dict[str, Any]:
    """The coverage table as the page shows it: one block per model, rows by kind and by layer."""
    rows = [
        {
            **row,
            "kind_label": Kind(row["kind"]).label,
            "category_shares": [row[category] for category in study.categories],
        }
        for row in coverage_rows(snapshot)
    ]
    models = [
        {
            "name": name,
            "number": number,
            "alt": figure["alt"],
            "kinds": [r for r in rows if r["model"] == name and r["layer"] is None],
            "layers": [r for r in rows if r["model"] == name and r["layer"] is not None],
        }
        for number, (name, figure) in enumerate(snapshot.figures.items())
    ]
    return {"models": models, "categories": study.categories}
