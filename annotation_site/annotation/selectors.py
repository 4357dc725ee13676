"""Reading studies and lists. What an annotator may see is decided here and nowhere else.

Blinding: `list_page` is all that reaches an annotator of a list. Model, kind, layer, index,
scores, contexts and other people's work are not in it.
"""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.urls import reverse

from annotation_site.accounts.models import User
from annotation_site.annotation.models import Assignment, Guidelines, Membership, Study
from annotation_site.corpus.models import Token, Vector

State = Assignment.State


@dataclass(frozen=True)
class ListToken:
    """One token of a list, as people see it."""

    rank: int
    display: str
    text: str
    gloss: str
    is_stopword: bool


def list_tokens(vector: Vector) -> list[ListToken]:
    """The list's tokens in the order of their ranks."""
    rows = Token.objects.filter(
        extraction_id=vector.extraction_id, token_id__in=vector.token_ids
    ).only("token_id", "display", "text", "gloss", "is_stopword")
    by_id = {row.token_id: row for row in rows}
    return [
        ListToken(rank, row.display, row.text, row.gloss, row.is_stopword)
        for rank, row in enumerate((by_id[i] for i in vector.token_ids), 1)
    ]


def assignments_of(user: User) -> QuerySet[Assignment]:
    """The person's own assignments in studies that have been opened."""
    return (
        Assignment.objects.filter(membership__user=user)
        .exclude(item__study__state__in=(Study.State.DRAFT, Study.State.ARCHIVED))
        .select_related("item__study", "item__vector")
    )


def next_assignment(membership_id: int) -> Assignment | None:
    """The person's lowest unfinished position."""
    return (
        Assignment.objects.filter(membership_id=membership_id, state__in=Assignment.UNFINISHED)
        .select_related("item__study", "item__vector")
        .order_by("position")
        .first()
    )


def list_page(assignment: Assignment) -> dict[str, Any]:
    """Everything the annotation page knows of a list, as JSON."""
    study = assignment.item.study
    place = Assignment.objects.filter(membership_id=assignment.membership_id).aggregate(
        total=Count("pk"), position=Count("pk", filter=Q(position__lte=assignment.position))
    )
    return {
        "list": {
            "id": str(assignment.public_id),
            **place,
            "state": assignment.state,
            "submitted_version": assignment.version,
            "tokens": [
                {
                    "rank": token.rank,
                    "display": token.display,
                    "text": token.text,
                    "gloss": token.gloss if study.show_glosses else "",
                    "stopword": token.is_stopword,
                }
                for token in list_tokens(assignment.item.vector)
            ],
        },
        "study": {
            "title": study.title,
            "categories": study.categories,
            "min_tokens": study.min_tokens,
            "several_patterns_per_token": study.several_patterns_per_token,
            "show_glosses": study.show_glosses,
            "open": study.state == Study.State.OPEN,
        },
        "draft": {"version": assignment.draft_version, "content": assignment.draft},
        "active_seconds": assignment.active_seconds,
        "urls": _urls(assignment),
    }


def _urls(assignment: Assignment) -> dict[str, str | None]:
    public_id = assignment.public_id
    previous = (
        Assignment.objects.filter(
            membership_id=assignment.membership_id, position__lt=assignment.position
        )
        .order_by("-position")
        .values_list("public_id", flat=True)
        .first()
    )
    return {
        "draft": reverse("api:draft", args=[public_id]),
        "submit": reverse("api:submit", args=[public_id]),
        "skip": reverse("api:skip", args=[public_id]),
        "page": reverse("annotation:list", args=[public_id]),
        "previous": reverse("annotation:list", args=[previous]) if previous else None,
        "home": reverse("home"),
    }


def guidelines_of(study: Study) -> Guidelines | None:
    """The newest version."""
    return study.guidelines.order_by("-version").first()


def studies_to_annotate(user: User) -> list[Membership]:
    """The person's memberships as annotator, with how many lists are done and left."""
    return list(
        Membership.objects.filter(user=user, role=Membership.Role.ANNOTATOR)
        .exclude(study__state__in=(Study.State.DRAFT, Study.State.ARCHIVED))
        .select_related("study")
        .annotate(
            total=Count("assignments"),
            left=Count("assignments", filter=Q(assignments__state__in=Assignment.UNFINISHED)),
            submitted=Count("assignments", filter=Q(assignments__state=State.SUBMITTED)),
        )
        .order_by("study__title", "pk")
    )


def studies_to_run(user: User) -> QuerySet[Study]:
    """The studies whose results the person may read: their own; all of them for an admin."""
    studies = Study.objects.all()
    if not user.is_admin:
        studies = studies.filter(
            memberships__user=user, memberships__role=Membership.Role.RESEARCHER
        )
    answered = Q(items__assignments__state=State.SUBMITTED)
    return studies.annotate(
        answers=Count("items__assignments", filter=answered, distinct=True),
        places=Count("items__assignments", distinct=True),
    ).order_by("-created_at")
