"""Records of active time: what counts of the time that a page reports, and what does not."""

from datetime import datetime
from typing import Any

from django.db.models import F
from django.utils import timezone

from annotation_site.annotation.models import Assignment, WorkedDay
from annotation_site.annotation.work import worked_time

State = Assignment.State


def time_record(assignment: Any, reported: int, *, first: bool = False) -> None:
    """Add what counts of the reported time to the list, and note it, and what does not, for today.

    `first`: submitted for the first time. `assignment` is locked, with its person's `taken_time`.
    """
    before = assignment.active_seconds
    now = timezone.now()
    counted, reason = _time_count(assignment, now, max(0, reported - before))
    assignment.active_seconds = before + counted
    # Only what the page had not reported yet is cut; what was can count by now.
    last = assignment.reported_seconds if reported >= assignment.reported_seconds else 0
    cut = max(0, reported - max(before, last)) - counted
    assignment.reported_seconds = reported
    if counted or first:
        WorkedDay.objects.bulk_create(
            [
                WorkedDay(
                    assignment=assignment,
                    membership_id=assignment.membership_id,
                    day=now.date(),
                    active_seconds=assignment.active_seconds,
                    submitted=first,
                )
            ],
            update_conflicts=True,
            unique_fields=["assignment", "membership", "day"],
            update_fields=["active_seconds", *(["submitted"] if first else [])],
        )
    _cut_note(assignment, now, cut, reason)


def _cut_note(assignment: Assignment, now: datetime, cut: int, reason: str) -> None:
    """Note seconds that do not count; fewer than none were noted before and count by now."""
    own = WorkedDay.objects.filter(
        assignment=assignment, membership=assignment.membership_id
    ).order_by("-day")
    if cut > 0:
        # The assignment is locked, so nobody else makes the row meanwhile.
        noted = own.filter(day=now.date()).update(
            cut_seconds=F("cut_seconds") + cut, cut_reason=reason
        )
        if not noted:
            WorkedDay.objects.create(
                assignment=assignment,
                membership_id=assignment.membership_id,
                day=now.date(),
                active_seconds=0,
                cut_seconds=cut,
                cut_reason=reason,
            )
    for row in own.filter(cut_seconds__gt=0) if cut < 0 else ():
        back = min(row.cut_seconds, -cut)
        cut += back
        row.cut_seconds -= back
        row.save(update_fields=["cut_seconds"])


def _time_count(assignment: Any, now: datetime, seconds: int) -> tuple[int, str]:
    """How many of the seconds count now, which are taken then; and why not all do."""
    taken, since = assignment.taken_time, assignment.opened_at
    if since is None or assignment.state == State.SUBMITTED:
        since = assignment.looked_at
    if not seconds:
        return 0, ""
    if since is None:
        return 0, WorkedDay.Cut.NOT_OPENED
    if taken.at is not None:
        taken.spans = worked_time.clock_follow(
            taken.spans, last=taken.at.timestamp(), now=now.timestamp()
        )
    if taken.day is None or taken.day < now.date():
        taken.day, taken.day_seconds = now.date(), 0
    of_day = worked_time.MOST_A_DAY - taken.day_seconds
    counted, taken.spans = worked_time.time_take(
        taken.spans, since=since.timestamp(), now=now.timestamp(), seconds=min(seconds, of_day)
    )
    taken.at = now
    taken.day_seconds += counted
    taken.save()
    return counted, WorkedDay.Cut.DAY if counted == of_day < seconds else WorkedDay.Cut.CLOCK
