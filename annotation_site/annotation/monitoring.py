"""How a study is going, for its researchers: progress by person and by list, live.

Everything is added up in the database, in a number of queries that depends neither on people nor
on lists. Tables of results are not read here: this is the work, not what it says.
"""

import datetime
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import (
    Aggregate,
    Avg,
    Case,
    Count,
    F,
    Max,
    Q,
    QuerySet,
    Sum,
    TextField,
    When,
    Window,
)
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
SUBMITTED_ANSWER = Q(purpose=Purpose.ANNOTATION, state=State.SUBMITTED, surplus=False)


@dataclass(frozen=True)
class Work:
    """What one person did and has to do. Lists of the whole queue count; training does not."""

    done: int = 0
    left: int = 0
    unopened: int = 0  # of the study's own lists: these can be released
    skipped: int = 0
    expired: int = 0  # went to others: their time ran out, or they were released
    active_seconds: int = 0
    times: Sequence[int] = ()  # active seconds of submitted lists
    last_at: datetime.datetime | None = None
    reference_percent: float | None = None  # mean overlap in silent reference lists

    @property
    def median_seconds(self) -> float | None:
        """Active time of a typical list."""
        return _median(self.times)


@dataclass(frozen=True)
class PersonProgress:
    """One annotator's row."""

    membership: Membership
    work: Work
    training: Training | None  # None where the study has no training lists

    @property
    def can_be_let_in(self) -> bool:
        """Whether training keeps the queue shut for somebody who could work."""
        return self.training is not None and not self.training.passed and not self.is_away

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
    pilot_lists: int
    places: int
    done: int
    answered: list[tuple[int, int]]
    median_seconds: float | None

    @property
    def active_seconds(self) -> int:
        """Everybody's active time."""
        return sum(person.work.active_seconds for person in self.people)

    @property
    def has_training(self) -> bool:
        """Whether the table needs a column for it."""
        return any(person.training for person in self.people)

    @property
    def has_reference(self) -> bool:
        """Whether the table needs a column for silent reference lists."""
        return any(person.work.reference_percent is not None for person in self.people)

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
    """All of it in five queries: lists by use, answers per list, work, people, training."""
    uses = dict(study.items.order_by().values_list("use").annotate(n=Count("pk")))
    lists = uses.get(Item.Use.STUDY, 0)
    answered = _lists_by_answers(study, lists)
    work = _work_by_person(study)
    members = list(_annotators(study))
    # Nobody has training where the study has none, which spares a large one a query.
    training = training_of(members if uses.get(Item.Use.TRAINING) else [])
    return StudyProgress(
        people=[
            PersonProgress(membership, work.get(membership.pk, Work()), training.get(membership.pk))
            for membership in members
        ],
        lists=lists,
        pilot_lists=uses.get(Item.Use.PILOT, 0),
        places=lists * study.annotators_per_list,
        done=sum(answers * n for answers, n in answered),
        answered=answered,
        median_seconds=_study_median(work),
    )


def _annotators(study: Study) -> QuerySet[Membership]:
    """Those who judge, and those who have left: what they did stays in the sums."""
    return (
        study.memberships.filter(role=Membership.Role.ANNOTATOR)
        .select_related("user", "study")
        .order_by("user__username", "pk")
    )


class AllValues(Aggregate):
    """Every value of a group in one cell: fewer rows to send where only a median is wanted."""

    name = "AllValues"
    output_field = TextField()

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, function="GROUP_CONCAT", **extra)

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        template = "ARRAY_TO_STRING(ARRAY_AGG(%(expressions)s), ',')"
        return self.as_sql(compiler, connection, template=template, **extra)


def _work_by_person(study: Study) -> dict[int, Work]:
    """Counts, times and the last moment of everybody, by membership; one query."""
    queue = Q(purpose__in=QUEUE)
    submitted = queue & Q(state=State.SUBMITTED)
    reference = Q(purpose=Purpose.REFERENCE, state=State.SUBMITTED)
    rows = (
        Assignment.objects.filter(
            membership__study=study, membership__role=Membership.Role.ANNOTATOR
        )
        .order_by()
        .values("membership")
        .annotate(
            done=Count("pk", filter=submitted),
            left=Count("pk", filter=queue & Q(state__in=Assignment.UNFINISHED)),
            unopened=Count("pk", filter=UNOPENED),
            skipped=Count("pk", filter=queue & Q(state=State.SKIPPED)),
            expired=Count("pk", filter=queue & Q(state=State.EXPIRED)),
            seconds=Sum("active_seconds"),
            times=AllValues(Case(When(submitted, then="active_seconds"))),
            opened=Max("opened_at"),
            submitted=Max("submitted_at"),
            reference=Avg("reference_score", filter=reference),
        )
    )
    return {
        row["membership"]: Work(
            done=row["done"],
            left=row["left"],
            unopened=row["unopened"],
            skipped=row["skipped"],
            expired=row["expired"],
            active_seconds=row["seconds"],
            times=[int(seconds) for seconds in row["times"].split(",")] if row["times"] else [],
            last_at=max((at for at in (row["opened"], row["submitted"]) if at), default=None),
            reference_percent=None if row["reference"] is None else 100 * row["reference"],
        )
        for row in rows
    }


def _median(times: Iterable[int]) -> float | None:
    values = list(times)
    return statistics.median(values) if values else None


def _lists_by_answers(study: Study, lists: int) -> list[tuple[int, int]]:
    """How many lists have 0, 1, 2, … answers that count; at most k of them hold a place."""
    most = study.annotators_per_list
    by_list = (
        Assignment.objects.filter(SUBMITTED_ANSWER, item__study=study, item__use=Item.Use.STUDY)
        .order_by()
        .values("item")
        .annotate(n=Count("pk"))
    )
    found = by_list.aggregate(
        **{f"lists_{n}": Count("item", filter=Q(n=n)) for n in range(1, most + 1)}
    )
    counts = [found[f"lists_{n}"] for n in range(1, most + 1)]
    return list(enumerate([lists - sum(counts), *counts]))


def _study_median(work: Mapping[int, Work]) -> float | None:
    return _median(seconds for one in work.values() for seconds in one.times)


def flags_by_person(study: Study) -> list[tuple[Membership, list[Flag]]]:
    """Whose recent work is worth a look, and why; three queries."""
    median = _study_median(_work_by_person(study))
    flags = flags_of(_recent_answers(study), study_median=median)
    return [(member, flags[member.pk]) for member in _annotators(study) if flags.get(member.pk)]


def _recent_answers(study: Study) -> dict[int, list[RecentAnswer]]:
    """Everybody's last answers, oldest first, as they were submitted."""
    newest_first = Window(
        RowNumber(),
        partition_by="membership",
        order_by=[F("submitted_at").desc(), F("pk").desc()],
    )
    submitted = Assignment.objects.filter(
        membership__study=study,
        membership__role=Membership.Role.ANNOTATOR,
        purpose__in=QUEUE,
        state=State.SUBMITTED,
    )
    recent = submitted.order_by().annotate(place=newest_first).filter(place__lte=RECENT)
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
    assignments = Assignment.objects.filter(item__in=found, purpose=Purpose.ANNOTATION).values_list(
        "item", "state", "surplus", "skip_reason"
    )
    for item, state, surplus, reason in assignments.order_by("pk"):
        row = found[item]
        if state == State.SUBMITTED:
            row["surplus" if surplus else "answers"] += 1
        elif state == State.IN_PROGRESS:
            row["working"] += 1
        elif state == State.SKIPPED:
            row["reasons"].append(reason)
    return [found[pk] for pk in rows if pk in found]
