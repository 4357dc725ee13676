"""Queries of a person's own work: home, submitted lists, hours.

Blinding: of a list only its number in the person's own order, its tokens and what the person did
are told, and whether it is training, which they know: they were shown the reference answer.
"""

import datetime
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count, F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import override

from annotation_site.accounts.models import User
from annotation_site.annotation.allocation.slots import annotator_return
from annotation_site.annotation.lists.access import Training, training_of
from annotation_site.annotation.lists.entries import ListEntry, entries_of_lists, lists_with
from annotation_site.annotation.lists.page import NOT_SHOWN, needs_consent, repeat_is_open
from annotation_site.annotation.models import (
    Assignment,
    Membership,
    Pattern,
    Revision,
    Study,
    WorkedDay,
)
from annotation_site.annotation.selectors import studies_to_annotate
from annotation_site.annotation.work.pace import Pace, pace_of
from annotation_site.corpus.models import Vector
from annotation_site.downloads import Download, table_as_file
from annotation_site.exports import Column, Table

State = Assignment.State
Purpose = Assignment.Purpose
SOON = timedelta(hours=24)
ENTRIES_SHOWN = 8


@dataclass(frozen=True)
class Lease:
    """The lease of an opened list: the time until which it is kept for its person."""

    position: int
    public_id: uuid.UUID
    until: datetime.datetime
    is_over: bool  # somebody else may get it at any moment


@dataclass(frozen=True)
class OwnStudy:
    """One study on a person's home page. `resume` marks the one to continue."""

    membership: Any  # a Membership of `studies_to_annotate`, with its counts
    pace: Pace | None
    leases: list[Lease]  # that run out soon
    needs_consent: bool
    resume: bool
    training: Training

    @property
    def is_away(self) -> bool:
        """Whether the person's unopened lists went to others until now."""
        return self.membership.away_since is not None and self.membership.removed_at is None

    @property
    def can_go_on(self) -> bool:
        """Whether there is a list to open now."""
        return can_go_on(self.membership, self.training)


@dataclass(frozen=True)
class SubmittedList:
    """A submitted list: its first entries, and the person's patterns.

    `changed` if there are changes that are not submitted.
    """

    assignment: Assignment
    changed: bool
    entries: Sequence[ListEntry]
    patterns: Sequence[Pattern]


@dataclass(frozen=True)
class LeftList:
    """A skipped or expired list with its first entries."""

    assignment: Assignment
    entries: Sequence[ListEntry]


@dataclass(frozen=True)
class WorkDay:
    """One day's work in one study: active time, and lists submitted for the first time.

    `cut_seconds` were reported as well and do not count, for the reason that stands beside them.
    """

    day: datetime.date
    study: str
    active_seconds: int
    lists: int
    cut_seconds: int = 0
    cut_reason: str = ""


def can_go_on(membership: Any, training: Training) -> bool:
    """Whether a membership of `studies_to_annotate` has a list that can be opened now."""
    shut = training.done and not training.passed
    return bool(membership.left) and membership.study.state in Study.AT_WORK and not shut


def own_studies(user: User) -> list[OwnStudy]:
    """The studies that a person annotates, four queries whatever their number and size."""
    memberships = list(studies_to_annotate(user))
    seconds, leases = _seconds_by_membership(user), _leases_by_membership(user)
    trainings = training_of(memberships)
    resume = _worked_at_last([m for m in memberships if can_go_on(m, trainings[m.pk])])
    return [
        OwnStudy(
            membership=membership,
            pace=pace_of(seconds[membership.pk], membership.left),
            leases=leases[membership.pk],
            needs_consent=needs_consent(membership, membership.study),
            resume=membership is resume,
            training=trainings[membership.pk],
        )
        for membership in memberships
    ]


def own_studies_back(user: User) -> list[OwnStudy]:
    """`own_studies` of a person back at work, who is not away in any study any more."""
    found = own_studies(user)
    away = [own.membership for own in found if own.is_away]
    for membership in away:
        annotator_return(membership=membership)
    return own_studies(user) if away else found


def _worked_at_last(can_go_on: list[Any]) -> Any:
    """Where the person stopped: the last list opened, in a study in which something is left."""
    begun = [m for m in can_go_on if m.opened_last]
    return max(begun, key=lambda m: m.opened_last) if begun else next(iter(can_go_on), None)


def _seconds_by_membership(user: User) -> dict[int, list[int]]:
    rows = Assignment.objects.filter(
        membership__user=user, membership__withdrawn_at=None, state=State.SUBMITTED
    )
    found: dict[int, list[int]] = defaultdict(list)
    for membership, seconds in rows.values_list("membership_id", "active_seconds"):
        found[membership].append(seconds)
    return found


def _leases_by_membership(user: User) -> dict[int, list[Lease]]:
    now = timezone.now()
    rows = Assignment.objects.filter(
        membership__user=user,
        membership__withdrawn_at=None,
        state=State.IN_PROGRESS,
        item__study__state=Study.State.OPEN,
    ).exclude(purpose=Purpose.TRAINING)  # which nobody else waits for
    found: dict[int, list[Lease]] = defaultdict(list)
    for row in rows.select_related("item__study").order_by("position"):
        if row.opened_at is None:
            continue
        until = row.opened_at + timedelta(hours=row.item.study.lease_hours)
        if until - now <= SOON:
            lease = Lease(row.position, row.public_id, until, is_over=until <= now)
            found[row.membership_id].append(lease)
    return found


def submitted_lists(membership: Membership) -> QuerySet[Assignment]:
    """A person's submitted lists, the newest first, each with its number of patterns.

    Without those that are open to the person again, as repeats.
    """
    return (
        Assignment.objects.filter(membership=membership, state=State.SUBMITTED)
        .exclude(repeat_is_open())
        .annotate(n_patterns=Count("patterns"))
        .order_by("-submitted_at", "-position")
    )


def lists_found(membership: Membership, text: str) -> list[int]:
    """Submitted lists with `text` in an entry or in the person's own description, in any case.

    Their primary keys, the newest first. A few queries and one per extraction; what is compared is
    what the person has submitted, and the entries of the lists that it is of.
    """
    wanted = text.casefold()
    patterns = Pattern.objects.filter(assignment__membership=membership).exclude(description="")
    described = {
        assignment
        for assignment, description in patterns.values_list("assignment_id", "description")
        if wanted in description.casefold()
    }
    columns = ("pk", "item__vector", "item__vector__extraction_id", "item__vector__token_ids")
    rows = list(submitted_lists(membership).values_list(*columns))
    vectors = [Vector(pk=v, extraction_id=e, token_ids=ids) for _, v, e, ids in rows]
    found = lists_with(vectors, membership.study.list_source, text)
    return [pk for pk, vector, *_ in rows if pk in described or vector in found]


def shown_lists(membership: Membership, ids: Sequence[int]) -> list[SubmittedList]:
    """Submitted lists as their person sees them, in the order of `ids`."""
    found = submitted_lists(membership).select_related("item__vector").defer(*NOT_SHOWN)
    rows = {row.pk: row for row in found.filter(pk__in=ids)}
    ordered = [rows[pk] for pk in ids if pk in rows]
    entries = _first_entries(ordered, membership.study.list_source)
    patterns: dict[int, list[Pattern]] = defaultdict(list)
    for pattern in Pattern.objects.filter(assignment__in=ordered).order_by("number"):
        patterns[pattern.assignment_id].append(pattern)
    return [
        SubmittedList(row, changed, entries[row.item.vector_id], patterns[row.pk])
        for row, changed in with_unsubmitted_changes(ordered)
    ]


def with_unsubmitted_changes(rows: Sequence[Assignment]) -> list[tuple[Assignment, bool]]:
    """Submitted lists, each with whether it has changes that are not submitted."""
    newest = Revision.objects.filter(assignment__in=rows, version=F("assignment__version"))
    said = dict(newest.values_list("assignment_id", "snapshot__annotation"))
    return [(row, (row.draft or {}).get("annotation") != said[row.pk]) for row in rows]


def set_aside_lists(membership: Membership) -> QuerySet[Assignment]:
    """Lists that the person skipped, or whose lease has expired.

    Without what ended with its training or its pilot.
    """
    ended = Q(state=State.EXPIRED) & (
        Q(opened_at=None) | Q(purpose__in=(Purpose.TRAINING, Purpose.PILOT))
    )
    return (
        Assignment.objects.filter(membership=membership, state__in=(State.SKIPPED, State.EXPIRED))
        .exclude(ended)
        .order_by("position")
    )


def shown_left_lists(membership: Membership) -> list[LeftList]:
    """The lists of `set_aside_lists` as their person sees them."""
    rows = list(set_aside_lists(membership).select_related("item__vector").defer(*NOT_SHOWN))
    entries = _first_entries(rows, membership.study.list_source)
    return [LeftList(row, entries[row.item.vector_id]) for row in rows]


def _first_entries(rows: Iterable[Assignment], source: str) -> dict[int, Sequence[ListEntry]]:
    """Entries by vector, as many of each as a row shows."""
    found = entries_of_lists((row.item.vector for row in rows), source)
    return {vector: entries[:ENTRIES_SHOWN] for vector, entries in found.items()}


def work_days(user: User) -> list[WorkDay]:
    """Days of work by study, newest first.

    Studies that they have withdrawn from stay: time that was worked is time that is paid.
    """
    marks = WorkedDay.objects.filter(membership__user=user).order_by("day")
    marks = marks.exclude(assignment__item__study__state=Study.State.DELETING)
    seconds: Counter[tuple[datetime.date, str, str]] = Counter()
    lists: Counter[tuple[datetime.date, str, str]] = Counter()
    so_far: Counter[int] = Counter()
    cut: Counter[tuple[datetime.date, str, str]] = Counter()
    reasons: dict[tuple[datetime.date, str, str], set[str]] = defaultdict(set)
    for assignment, day, total, submitted, cut_seconds, reason, title, slug in marks.values_list(
        "assignment_id",
        "day",
        "active_seconds",
        "submitted",
        "cut_seconds",
        "cut_reason",
        "assignment__item__study__title",
        "assignment__item__study__slug",
    ):
        place = (day, title, slug)
        # Where a clock was moved back, an earlier day can hold the larger total.
        seconds[place] += max(0, total - so_far[assignment])
        so_far[assignment] = max(total, so_far[assignment])
        lists[place] += submitted
        if cut_seconds:
            cut[place] += cut_seconds
            reasons[place].add(reason)
    return [
        WorkDay(*place[:2], seconds[place], lists[place], cut[place], cut_reasons(reasons[place]))
        for place in sorted(seconds, key=lambda p: (-p[0].toordinal(), *p[1:]))
    ]


def cut_reasons(reasons: Iterable[str]) -> str:
    """The reasons why time does not count, as sentences."""
    return "; ".join(str(WorkedDay.Cut(reason).label) for reason in sorted(reasons))


def work_days_file(user: User, extension: str) -> Download:
    """A person's days of work. Raises NotFound for an unknown format."""
    with override("en"):  # files are the same for everybody
        days = work_days(user)
    return table_as_file(work_days_table(days), name="hours", extension=extension)


def work_days_table(days: Iterable[WorkDay]) -> Table:
    """Days of work for an export, with hours as decimal numbers for the payroll."""
    columns = (
        Column("day", "text"),
        Column("study", "text"),
        Column("active_seconds", "number"),
        Column("active_hours", "number"),
        Column("lists_submitted", "number"),
        Column("cut_seconds", "number"),
        Column("cut_reason", "text"),
    )
    rows = (
        (
            d.day.isoformat(), d.study, d.active_seconds, round(d.active_seconds / 3600, 4),
            d.lists, d.cut_seconds, d.cut_reason,
        )
        for d in days
    )  # fmt: skip
    return Table("hours", columns, rows)
