"""Queries of studies and lists. Only this module decides what an annotator may see."""

from typing import Any, TypeVar

from django.db.models import Count, F, IntegerField, Max, Min, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.shortcuts import get_object_or_404

from annotation_site.accounts.models import User
from annotation_site.annotation.models import (
    Assignment,
    ConsentText,
    Guidelines,
    Item,
    Membership,
    Study,
    VersionedText,
)

State = Assignment.State
Text = TypeVar("Text", bound=VersionedText)


def newest_text(kind: type[Text], study: Study) -> Text | None:
    """The newest version of a study's guidelines or consent text."""
    return kind._default_manager.filter(study=study).order_by("-version").first()


def texts_of(study: Study) -> dict[str, str | int]:
    """The study's current texts, and as `…_base` their versions, 0 for none."""
    kinds: dict[str, type[VersionedText]] = {"guidelines": Guidelines, "consent": ConsentText}
    newest = {name: newest_text(kind, study) for name, kind in kinds.items()}
    texts = {name: text.text if text else "" for name, text in newest.items()}
    return texts | {f"{name}_base": text.version if text else 0 for name, text in newest.items()}


def studies_to_annotate(user: User) -> QuerySet[Any]:
    """The person's memberships as annotator, each with the numbers of lists done and left."""
    return (
        Membership.objects.filter(user=user, role=Membership.Role.ANNOTATOR, withdrawn_at=None)
        .exclude(study__state__in=(Study.State.DRAFT, Study.State.ARCHIVED, Study.State.DELETING))
        .select_related("study")
        .annotate(
            total=Count("assignments"),
            left=Count("assignments", filter=Q(assignments__state__in=Assignment.UNFINISHED)),
            submitted=Count("assignments", filter=Q(assignments__state=State.SUBMITTED)),
            next_position=Min(
                "assignments__position", filter=Q(assignments__state__in=Assignment.UNFINISHED)
            ),
            opened_last=Max("assignments__opened_at"),
        )
        .order_by("study__title", "pk")
    )


def studies_of(user: User) -> QuerySet[Study]:
    """The studies that the person runs: their own; all of them for an admin. None being deleted.

    The one rule of it. Nothing is counted here, so that a page about one study stays quick; see
    `with_annotation_counts`.
    """
    studies = Study.objects.exclude(state=Study.State.DELETING).order_by("-created_at", "-pk")
    if user.is_admin:
        return studies
    own = Membership.objects.filter(user=user, role=Membership.Role.RESEARCHER)
    return studies.filter(pk__in=own.values("study"))


def study_of(user: User, slug: str) -> Study:
    """A study that the person runs. Raises Http404 for every other."""
    return get_object_or_404(studies_of(user), slug=slug)


def membership_of(user: User, slug: str) -> Any:
    """The person's membership as annotator, one of `studies_to_annotate`. Raises Http404."""
    return get_object_or_404(studies_to_annotate(user), study__slug=slug)


def with_annotation_counts(studies: QuerySet[Study]) -> QuerySet[Any]:
    """Each study with its numbers, the same on all pages and in the API.

    `lists` of its own, `slots` (k of each list), `annotations` submitted for them, and `assigned`
    slots, those that somebody has.
    """

    def counted(rows: QuerySet[Any], by: str) -> Coalesce:
        number = rows.order_by().values(by).annotate(n=Count("pk")).values("n")
        return Coalesce(Subquery(number, output_field=IntegerField()), 0)

    lists = Item.objects.filter(study=OuterRef("pk"), use=Item.Use.STUDY)
    held = Assignment.objects.filter(
        item__study=OuterRef("pk"),
        purpose=Assignment.Purpose.ANNOTATION,
        surplus=False,
        state__in=Assignment.LIVE,
    )
    return studies.annotate(
        lists=counted(lists, "study"),
        annotations=counted(held.filter(state=State.SUBMITTED), "item__study"),
        assigned=counted(held, "item__study"),
    ).annotate(slots=F("lists") * F("annotators_per_list"))


def annotators(study: Study) -> QuerySet[Any]:
    """The study's annotators, each with the states of their lists."""

    def lists(**which: Any) -> Count:
        own = Q(assignments__purpose=Assignment.Purpose.ANNOTATION, **which)
        return Count("assignments", filter=own)

    return (
        study.memberships.filter(role=Membership.Role.ANNOTATOR)
        .select_related("user")
        .annotate(
            submitted=lists(assignments__state=State.SUBMITTED),
            begun=lists(assignments__state=State.IN_PROGRESS),
            unopened=lists(assignments__state=State.WAITING),
        )
        .order_by("withdrawn_at", "removed_at", "user__username")
    )
