"""Progress of a study by person and by list, live, for its researchers.

Everything is added up in the database, in a number of queries that depends neither on people nor
on lists. Tables of results are not read here: this is the work, not what it says.
"""

import datetime
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import Aggregate, Avg, Count, F, Max, Q, QuerySet, Sum, TextField, Window
from django.db.models.functions import RowNumber
from django.utils.translation import gettext as _

from annotation_site.annotation.allocation.shares import Share, Shares, shares_of
from annotation_site.annotation.lists.access import Training, training_of
from annotation_site.annotation.models import (
    Assignment,
    Item,
    Membership,
    Revision,
    Study,
    WorkedDay,
)
from annotation_site.annotation.monitoring.flags import RECENT, Flag, RecentAnnotation, flags_of
from annotation_site.annotation.work.own_work import cut_reasons

State = Assignment.State
Purpose = Assignment.Purpose
# A person's queue; training comes before it and is told apart.
QUEUE = (Purpose.ANNOTATION, Purpose.REPEAT, Purpose.REFERENCE, Purpose.PILOT)
SUBMITTED_ANNOTATION = Q(purpose=Purpose.ANNOTATION, state=State.SUBMITTED, surplus=False)


@dataclass(frozen=True)
class Work:
    """Work of one person, done and left. It counts lists of the whole queue, without training."""

    done: int = 0
    beside: int = 0  # of those done: repeated, reference and pilot lists, which fill no slot
    left: int = 0
    unopened: int = 0  # of the study's own lists: these can be released
    skipped: int = 0
    expired: int = 0  # went to others: their time ran out, or they were released
    active_seconds: int = 0
    times: Sequence[int] = ()  # active seconds of submitted lists
    last_at: datetime.datetime | None = None
    reference_percent: float | None = None  # mean overlap in silent reference lists
    unscored: int = 0  # answers to silent reference lists without an overlap yet

    @property
    def in_slots(self) -> int:
        """Submitted lists that fill a slot, as the study's home counts them."""
        return self.done - self.beside

    @property
    def median_seconds(self) -> float | None:
        """Median active time per list."""
        return _median(self.times)


@dataclass(frozen=True)
class PersonProgress:
    """One annotator's row of the progress table."""

    membership: Membership
    work: Work
    training: Training | None  # None where the study has no training lists
    share: Share  # of the study's own lists
    cut_seconds: int = 0  # that were reported and do not count
    cut_reason: str = ""

    @property
    def can_be_let_in(self) -> bool:
        """Whether only training keeps this person's queue closed."""
        return self.training is not None and not self.training.passed and not self.is_away

    @property
    def is_away(self) -> str:
        """The reason why the person gets no lists, in a word; empty if they can work."""
        if self.membership.withdrawn_at:
            return _("withdrew")
        if self.membership.removed_at:
            # A participant of an open link is out before the check and after completion too.
            return _("not at work") if self.membership.user.is_crowd else _("removed")
        if not self.membership.user.is_active:
            return _("deactivated")
        return _("away") if self.membership.away_since else ""


@dataclass(frozen=True)
class StudyProgress:
    """The progress page; `annotated` counts lists by their number of annotations, from 0."""

    people: list[PersonProgress]
    lists: int
    pilot_lists: int
    slots: int
    done: int
    annotated: list[tuple[int, int]]
    median_seconds: float | None
    shares: Shares

    @property
    def active_seconds(self) -> int:
        """Active time of all people."""
        return sum(person.work.active_seconds for person in self.people)

    @property
    def has_beside(self) -> bool:
        """Whether somebody submitted lists that fill no slot."""
        return any(person.work.beside for person in self.people)

    @property
    def has_training(self) -> bool:
        """Whether the table needs a column for training."""
        return any(person.training for person in self.people)

    @property
    def has_reference(self) -> bool:
        """Whether the table needs a column for silent reference lists."""
        return bool(self.unscored) or any(
            person.work.reference_percent is not None for person in self.people
        )

    @property
    def unscored(self) -> int:
        """Number of annotations of silent reference lists without a score."""
        return sum(person.work.unscored for person in self.people)


def study_progress(study: Study) -> StudyProgress:
    """The progress of a study, in six queries (lists by use, people, annotations, work, cut time,
    training) and those of `shares_of`.
    """
    uses = dict(study.items.order_by().values_list("use").annotate(n=Count("pk")))
    lists = uses.get(Item.Use.STUDY, 0)
    members = list(_annotators(study))
    answered = _lists_by_annotations(study, uses, members)
    work, cut = work_of(members), _cut_by_person(members)
    # Nobody has training where the study has none, which spares a large one a query.
    training = training_of(members if uses.get(Item.Use.TRAINING) else [])
    shares = shares_of(study, members)
    return StudyProgress(
        people=[
            PersonProgress(
                membership,
                work.get(membership.pk, Work()),
                training.get(membership.pk),
                shares.people[membership.pk],
                *cut.get(membership.pk, ()),
            )
            for membership in members
        ],
        lists=lists,
        pilot_lists=uses.get(Item.Use.PILOT, 0),
        slots=lists * study.annotators_per_list,
        done=sum(answers * n for answers, n in answered),
        annotated=answered,
        median_seconds=_median(seconds for one in work.values() for seconds in one.times),
        shares=shares,
    )


def _annotators(study: Study) -> QuerySet[Membership]:
    """Those who judge, and those who have left: what they did stays in the sums."""
    return (
        study.memberships.filter(role=Membership.Role.ANNOTATOR)
        .select_related("user", "study")
        .order_by("user__username", "pk")
    )


class AllValues(Aggregate):
    """SQL aggregate of all values of a group in one cell, for medians with fewer rows."""

    name = "AllValues"
    output_field = TextField()

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, function="GROUP_CONCAT", **extra)

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        template = "ARRAY_TO_STRING(ARRAY_AGG(%(expressions)s), ',')"
        return self.as_sql(compiler, connection, template=template, **extra)


def work_of(members: Sequence[Membership]) -> dict[int, Work]:
    """Counts, times and the last moment of everybody, by membership; one query.

    Grouped by what lists are for and how they stand, and added up here: conditions in each sum
    would be looked at for every list.
    """
    rows = (
        # By people who are known already: joined to them, each list would look its person up.
        Assignment.objects.filter(membership__in=members)
        .order_by()
        .values_list("membership", "purpose", "state")
        .annotate(
            n=Count("*"),
            seconds=Sum("active_seconds"),
            times=AllValues("active_seconds"),
            opened=Max("opened_at"),
            submitted=Max("submitted_at"),
            score=Avg("reference_score"),
            scored=Count("reference_score"),
        )
    )
    groups: dict[int, dict[tuple[str, str], _Group]] = defaultdict(dict)
    for membership, purpose, state, *found in rows:
        groups[membership][purpose, state] = _Group(*found)
    return {membership: _work(own) for membership, own in groups.items()}


def _cut_by_person(members: Sequence[Membership]) -> dict[int, tuple[int, str]]:
    """Time that does not count and why, by membership; one query."""
    rows = WorkedDay.objects.filter(membership__in=members, cut_seconds__gt=0).order_by()
    seconds: Counter[int] = Counter()
    reasons: dict[int, set[str]] = defaultdict(set)
    for membership, reason, cut in rows.values_list("membership", "cut_reason").annotate(
        Sum("cut_seconds")
    ):
        seconds[membership] += cut
        reasons[membership].add(reason)
    return {
        membership: (cut, cut_reasons(reasons[membership])) for membership, cut in seconds.items()
    }


class _Group(NamedTuple):
    """One person's lists of one purpose and state, as the database adds them up."""

    n: int
    seconds: int
    times: str
    opened: datetime.datetime | None
    submitted: datetime.datetime | None
    score: float | None
    scored: int


def _work(own: Mapping[tuple[str, str], _Group]) -> Work:
    queue: dict[str, int] = defaultdict(int)
    times: list[int] = []
    for (purpose, state), group in own.items():
        if purpose in QUEUE:
            queue[state] += group.n
            if state == State.SUBMITTED:
                times += map(int, group.times.split(","))
    moments = (at for group in own.values() for at in (group.opened, group.submitted) if at)
    unopened = own.get((Purpose.ANNOTATION, State.WAITING))
    in_slots = own.get((Purpose.ANNOTATION, State.SUBMITTED))
    reference = own.get((Purpose.REFERENCE, State.SUBMITTED))
    score = reference.score if reference else None
    return Work(
        done=queue[State.SUBMITTED],
        beside=queue[State.SUBMITTED] - (in_slots.n if in_slots else 0),
        left=sum(queue[state] for state in Assignment.UNFINISHED),
        unopened=unopened.n if unopened else 0,
        skipped=queue[State.SKIPPED],
        expired=queue[State.EXPIRED],
        active_seconds=sum(group.seconds for group in own.values()),
        times=times,
        last_at=max(moments, default=None),
        reference_percent=None if score is None else 100 * score,
        unscored=reference.n - reference.scored if reference else 0,
    )


def _median(times: Iterable[int]) -> float | None:
    values = list(times)
    return statistics.median(values) if values else None


def _lists_by_annotations(
    study: Study, uses: Mapping[str, int], members: Sequence[Membership]
) -> list[tuple[int, int]]:
    """How many lists have 0, 1, 2, … answers that count; at most k of them hold a place."""
    most = study.annotators_per_list
    answers = Assignment.objects.filter(SUBMITTED_ANNOTATION, membership__in=members)
    if set(uses) - {Item.Use.STUDY}:
        answers = answers.filter(item__use=Item.Use.STUDY)
    by_list = answers.order_by().values("item").annotate(n=Count("*"))
    found = by_list.aggregate(
        **{f"lists_{n}": Count("item", filter=Q(n=n)) for n in range(1, most + 1)}
    )
    counts = [found[f"lists_{n}"] for n in range(1, most + 1)]
    return list(enumerate([uses.get(Item.Use.STUDY, 0) - sum(counts), *counts]))


def flags_by_person(study: Study) -> list[tuple[Membership, list[Flag]]]:
    """Flags of each person's recent work; four queries."""
    members = list(_annotators(study))
    flags = flags_of_members(members)
    return [(member, flags[member.pk]) for member in members if flags.get(member.pk)]


def flags_of_members(members: Sequence[Membership]) -> dict[int, list[Flag]]:
    """Flags of people of one or several studies, each beside the others of their study.

    By membership; three queries.
    """
    recent, medians = _recent_annotations(members), _study_medians(members)
    by_study: dict[int, dict[int, list[RecentAnnotation]]] = defaultdict(dict)
    for member in members:
        if member.pk in recent:
            by_study[member.study_id][member.pk] = recent[member.pk]
    found: dict[int, list[Flag]] = {}
    for study, own in by_study.items():
        found |= flags_of(own, study_median=medians.get(study))
    return found


def _submitted(members: Sequence[Membership]) -> QuerySet[Assignment]:
    return Assignment.objects.order_by().filter(
        membership__in=members, purpose__in=QUEUE, state=State.SUBMITTED
    )


def _study_medians(members: Sequence[Membership]) -> dict[int, float | None]:
    """The active time of a typical answer by study, from how often each time occurs."""
    counted = _submitted(members).values_list("membership__study", "active_seconds")
    times: dict[int, list[int]] = defaultdict(list)
    for study, seconds, n in counted.annotate(n=Count("*")):
        times[study] += [seconds] * n
    return {study: _median(own) for study, own in times.items()}


def _recent_annotations(members: Sequence[Membership]) -> dict[int, list[RecentAnnotation]]:
    """Everybody's last answers, oldest first, as they were submitted."""
    newest_first = Window(
        RowNumber(),
        partition_by="membership",
        order_by=[F("submitted_at").desc(), F("pk").desc()],
    )
    recent = _submitted(members).annotate(place=newest_first).filter(place__lte=RECENT)
    rows = list(recent.values_list("submitted_at", "pk", "membership", "active_seconds", "version"))
    # Apart from the query above, of whose few rows a database expects many.
    said = {
        (assignment, version): answer
        for assignment, version, answer in Revision.objects.filter(
            assignment__in=[pk for _, pk, *_ in rows]
        ).values_list("assignment", "version", "snapshot__annotation")
    }
    found: dict[int, list[RecentAnnotation]] = defaultdict(list)
    for _at, pk, membership, seconds, version in sorted(rows):
        answer = said.get((pk, version))
        if answer is not None:  # else it was submitted again between the two queries
            marked = frozenset(frozenset(p["ranks"]) for p in answer["patterns"])
            found[membership].append(RecentAnnotation(seconds, marked))
    return found
