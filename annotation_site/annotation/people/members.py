"""A study's annotators: add, remove, release their unopened lists."""

from collections.abc import Collection, Iterable

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Value
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation_site.accounts import audit
from annotation_site.accounts.models import User
from annotation_site.annotation.allocation.slots import slots_fill, study_locked
from annotation_site.annotation.lists.access import QUEUE
from annotation_site.annotation.models import Assignment, Membership, Study
from annotation_site.errors import Invalid, NotAllowed

State = Assignment.State
Purpose = Assignment.Purpose


@transaction.atomic
def annotator_add(*, study: Study, user: User) -> Membership:
    """Add an annotator; in an open study they get free slots.

    Somebody who was taken out gets their unopened lists back, as far as nobody else has them.

    Raises NotAllowed for the study's researchers, who have seen where lists come from, unless
    the study allows that, and for somebody who joined another study by an open link; Invalid for
    somebody who has withdrawn from it.
    """
    study = study_locked(study.pk)
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
        study=study, user=user, role=Membership.Role.ANNOTATOR
    )
    if membership.withdrawn_at:
        raise Invalid(
            _("%(person)s has withdrawn from this study and cannot be added again.")
            % {"person": user}
        )
    if membership.removed_at:
        membership.removed_at = None
        membership.save(update_fields=["removed_at"])
        lists_return(study=study, membership=membership)
        is_new = True
    if is_new:
        audit.record("annotator_added", target=study, person=user.public_id)
    slots_fill(study=study)
    return membership


@transaction.atomic
def annotators_add(*, study: Study, users: Iterable[User]) -> int:
    """Add several annotators, or none of them; returns how many. Raises as `annotator_add` does."""
    return len([annotator_add(study=study, user=user) for user in users])


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
    return lists_release(study=study, membership=membership, purposes=Purpose.values)


@transaction.atomic
def assignments_release(*, membership: Membership, by: User) -> int:
    """Release a person's unopened lists to others; returns their number.

    A list that everybody else has had already stays free until somebody joins. What the person has
    opened stays theirs.
    """
    study = study_locked(membership.study_id)
    own = membership.assignments.filter(purpose=Purpose.ANNOTATION, state=State.WAITING)
    if not own.exists():  # what else may wait helps nobody
        return 0
    freed = lists_release(study=study, membership=membership)
    person = membership.user.public_id
    audit.record("lists_released", target=study, actor=by, person=person, lists=freed)
    return freed


def lists_release(
    *,
    study: Study,
    membership: Membership,
    purposes: Collection[str] = QUEUE,
) -> int:
    """With the study locked: end a person's unopened lists, and give free slots to others.

    Repeats and silent references go with the lists between which they stand: what stays would tell
    its person what it is. Returns how many lists of the study's own were freed.
    """
    waiting = Assignment.objects.filter(
        membership=membership, state=State.WAITING, purpose__in=purposes
    )
    locked = list(waiting.order_by(*Assignment.LOCK_ORDER).select_for_update())
    Assignment.objects.filter(pk__in=[row.pk for row in locked]).update(state=State.EXPIRED)
    slots_fill(study=study)
    return sum(row.purpose == Purpose.ANNOTATION for row in locked)


def lists_return(*, study: Study, membership: Membership) -> None:
    """With the study locked: return a person's unopened lists that nobody else took."""
    taken = Assignment.objects.filter(membership=membership, state=State.EXPIRED, opened_at=None)
    # Locks are taken in one order everywhere: study, assignment, list.
    list(taken.order_by(*Assignment.LOCK_ORDER).select_for_update().values_list("pk"))
    own = taken.filter(purpose=Purpose.ANNOTATION)
    items = study.items.filter(assignments__in=own).order_by("pk")
    list(items.select_for_update().values_list("pk"))
    held = Count(
        "assignments",
        filter=Q(
            assignments__purpose=Purpose.ANNOTATION,
            assignments__state__in=Assignment.LIVE,
            assignments__surplus=False,
        ),
    )
    room = study.items.annotate(held=held).filter(held__lt=study.annotators_per_list)
    own.filter(item__in=room).update(state=State.WAITING)
    others = {Purpose.REFERENCE, Purpose.REPEAT}
    if membership.training_waived_at is None:  # else their training has ended for good
        others.add(Purpose.TRAINING)
    taken.filter(purpose__in=others).update(state=State.WAITING)


def is_unblinded(*, study: Study, user: User) -> bool:
    """Whether the person can see where this study's lists come from."""
    return user.is_admin or _running(user).filter(study=study).exists()


def unblinded_in(study: OuterRef, *, user: User) -> Exists | Value:
    """`is_unblinded` for each row's study, within a query."""
    return Value(True) if user.is_admin else Exists(_running(user).filter(study=study))


def _running(user: User) -> QuerySet[Membership]:
    return Membership.objects.filter(user=user, role=Membership.Role.RESEARCHER)
