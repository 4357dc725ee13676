"""Queries of snapshots: the newest one and whether it is stale. Nothing here computes."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Max, Min, QuerySet
from django.utils.translation import gettext

from annotation_site.analysis import MEASURES_VERSION
from annotation_site.analysis.paper import PREFIXES_SHOWN
from annotation_site.annotation.lists.entries import entries_of_lists
from annotation_site.annotation.lists.nouns import nouns_of
from annotation_site.annotation.models import Assignment, Item, Pattern, Study
from annotation_site.exports import Column, Table
from annotation_site.exports.table import marked
from annotation_site.results.models import Pseudonym, Snapshot
from annotation_site.results.pseudonyms import pseudonyms_of
from annotation_site.results.snapshots.versions import data_version
from annotation_site.results.tables.filters import Filters

# In which `computation` draws them.
FIGURE_ORDER = (
    "coverage-across-layers",
    "prefix-shares",
    "estimates-across-layers",
    "coverage-by-kind",
    "agreement-matrix",
    "time-per-list",
    "learning-curve",
)


@dataclass(frozen=True)
class ResultsState:
    """State of the results: the newest ready snapshot, and the pending one."""

    snapshot: Snapshot | None
    pending: Snapshot | None
    is_current: bool
    has_annotations: bool

    @property
    def measures_changed(self) -> bool:
        """Whether the snapshot was computed by another version of the measures."""
        return self.snapshot is not None and self.snapshot.measures_version != MEASURES_VERSION


def results_state(study: Study, filters: Filters | None = None) -> ResultsState:
    """State of the results of a filter; without one, the study's own."""
    version = data_version(study.pk)
    same = Snapshot.objects.filter(study=study, filter_key=(filters or Filters.of(study)).key)
    ready = (
        same.filter(state=Snapshot.State.READY)
        .order_by("-data_version", "-measures_version")
        .first()
    )
    if ready is not None:
        ready.study = study  # without a query
    pending = (
        same.filter(data_version=version, measures_version=MEASURES_VERSION)
        .exclude(state=Snapshot.State.READY)
        .first()
    )
    return ResultsState(
        snapshot=ready,
        pending=pending,
        is_current=ready is not None
        and (ready.data_version, ready.measures_version) == (version, MEASURES_VERSION),
        has_annotations=version > study.other_changes,
    )


def snapshot_of(study: Study, number: int) -> Snapshot | None:
    """One snapshot of the study, by its number, when it is ready."""
    return study.snapshots.filter(pk=number, state=Snapshot.State.READY).first()


def snapshots_of(study: Study) -> QuerySet[Snapshot]:
    """All stored snapshots of the study, newest first, without their content."""
    return study.snapshots.defer("tables", "figures", "measures").order_by("-requested_at", "-pk")


def table_of(snapshot: Snapshot, name: str) -> Table:
    """A stored table, ready for an export format."""
    stored = snapshot.tables[name]
    table = Table(
        name=name,
        columns=tuple(Column(column, kind) for column, kind in stored["columns"]),
        rows=[tuple(row) for row in stored["rows"]],
    )
    return marked(table, snapshot.study.made_up)


def table_names(snapshot: Snapshot) -> list[str]:
    """The snapshot's tables in the order of the registry: PostgreSQL keeps no order of keys."""
    from annotation_site.results.tables.registry import (
        PREFIX_TABLES,
        TABLES,  # loads pandas, for researchers' pages alone
    )

    return [name for name in (*TABLES, *PREFIX_TABLES) if name in snapshot.tables]


def measures_of(snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    """Title, definition, source and unit of each measure, in the words of the study's lists."""
    nouns = nouns_of(snapshot.study.list_source)
    said = {"entry": nouns.one, "entries": nouns.many}
    return {
        name: {**about, "definition": gettext(about["definition"]) % said}
        for name, about in snapshot.measures.items()
    }


def figures_of(snapshot: Snapshot) -> list[dict[str, str]]:
    """Name, title, alternative text and table of each figure, in the order of FIGURE_ORDER.

    Those that an older version computed have no title and are on no page.
    """
    found = [{"name": n, **about} for n, about in snapshot.figures.items() if "title" in about]
    return sorted(found, key=lambda figure: _place(figure["name"]))


def _place(name: str) -> tuple[int, int]:
    """Where a figure stands; those of one plan have a number at the end, one for each model."""
    stem, _, number = name.rpartition("-")
    name, number = (stem, number) if number.isdecimal() else (name, "0")
    place = FIGURE_ORDER.index(name) if name in FIGURE_ORDER else len(FIGURE_ORDER)
    return place, int(number)


def rows_of(snapshot: Snapshot, name: str) -> list[dict[str, Any]]:
    """A stored table's rows as dictionaries; none if the snapshot has no such table."""
    stored = snapshot.tables.get(name, {"columns": [], "rows": []})
    names = [column for column, _ in stored["columns"]]
    return [dict(zip(names, row, strict=True)) for row in stored["rows"]]


@dataclass(frozen=True)
class Person:
    """Somebody whose annotations a study has: a name for pages, and an id for their addresses."""

    name: str
    public_id: uuid.UUID

    def __str__(self) -> str:
        return self.name


def people_of(study: Study) -> dict[str, Person]:
    """People with a submitted annotation by their codes, in the order of their names.

    Files and stored tables have the codes, pages the names.
    """
    submitted = Assignment.objects.filter(
        item__study=study,
        purpose=Assignment.Purpose.ANNOTATION,
        state=Assignment.State.SUBMITTED,
    )
    found = Pseudonym.objects.filter(study=study, user__in=submitted.values("membership__user"))
    rows = found.values_list("name", "user__username", "user__public_id")
    return {
        code: Person(name, public_id)
        for code, name, public_id in sorted(rows, key=lambda row: (row[1].casefold(), row[0]))
    }


def entries_of(study: Study, list_ids: Sequence[int]) -> dict[int, list[str]]:
    """The entries of some lists, best first, as they stand on a line."""
    items = list(Item.objects.filter(study=study, pk__in=list_ids).select_related("vector"))
    found = entries_of_lists([item.vector for item in items], study.list_source)
    return {item.pk: [entry.brief for entry in found[item.vector_id]] for item in items}


def descriptions_of(study: Study, list_ids: Sequence[int]) -> dict[tuple[int, str, int], str]:
    """Descriptions of patterns in some lists, by list, person's code and number."""
    codes = pseudonyms_of(study)
    found = Pattern.objects.filter(
        assignment__item__study=study,
        assignment__item__in=list_ids,
        assignment__purpose=Assignment.Purpose.ANNOTATION,
        assignment__state=Assignment.State.SUBMITTED,
    ).values_list(
        "assignment__item_id",
        "assignment__membership__user_id",
        "number",
        "description",
        "category",
    )
    return {
        (item, codes[user], number): description or category
        for item, user, number, description, category in found
        if user in codes
    }


def layers_of(study: Study) -> tuple[int, int] | None:
    """The first and the last layer of the study's own lists; None without lists."""
    lists = study.items.filter(use=Item.Use.STUDY)
    found = lists.aggregate(first=Min("vector__layer"), last=Max("vector__layer"))
    return None if found["first"] is None else (found["first"], found["last"])


def longest_list(study: Study) -> int | None:
    """The largest number of entries per list of a study, if its extractions say so."""
    if study.list_source == Study.ListSource.TRIGGER_PREFIXES:
        return PREFIXES_SHOWN
    known = [extraction.parameters.get("top_k") for extraction in study.extractions.all()]
    return max(known) if known and None not in known else None
