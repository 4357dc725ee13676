"""How a study is going, for its researchers: progress by person and by list, live.

Everything is added up in the database, in a number of queries that depends neither on people nor
on lists. Tables of results are not read here: this is the work, not what it says.
"""

import datetime
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Avg, Count, F, Max, Q, QuerySet, Sum, Window
from django.db.models.functions import RowNumber

from annotation_site.accounts.models import User
from annotation_site.annotation.flags import RECENT, Flag, RecentAnswer, flags_of
from annotation_site.annotation.models import Assignment, Item, Membership, Revision, Study

State = Assignment.State
Purpose = Assignment.Purpose
# A person's queue; training comes before it and is told apart.
QUEUE = (Purpose.ANNOTATION, Purpose.REPEAT, Purpose.REFERENCE, Purpose.PILOT)
SUBMITTED_ANSWER = Q(purpose=Purpose.ANNOTATION, state=State.SUBMITTED, surplus=False)


@dataclass(frozen=True)
class Training:
    """A person's training: lists done, the mean score in percent, and what it means."""

    total: int
    done: int
    mean_percent: float | None
    pass_percent: int | None
    waived: bool

    @property
    def passed(self) -> bool:
        """Whether the score reaches the study's threshold, where it has one."""
        reached = self.mean_percent is not None and self.mean_percent >= (self.pass_percent or 0)
        return self.done == self.total and (reached or not self.total)

    @property
    def can_be_waived(self) -> bool:
        """Whether the person waits to be let in, or could be."""
        return self.pass_percent is not None and not self.passed and not self.waived


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
    flags: list[Flag] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Lists that are the person's: done and left."""
        return self.done + self.left


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
    """All of it, in six queries: people, their counts, lists, answers, times, recent answers."""
    lists = study.items.filter(use=Item.Use.STUDY).count()
    answered = _lists_by_answers(study, lists)
    medians = _median_seconds(study)
    recent = _recent_answers(study)
    flags = flags_of(recent, study_median=medians[None])
    counts = _counts_by_person(study)
    people = [
        _person(membership, study, counts, medians, flags) for membership in _annotators(study)
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
        .select_related("user")
        .order_by("user__name", "user__username", "pk")
    )


def _counts_by_person(study: Study) -> dict[int, dict[str, Any]]:
    queue = Q(purpose__in=QUEUE)
    training = Q(purpose=Purpose.TRAINING)
    rows = (
        Assignment.objects.filter(
            membership__study=study, membership__role=Membership.Role.ANNOTATOR
        )
        .order_by()
        .values("membership")
        .annotate(
            done=Count("pk", filter=queue & Q(state=State.SUBMITTED)),
            left=Count("pk", filter=queue & Q(state__in=Assignment.UNFINISHED)),
            unopened=Count("pk", filter=Q(purpose=Purpose.ANNOTATION, state=State.WAITING)),
            skipped=Count("pk", filter=queue & Q(state=State.SKIPPED)),
            expired=Count("pk", filter=queue & Q(state=State.EXPIRED)),
            seconds=Sum("active_seconds"),
            opened=Max("opened_at"),
            submitted=Max("submitted_at"),
            reference=Avg(
                "reference_score", filter=Q(purpose=Purpose.REFERENCE, state=State.SUBMITTED)
            ),
            training_total=Count("pk", filter=training),
            training_done=Count("pk", filter=training & Q(state=State.SUBMITTED)),
            training_mean=Avg("reference_score", filter=training & Q(state=State.SUBMITTED)),
        )
    )
    return {row["membership"]: row for row in rows}


def _person(
    membership: Membership,
    study: Study,
    counts: dict[int, dict[str, Any]],
    medians: dict[int | None, float | None],
    flags: dict[int, list[Flag]],
) -> PersonProgress:
    row = defaultdict(int, counts.get(membership.pk, {}))
    moments = [at for at in (row["opened"], row["submitted"]) if at]
    return PersonProgress(
        membership=membership,
        done=row["done"],
        left=row["left"],
        unopened=row["unopened"],
        skipped=row["skipped"],
        expired=row["expired"],
        active_seconds=row["seconds"] or 0,
        median_seconds=medians.get(membership.pk),
        last_at=max(moments, default=None),
        reference_percent=_percent(row["reference"] if counts.get(membership.pk) else None),
        training=Training(
            total=row["training_total"],
            done=row["training_done"],
            mean_percent=_percent(row["training_mean"] if counts.get(membership.pk) else None),
            pass_percent=study.training_pass_percent,
            waived=membership.training_waived_at is not None,
        ),
        flags=flags.get(membership.pk, []),
    )


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


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


def lists_page(study: Study, rows: Sequence[int]) -> list[dict[str, Any]]:
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
