"""Access to a person's lists: which can be changed now, and why not the others. Reads only."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Avg, Count, Q
from django.utils.translation import gettext as _

from annotation_site.annotation.models import Assignment, Membership, Study

State = Assignment.State
Purpose = Assignment.Purpose
# What comes after training.
QUEUE = (Purpose.ANNOTATION, Purpose.REPEAT, Purpose.REFERENCE)


@dataclass(frozen=True)
class Training:
    """A person's progress in a study's training.

    `score` is the mean overlap with the reference answers so far, 0 to 1; `needed` the percentage
    that opens the queue, None where training is only a record.
    """

    lists: int
    submitted: int
    left: int
    score: float | None
    needed: int | None
    waived: bool

    @property
    def done(self) -> bool:
        """Whether nothing of the training is left, submitted or not."""
        return not self.left

    @property
    def percent(self) -> int:
        """The score in percent, rounded down, so that a failed score stays below the threshold."""
        return math.floor((self.score or 0) * 100 + 1e-9)

    @property
    def passed(self) -> bool:
        """Whether the queue is open to the person."""
        if self.waived or self.needed is None or not self.lists:
            return True
        return self.submitted == self.lists and self.percent >= self.needed

    @property
    def failed(self) -> bool:
        """Whether no action of the person could open the queue."""
        return self.submitted == self.lists and not self.passed

    @property
    def skipped(self) -> int:
        return self.lists - self.submitted - self.left


def training_of(memberships: Iterable[Membership]) -> dict[int, Training]:
    """The training of each membership with a loaded study, in one query."""
    members = {membership.pk: membership for membership in memberships}
    submitted = Q(state=State.SUBMITTED)
    rows = (
        Assignment.objects.filter(membership__in=members, purpose=Purpose.TRAINING)
        .values("membership")
        .annotate(
            lists=Count("pk"),
            submitted=Count("pk", filter=submitted),
            left=Count("pk", filter=Q(state__in=Assignment.UNFINISHED)),
            score=Avg("reference_score", filter=submitted),
        )
        .values_list("membership", "lists", "submitted", "left", "score")
    )
    found = {pk: (lists, done, left, score) for pk, lists, done, left, score in rows}
    trainings = {}
    for pk, membership in members.items():
        lists, done, left, score = found.get(pk, (0, 0, 0, None))
        trainings[pk] = Training(
            lists=lists,
            submitted=done,
            left=left,
            score=score,
            needed=membership.study.training_pass_percent,
            waived=membership.training_waived_at is not None,
        )
    return trainings


def waits_for_training(assignment: Assignment) -> bool:
    """Whether this list is closed until the person passes training."""
    study, membership = assignment.item.study, assignment.membership
    if assignment.purpose not in QUEUE or study.training_pass_percent is None:
        return False
    if membership.training_waived_at is not None:
        return False
    membership.study = study
    return not training_of([membership])[membership.pk].passed


def refusal(assignment: Assignment) -> str:
    """The sentence why this list cannot be changed now; empty if it can."""
    study, purpose = assignment.item.study, assignment.purpose
    if (
        purpose == Purpose.ADJUDICATION
    ):  # an adjudicated annotation is given before, while and after people work
        return study.not_open if study.state == Study.State.ARCHIVED else ""
    if study.state not in Study.AT_WORK:
        return study.not_open
    if purpose == Purpose.TRAINING:
        return (
            _("You have seen the reference annotation, so yours cannot be changed now.")
            if assignment.state == State.SUBMITTED
            else ""
        )
    if purpose == Purpose.PILOT and study.state == Study.State.OPEN:
        return _(
            "This list was part of a pilot, which has ended. Your work so far is kept; continue "
            "with your other lists."
        )
    if purpose in QUEUE and study.state == Study.State.PILOT:
        return study.not_open
    if waits_for_training(assignment):
        return _("This list opens after your training. Continue from “My lists” of this study.")
    return ""
