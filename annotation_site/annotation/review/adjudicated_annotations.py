"""Adjudicated and reference annotations by researchers: one record per list.

For a training or silent reference list it is the reference annotation. Each is an assignment of
purpose adjudication on the researcher's own membership, written on the annotation page and by its
services like every other annotation.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Avg, Count, Max, Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation_site.accounts.models import User
from annotation_site.annotation.lists.entries import ListEntry, entries_of_lists
from annotation_site.annotation.models import Assignment, Item, Membership, Study
from annotation_site.errors import Invalid, NotAllowed

State = Assignment.State
Purpose = Assignment.Purpose
WITH_REFERENCE = (Item.Use.TRAINING, Item.Use.REFERENCE)


@dataclass(frozen=True)
class Reference:
    """A training or silent reference list on the page of reference annotations."""

    item: Item
    tokens: list[ListEntry]
    annotation: Assignment | None  # submitted or not
    submitted: int  # by how many people
    score: float | None  # their mean overlap with the answer

    @property
    def is_annotated(self) -> bool:
        return self.annotation is not None and self.annotation.state == State.SUBMITTED


@transaction.atomic
def adjudicated_annotation_open(*, item: Item, by: User) -> Assignment:
    """Open a list's adjudicated annotation for a researcher; made if there is none.

    Asked again, it is the same one. One that another researcher has left untouched, or left
    unfinished with the project, is taken over; its hours so far stay with them. Raises NotAllowed
    for somebody who does not run the study, or where another researcher has begun the answer;
    Invalid for a list of the pilot, or a study that is archived.
    """
    study = Study.objects.select_for_update().get(pk=item.study_id)
    membership = study.memberships.filter(
        user=by, role=Membership.Role.RESEARCHER, withdrawn_at=None
    ).first()
    if membership is None or not by.is_researcher:
        raise NotAllowed(
            _("Only a study’s own researchers write its adjudicated annotations. Ask one of them.")
        )
    if study.state == Study.State.ARCHIVED:
        raise Invalid(_("This study is archived. Take it out of the archive first."))
    if item.use == Item.Use.PILOT:
        raise Invalid(
            _("Pilot lists have no adjudicated annotation, because they count in no table.")
        )
    last = membership.assignments.aggregate(last=Max("position"))["last"] or 0
    answer = (
        Assignment.objects.select_for_update(of=("self",))
        .select_related("membership__user")
        .filter(item=item, purpose=Purpose.ADJUDICATION)
        .first()
    )
    if answer is None:
        return Assignment.objects.create(
            item=item, membership=membership, purpose=Purpose.ADJUDICATION, position=last + 1
        )
    if answer.membership_id == membership.pk:
        return answer
    owner = answer.membership.user
    is_gone = not (owner.is_active and owner.is_researcher)
    if answer.version or (answer.draft is not None and not is_gone):
        raise NotAllowed(
            _(
                "%(person)s has begun the adjudicated annotation of this list. Ask them to finish "
                "or change it."
            )
            % {"person": owner}
        )
    answer.membership, answer.position = membership, last + 1
    answer.state, answer.opened_at = State.WAITING, None
    # What they worked at it before it went to the other, if they did.
    own = answer.worked_days.filter(membership=membership)
    answer.active_seconds = own.aggregate(most=Max("active_seconds"))["most"] or 0
    answer.reported_seconds = answer.active_seconds
    answer.save(
        update_fields=[
            "membership",
            "position",
            "state",
            "opened_at",
            "active_seconds",
            "reported_seconds",
        ]
    )
    return answer


def adjudicated_annotation_open_first(*, items: Iterable[Item], by: User) -> Assignment | None:
    """Open the first of these lists that the researcher may adjudicate; None without one.

    Lists that another researcher has begun are passed over.
    """
    for item in items:
        try:
            return adjudicated_annotation_open(item=item, by=by)
        except (Invalid, NotAllowed):
            continue
    return None


def references_of(study: Study) -> list[Reference]:
    """The study's training and reference lists, in a fixed order."""
    people = ~Q(assignments__purpose=Purpose.ADJUDICATION) & Q(assignments__state=State.SUBMITTED)
    items = (
        study.items.filter(use__in=WITH_REFERENCE)
        .select_related("vector")
        .annotate(
            submitted=Count("assignments", filter=people),
            score=Avg("assignments__reference_score", filter=people),
        )
        .order_by("-use", "pk")
    )
    answers = Assignment.objects.filter(item__in=items, purpose=Purpose.ADJUDICATION)
    found = {row.item_id: row for row in answers.annotate(n_patterns=Count("patterns"))}
    tokens = entries_of_lists([item.vector for item in items], study.list_source)
    return [
        Reference(item, tokens[item.vector_id], found.get(item.pk), item.submitted, item.score)
        for item in items
    ]


def references_missing(study: Study, uses: Collection[str] = WITH_REFERENCE) -> int:
    """Number of training and reference lists without a reference annotation."""
    return lists_without_reference(study, uses).count()


def lists_without_reference(
    study: Study, uses: Collection[str] = WITH_REFERENCE
) -> QuerySet[Item, Item]:
    """The training and reference lists without a reference annotation, in their page's order."""
    answered = Assignment.objects.filter(
        item__study=study, purpose=Purpose.ADJUDICATION, state=State.SUBMITTED
    )
    wanted = study.items.filter(use__in=uses).order_by("-use", "pk")
    return wanted.exclude(pk__in=answered.values("item"))


def references_require(*, study: Study, uses: Collection[str] = WITH_REFERENCE) -> None:
    """Raises Invalid unless every list of these uses has a reference annotation."""
    missing = references_missing(study, uses)
    if missing:
        raise Invalid(
            ngettext(
                "%(n)s training or reference list has no reference annotation yet. Write it on "
                "the study’s page “Reference annotations” first.",
                "%(n)s training or reference lists have no reference annotation yet. Write them "
                "on the study’s page “Reference annotations” first.",
                missing,
            )
            % {"n": missing}
        )
