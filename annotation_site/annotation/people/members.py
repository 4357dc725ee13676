"""A study's annotators: add, remove, release their unopened lists."""

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet, Value
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation_site.accounts import audit
from annotation_site.accounts.models import User
from annotation_site.annotation.allocation.slots import (
    annotator_return,
    annotators_arrive,
    annotators_away,
    slots_share,
    study_locked,
)
from annotation_site.annotation.allocation.watchers import study_tell
from annotation_site.annotation.models import Assignment, Membership, Study
from annotation_site.annotation.selectors import membership_of
from annotation_site.errors import Invalid, NotAllowed

State = Assignment.State
Purpose = Assignment.Purpose


@transaction.atomic
def annotator_add(*, study: Study, user: User, most_lists: int | None = None) -> Membership:
    """Add an annotator; in an open study they get their share of the unopened lists at once.

    Somebody who was taken out gets a share again, in the order that was theirs. A newcomer gets at
    most `most_lists` ever, where it is given.

    Raises NotAllowed for the study's researchers, who have seen where lists come from, unless
    the study allows that, and for somebody who joined another study by an open link; Invalid for
    somebody who has withdrawn from it.
    """
    study = study_locked(study.pk)
    membership = _enter(study, user, most_lists)
    slots_share(study=study)
    study_tell(study)
    return membership


@transaction.atomic
def annotators_add(*, study: Study, users: Iterable[User]) -> int:
    """Add several annotators, or none of them; returns how many. Raises as `annotator_add` does."""
    study = study_locked(study.pk)
    added = [_enter(study, user) for user in users]
    slots_share(study=study)
    study_tell(study)
    return len(added)


def _enter(study: Study, user: User, most_lists: int | None = None) -> Membership:
    """With the study locked: the membership of somebody who can get lists from now on."""
    if user.is_crowd and not study.memberships.filter(user=user).exists():
        raise NotAllowed(
            _("%(person)s joined another study by an open link and cannot be added to this one.")
            % {"person": user}
        )
    if not study.team_may_annotate and is_unblinded(study=study, user=user):
        raise NotAllowed(
            _(
                "%(person)s runs this study or is an admin, and so sees where lists come from. "
                "Choose somebody else, or let people who run the study annotate, in its rules."
            )
            % {"person": user}
        )
    membership, is_new = Membership.objects.get_or_create(
        study=study,
        user=user,
        role=Membership.Role.ANNOTATOR,
        defaults={"most_lists": most_lists},
    )
    if membership.withdrawn_at:
        raise Invalid(
            _("%(person)s has withdrawn from this study and cannot be added again.")
            % {"person": user}
        )
    if membership.removed_at:
        membership.removed_at = None
        membership.save(update_fields=["removed_at"])
        _training_return(membership)
        is_new = True
    if is_new:
        audit.record("annotator_added", target=study, person=user.public_id)
    if is_new or membership.away_since:
        annotators_arrive(Membership.objects.filter(pk=membership.pk))
        membership.refresh_from_db(fields=["away_since", "at_work_since"])
    return membership


@transaction.atomic
def annotator_remove(*, membership: Membership, by: User) -> int:
    """Remove an annotator from a study: their unopened lists go to others, and they get no new
    ones.

    What they have opened or submitted stays theirs to finish. Returns how many lists were freed;
    somebody who is out already frees none.
    """
    study = study_locked(membership.study_id)
    out = Membership.objects.filter(pk=membership.pk, withdrawn_at=None, removed_at=None)
    if not out.update(removed_at=timezone.now()):
        return 0
    person = membership.user.public_id
    audit.record("annotator_removed", target=study, actor=by, person=person)
    return lists_release(study=study, membership=membership)


def lists_release(*, study: Study, membership: Membership) -> int:
    """With the study locked, and the person out: nothing unopened waits for them any more.

    Returns how many lists of the study others can get.
    """
    left = membership.assignments.filter(
        purpose__in=(Purpose.TRAINING, Purpose.PILOT), state=State.WAITING
    )
    list(left.order_by(*Assignment.LOCK_ORDER).select_for_update().values_list("pk"))
    left.update(state=State.EXPIRED)
    return _unopened_shared(study, membership)


@transaction.atomic
def assignments_release(*, membership: Membership, by: User) -> int:
    """Release a person's unopened lists to others; returns their number.

    A list that everybody else has had already stays free until somebody joins. What the person has
    opened stays theirs. They are away from then on: when they come back, they get a share again.
    """
    study = study_locked(membership.study_id)
    own = membership.assignments.filter(purpose=Purpose.ANNOTATION, state=State.WAITING)
    if not own.exists():  # what else may wait helps nobody
        return 0
    annotators_away(Membership.objects.filter(pk=membership.pk))
    freed = _unopened_shared(study, membership)
    person = membership.user.public_id
    audit.record("lists_released", target=study, actor=by, person=person, lists=freed)
    return freed


def _unopened_shared(study: Study, membership: Membership) -> int:
    """With the study locked: share it without this person; returns how many lists they had.

    Repeats and silent references go with the lists between which they stand: what stays would tell
    its person what it is.
    """
    own = membership.assignments.filter(purpose=Purpose.ANNOTATION, state=State.WAITING)
    before = own.count()
    slots_share(study=study)
    return before


def _training_return(membership: Membership) -> None:
    """Give a person's unopened training back, unless they were let in without it for good."""
    if membership.training_waived_at is None:
        membership.assignments.filter(
            purpose=Purpose.TRAINING, state=State.EXPIRED, opened_at=None
        ).update(state=State.WAITING)


def membership_back(*, user: User, slug: str) -> Any:
    """`selectors.membership_of`, of a person back at work, who is not away any more.

    Raises Http404 as it does.
    """
    membership = membership_of(user, slug)
    if membership.away_since is None or membership.removed_at is not None:
        return membership
    annotator_return(membership=membership)
    return membership_of(user, slug)  # with its numbers as they are now


def is_unblinded(*, study: Study, user: User) -> bool:
    """Whether the person can see where this study's lists come from."""
    return user.is_admin or _running(user).filter(study=study).exists()


def unblinded_in(study: OuterRef, *, user: User) -> Exists | Value:
    """`is_unblinded` for each row's study, within a query."""
    return Value(True) if user.is_admin else Exists(_running(user).filter(study=study))


def _running(user: User) -> QuerySet[Membership]:
    return Membership.objects.filter(user=user, role=Membership.Role.RESEARCHER)
