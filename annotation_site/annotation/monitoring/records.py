"""A study's rows for its researchers: people, lists, assignments, annotations.

Not for annotators: lists come with model, kind, layer and index, and answers with their authors.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import Count, F, OuterRef, Prefetch, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from annotation_site.annotation.lists.entries import entries_of_lists
from annotation_site.annotation.models import Assignment, Item, Membership, Pattern, Study
from annotation_site.annotation.review.adjudication import counted_annotations

State = Assignment.State
Purpose = Assignment.Purpose


def study_people(study: Study) -> QuerySet[Any]:
    """Everybody in the study with their progress; annotators first, then by name."""
    return (
        Membership.objects.filter(study=study)
        .select_related("user")
        .annotate(
            total=Count("assignments"),
            left=Count("assignments", filter=Q(assignments__state__in=Assignment.UNFINISHED)),
            submitted=Count("assignments", filter=Q(assignments__state=State.SUBMITTED)),
            skipped=Count("assignments", filter=Q(assignments__state=State.SKIPPED)),
            expired=Count("assignments", filter=Q(assignments__state=State.EXPIRED)),
            active_seconds=Sum("assignments__active_seconds", default=0),
        )
        .order_by("role", "user__username", "pk")
    )


def study_items(
    study: Study, *, kind: str = "", layer: int | None = None, use: str = ""
) -> QuerySet[Any]:
    """The study's lists, with their origin and number of annotations that count."""
    found = study.items.all()
    if kind:
        found = found.filter(vector__kind=kind)
    if layer is not None:
        found = found.filter(vector__layer=layer)
    if use:
        found = found.filter(use=use)
    counted = counted_annotations(study).filter(item=OuterRef("pk")).order_by().values("item")
    return (
        found.select_related("vector__extraction__model")
        .annotate(annotations=Coalesce(Subquery(counted.annotate(n=Count("pk")).values("n")), 0))
        .order_by("pk")
    )


def item_entries(study: Study, items: Iterable[Item]) -> dict[int, list[str]]:
    """The entries of some lists of a study, best first, by the list's id."""
    items = list(items)
    found = entries_of_lists([item.vector for item in items], study.list_source)
    return {item.pk: [entry.text for entry in found[item.vector_id]] for item in items}


def study_assignments(
    study: Study, *, states: Sequence[str] = (), purpose: str = "", person: Any = None
) -> QuerySet[Assignment]:
    """Assignments of a study, in the order of each person's queue."""
    found = Assignment.objects.filter(item__study=study).select_related("membership__user")
    if states:
        found = found.filter(state__in=states)
    if purpose:
        found = found.filter(purpose=purpose)
    if person:
        found = found.filter(membership__user__public_id=person)
    return found.order_by("membership_id", "position")


def study_annotations(study: Study, *, purpose: str = "", person: Any = None) -> QuerySet[Any]:
    """Submitted annotations with their patterns, in order of submission."""
    patterns = Pattern.objects.order_by("number").prefetch_related("members")
    return (
        study_assignments(study, states=[State.SUBMITTED], purpose=purpose, person=person)
        .prefetch_related(Prefetch("patterns", patterns))
        .order_by(F("submitted_at").asc(nulls_last=True), "pk")
    )


def unopened_lists(membership: Membership) -> list[int]:
    """The ids of the lists that a person could release."""
    return list(
        membership.assignments.filter(purpose=Purpose.ANNOTATION, state=State.WAITING).values_list(
            "item", flat=True
        )
    )


def lists_taken(study: Study, lists: Sequence[int]) -> int:
    """Number of these lists whose slots are all taken."""
    held = (
        Assignment.objects.filter(
            item__in=lists, purpose=Purpose.ANNOTATION, state__in=Assignment.LIVE, surplus=False
        )
        .order_by()
        .values("item")
        .annotate(n=Count("pk"))
    )
    return held.filter(n__gte=study.annotators_per_list).count()


def lists_by_id(study: Study, rows: Sequence[int]) -> list[dict[str, Any]]:
    """Some lists of the study with their origin, annotations, skips and adjudication.

    `rows` are the lists' ids, whose order is kept.
    """
    items = Item.objects.filter(study=study, pk__in=rows).values(
        "pk", "vector__kind", "vector__layer", "vector__index",
        "vector__extraction__model__name",
    )  # fmt: skip
    found: dict[int, dict[str, Any]] = {
        item["pk"]: {
            "id": item["pk"],
            "model": item["vector__extraction__model__name"],
            "kind": item["vector__kind"],
            "layer": item["vector__layer"],
            "index": item["vector__index"],
            "annotations": 0,
            "working": 0,
            "surplus": 0,
            "unblinded": 0,
            "reasons": [],
            "adjudicated": False,
            "looked_before": False,
        }
        for item in items
    }
    assignments = Assignment.objects.filter(
        item__in=found, purpose__in=(Purpose.ANNOTATION, Purpose.ADJUDICATION)
    ).values_list(
        "item", "purpose", "state", "surplus", "unblinded", "looked_before", "skip_reason"
    )
    for item, purpose, state, surplus, unblinded, looked, reason in assignments.order_by("pk"):
        row = found[item]
        if purpose == Purpose.ADJUDICATION:
            row["adjudicated"] = state == State.SUBMITTED
            row["looked_before"] = row["adjudicated"] and looked
        elif state == State.SUBMITTED:
            row["unblinded" if unblinded else "surplus" if surplus else "annotations"] += 1
        elif state == State.IN_PROGRESS:
            row["working"] += 1
        elif state == State.SKIPPED:
            row["reasons"].append(reason)
    return [found[pk] for pk in rows if pk in found]
