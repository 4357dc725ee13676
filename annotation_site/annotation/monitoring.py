"""How a study is going, for its researchers: progress by person and by list, live.

Everything is added up in the database, in a number of queries that depends neither on people nor
on lists. Tables of results are not read here: this is the work, not what it says.
"""

import datetime
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Avg, Count, F, Max, Q, QuerySet, Sum, Window
from django.db.models.functions import RowNumber

from annotation_site.accounts.models import User
from annotation_site.annotation.access import Training, training_of
from annotation_site.annotation.flags import RECENT, Flag, RecentAnswer, flags_of
from annotation_site.annotation.models import Assignment, Item, Membership, Revision, Study

State = Assignment.State
Purpose = Assignment.Purpose
# A person's queue; training comes before it and is told apart.
QUEUE = (Purpose.ANNOTATION, Purpose.REPEAT, Purpose.REFERENCE, Purpose.PILOT)
UNOPENED = Q(purpose=Purpose.ANNOTATION, state=State.WAITING)
NOTHING = {
    **dict.fromkeys(("done", "left", "unopened", "skipped", "expired", "seconds"), 0),
    **dict.fromkeys(("opened", "submitted", "reference")),
}
SUBMITTED_ANSWER = Q(purpose=Purpose.ANNOTATION, state=State.SUBMITTED, surplus=False)


@dataclass(frozen=True)
class PersonProgress:
    """One annotator's row. Times are active seconds."""

    membership: Membership
    done: int
    left: int
    unopened: int
    skipped: int
    expired: int
    active_seconds: int
    median_seconds: float | None
    last_at: datetime.datetime | None
    reference_percent: float | None
    training: Training
    flags: list[Flag]

    @property
    def can_be_let_in(self) -> bool:
        """Whether training keeps the queue shut for somebody who could work."""
        return not self.training.passed and not self.is_away

    @property
    def is_away(self) -> str:
        """Why the person gets no lists, in a word; empty for whoever can work."""
        if self.membership.withdrawn_at:
            return "has left"
        if self.membership.removed_at:
            return "removed"
        return "" if self.membership.user.is_active else "deactivated"


@dataclass(frozen=True)
class StudyProgress:
    """What the page shows; `answered` counts lists by how many answers they have, from 0."""

    people: list[PersonProgress]
    lists: int
    places: int
    done: int
    answered: list[tuple[int, int]]
    median_seconds: float | None

    @property
    def active_seconds(self) -> int:
        """Everybody's active time."""
        return sum(person.active_seconds for person in self.people)

    @property
    def has_training(self) -> bool:
        """Whether the table needs a column for it."""
        return any(person.training.lists for person in self.people)

    @property
    def has_reference(self) -> bool:
        """Whether the table needs a column for silent reference lists."""
        return any(person.reference_percent is not None for person in self.people)

    @property
    def has_flags(self) -> bool:
        """Whether anybody's work is worth a look."""
        return any(person.flags for person in self.people)

    @property
    def columns(self) -> int:
        """Columns of the table of people."""
        return 9 + self.has_training + self.has_reference

    @property
    def most_lists(self) -> int:
        """The longest bar of the histogram."""
        return max((lists for _, lists in self.answered), default=0)


def studies_run_by(user: User) -> QuerySet[Study]:
    """The studies that the person may watch: their own; all of them for an admin."""
    if user.is_admin:
        return Study.objects.all()
    return Study.objects.filter(
        pk__in=Membership.objects.filter(user=user, role=Membership.Role.RESEARCHER).values("study")
    )


def study_progress(study: Study) -> StudyProgress:
    """All of it in seven queries: lists, answers per list, times, recent answers, counts by
    person, people, training."""
    lists = study.items.filter(use=Item.Use.STUDY).count()
    answered = _lists_by_answers(study, lists)
    medians = _median_seconds(study)
    flags = flags_of(_recent_answers(study), study_median=medians[None])
    counts = _counts_by_person(study)
    members = list(_annotators(study))
    training = training_of(members)
    people = [
        _person(
            membership,
            counts.get(membership.pk, NOTHING),
            training[membership.pk],
            medians.get(membership.pk),
            flags.get(membership.pk, []),
        )
        for membership in members
    ]
    return StudyProgress(
        people=people,
        lists=lists,
        places=lists * study.annotators_per_list,
        done=sum(answers * n for answers, n in answered),
        answered=answered,
        median_seconds=medians[None],
    )


def _annotators(study: Study) -> QuerySet[Membership]:
    """Those who judge, and those who have left: what they did stays in the sums."""
    return (
        study.memberships.filter(role=Membership.Role.ANNOTATOR)
        .select_related("user", "study")
        .order_by("user__username", "pk")
    )


def _counts_by_person(study: Study) -> dict[int, dict[str, Any]]:
    queue = Q(purpose__in=QUEUE)
    rows = (
        Assignment.objects.filter(
            membership__study=study, membership__role=Membership.Role.ANNOTATOR
        )
        .order_by()
        .values("membership")
        .annotate(
            done=Count("pk", filter=queue & Q(state=State.SUBMITTED)),
            left=Count("pk", filter=queue & Q(state__in=Assignment.UNFINISHED)),
            unopened=Count("pk", filter=UNOPENED),
            skipped=Count("pk", filter=queue & Q(state=State.SKIPPED)),
            expired=Count("pk", filter=queue & Q(state=State.EXPIRED)),
            seconds=Sum("active_seconds"),
            opened=Max("opened_at"),
            submitted=Max("submitted_at"),
            reference=Avg(
                "reference_score", filter=Q(purpose=Purpose.REFERENCE, state=State.SUBMITTED)
            ),
        )
    )
    return {row["membership"]: row for row in rows}


def _person(
    membership: Membership,
    row: dict[str, Any],
    training: Training,
    median_seconds: float | None,
    flags: list[Flag],
) -> PersonProgress:
    moments = [at for at in (row["opened"], row["submitted"]) if at]
    return PersonProgress(
        membership=membership,
        done=row["done"],
        left=row["left"],
        unopened=row["unopened"],
        skipped=row["skipped"],
        expired=row["expired"],
        active_seconds=row["seconds"],
        median_seconds=median_seconds,
        last_at=max(moments, default=None),
        reference_percent=None if row["reference"] is None else 100 * row["reference"],
        training=training,
        flags=flags,
    )


def _lists_by_answers(study: Study, lists: int) -> list[tuple[int, int]]:
    """How many lists have 0, 1, 2, … answers that count; at most k of them hold a place."""
    most = study.annotators_per_list
    by_list = (
        Assignment.objects.filter(
            SUBMITTED_ANSWER, item__study=study, item__use=Item.Use.STUDY
        )
        .order_by()
        .values("item")
        .annotate(n=Count("pk"))
    )
    found = by_list.aggregate(
        **{f"lists_{n}": Count("item", filter=Q(n=n)) for n in range(1, most + 1)}
    )
    counts = [found[f"lists_{n}"] for n in range(1, most + 1)]
    return list(enumerate([lists - sum(counts), *counts]))


def _submitted(study: Study) -> QuerySet[Assignment]:
    """Answers whose time and marks are looked at; a final answer is no annotator's work."""
    return Assignment.objects.filter(
        membership__study=study,
        membership__role=Membership.Role.ANNOTATOR,
        purpose__in=QUEUE,
        state=State.SUBMITTED,
    ).order_by()


def _median_seconds(study: Study) -> dict[int | None, float | None]:
    """The median active seconds of a list, by membership; under None that of the study."""
    # Few different times come up: counting them in the database leaves little to send.
    rows = _submitted(study).values_list("membership", "active_seconds").annotate(n=Count("pk"))
    times: dict[int | None, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for membership, seconds, n in rows:
        times[membership][seconds] += n
        times[None][seconds] += n
    return {None: None} | {key: _median(counted) for key, counted in times.items()}


def _median(counted: dict[int, int]) -> float:
    """The median of values that are given with how often they occur."""
    total, seen, low = sum(counted.values()), 0, None
    for value in sorted(counted):
        seen += counted[value]
        if low is None and 2 * seen >= total:
            low = value
        if 2 * seen > total:
            return (low + value) / 2 if low is not None else value
    raise ValueError("There is no median of nothing.")


def _recent_answers(study: Study) -> dict[int, list[RecentAnswer]]:
    """Everybody's last answers, oldest first, as they were submitted."""
    newest_first = Window(
        RowNumber(),
        partition_by="membership",
        order_by=[F("submitted_at").desc(), F("pk").desc()],
    )
    recent = _submitted(study).annotate(place=newest_first).filter(place__lte=RECENT)
    rows = (
        Revision.objects.filter(
            assignment__in=recent.values("pk"), version=F("assignment__version")
        )
        .order_by("assignment__submitted_at", "assignment")
        .values_list("assignment__membership", "assignment__active_seconds", "snapshot__answer")
    )
    found: dict[int, list[RecentAnswer]] = defaultdict(list)
    for membership, seconds, answer in rows:
        marked = frozenset(frozenset(p["ranks"]) for p in answer["patterns"])
        found[membership].append(RecentAnswer(seconds, marked))
    return found


def unopened_lists(membership: Membership) -> list[int]:
    """The ids of the lists that a person could release."""
    return list(membership.assignments.filter(UNOPENED).values_list("item", flat=True))


def lists_taken(study: Study, lists: Sequence[int]) -> int:
    """How many of these lists have a person for every one of their places."""
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
    """Some lists of the study with where they come from, their answers and their skips.

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
            "answers": 0,
            "working": 0,
            "surplus": 0,
            "reasons": [],
        }
        for item in items
    }
    assignments = Assignment.objects.filter(
        item__in=found, purpose=Purpose.ANNOTATION
    ).values_list("item", "state", "surplus", "skip_reason")
    for item, state, surplus, reason in assignments.order_by("pk"):
        row = found[item]
        if state == State.SUBMITTED:
            row["surplus" if surplus else "answers"] += 1
        elif state == State.IN_PROGRESS:
            row["working"] += 1
        elif state == State.SKIPPED:
            row["reasons"].append(reason)
    return [found[pk] for pk in rows if pk in found]
