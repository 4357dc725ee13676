"""Queries of studies and lists. Only this module decides what an annotator may see."""

from typing import Any, TypeVar

from django.db.models import Count, Max, Min, Q, QuerySet

from annotation_site.accounts.models import User
from annotation_site.annotation.models import (
    Assignment,
    ConsentText,
    Guidelines,
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


def with_annotation_counts(studies: QuerySet[Study]) -> QuerySet[Any]:
    """Each study with `slots`, its assigned lists, and `annotations`, its submitted ones."""
    counts = Q(
        items__assignments__purpose=Assignment.Purpose.ANNOTATION,
        items__assignments__surplus=False,
    )
    answered = counts & Q(items__assignments__state=State.SUBMITTED)
    held = counts & Q(items__assignments__state__in=Assignment.LIVE)
    return studies.annotate(
        annotations=Count("items__assignments", filter=answered, distinct=True),
        slots=Count("items__assignments", filter=held, distinct=True),
    )


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
