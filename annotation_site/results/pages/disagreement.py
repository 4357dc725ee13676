"""Lists ordered by agreement, from the newest snapshot.

Nothing is computed here: a worker ranks all lists with two answers or more. While there is no
ranking, the order is random, and pages say so.
"""

import datetime
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count

from annotation_site.accounts.models import User
from annotation_site.annotation.lists.entries import entries_of_lists
from annotation_site.annotation.models import Assignment, Item, Study
from annotation_site.annotation.review.adjudication import adjudicable_lists, counted_annotations
from annotation_site.results.models import Snapshot
from annotation_site.results.tables.filters import Filters

TABLE = "disagreement"
OVERLAP = "mean_matched_jaccard"
TRIED = 5  # lists to open next, should others be opened at the same moment
PREVIEW = 10  # tokens of a list that the queue shows


@dataclass(frozen=True)
class Ranking:
    """Overlap of people's patterns by list, 0 to 1, lowest first; None if undefined."""

    overlap: dict[int, float | None]
    computed_at: datetime.datetime


@dataclass(frozen=True)
class Queue:
    """The adjudication queue in order; `final` holds adjudicated annotations by list."""

    lists: list[int]
    final: dict[int, Assignment]
    ranking: Ranking | None

    @property
    def decided(self) -> list[int]:
        """Lists with a submitted adjudicated annotation."""
        return [pk for pk in self.lists if self._state(pk) == Assignment.State.SUBMITTED]

    @property
    def undecided(self) -> list[int]:
        """Lists without a submitted adjudicated annotation."""
        return [pk for pk in self.lists if self._state(pk) != Assignment.State.SUBMITTED]

    def _state(self, pk: int) -> str:
        return self.final[pk].state if pk in self.final else ""


def ranking_of(study: Study) -> Ranking | None:
    """The newest ranking, or None before a worker has made one."""
    found = (
        Snapshot.objects.filter(
            study=study, filter_key=Filters.of(study).key, state=Snapshot.State.READY
        )
        .order_by("-data_version")
        # Of the tables only this one: a large study's others are megabytes.
        .values_list(f"tables__{TABLE}", "finished_at")
        .first()
    )
    if found is None or found[0] is None or found[1] is None:
        return None
    stored, computed_at = found
    names = [name for name, _ in stored["columns"]]
    which, overlap = names.index("list_id"), names.index(OVERLAP)
    return Ranking({row[which]: row[overlap] for row in stored["rows"]}, computed_at)


def adjudication_queue(study: Study) -> Queue:
    """Every list of the study with two annotations or more, lowest agreement first.

    Lists that the ranking does not know yet come after the others, in a random order that stays.
    """
    ranking = ranking_of(study)
    final = Assignment.objects.filter(
        item__study=study, item__use=Item.Use.STUDY, purpose=Assignment.Purpose.ADJUDICATION
    ).select_related("membership")
    by_list = {row.item_id: row for row in final}
    # An adjudicated annotation stays in sight, also when somebody withdrew with their answers.
    can_be = set(adjudicable_lists(study).values_list("item", flat=True)) | set(by_list)
    ranked = [pk for pk in ranking.overlap if pk in can_be] if ranking else []
    rest = sorted(can_be.difference(ranked))
    random.Random(f"adjudication:{study.order_key}").shuffle(rest)  # noqa: S311 (an order)  # nosec B311
    return Queue([*ranked, *rest], by_list, ranking)


def undecided_after(study: Study, item_id: int, *, by: User) -> list[Item]:
    """The lists to adjudicate next after one: the queue from there on, then from its beginning.

    Without those that another researcher has begun; at most TRIED, of which the first is nearly
    always free.
    """
    queue = adjudication_queue(study)
    at = queue.lists.index(item_id) + 1 if item_id in queue.lists else 0
    wanted = set(queue.undecided) - {item_id}
    for pk, row in queue.final.items():
        if row.draft is not None and row.membership.user_id != by.pk:
            wanted.discard(pk)
    ids = [pk for pk in [*queue.lists[at:], *queue.lists[:at]] if pk in wanted][:TRIED]
    found = study.items.in_bulk(ids)
    return [found[pk] for pk in ids]


def queue_rows(study: Study, queue: Queue, lists: Sequence[int]) -> list[dict[str, Any]]:
    """Rows of the queue's page: blind, so without the lists' origin."""
    found = {item.pk: item for item in study.items.filter(pk__in=lists).select_related("vector")}
    answers = counted_annotations(study).filter(item__in=lists).order_by().values("item")
    answered = dict(answers.annotate(n=Count("pk")).values_list("item", "n"))
    tokens = entries_of_lists([item.vector for item in found.values()], study.list_source)
    position = {pk: n for n, pk in enumerate(queue.lists, 1)}
    return [
        {
            "id": pk,
            "position": position[pk],
            "tokens": tokens[found[pk].vector_id][:PREVIEW],
            "annotations": answered.get(pk, 0),
            "overlap": queue.ranking.overlap.get(pk) if queue.ranking else None,
            "final": queue.final.get(pk),
        }
        for pk in lists
        if pk in found
    ]
