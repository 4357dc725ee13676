"""Queries of studies and lists. Only this module decides what an annotator may see.

Blinding: `list_page` is all that reaches an annotator of a list. Model, kind, layer, index,
scores, contexts and other people's work are not in it.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db.models import Count, Exists, Max, Min, OuterRef, Q, QuerySet, Subquery
from django.shortcuts import get_object_or_404
from django.urls import reverse

from annotation_site.accounts.models import User
from annotation_site.annotation.lists.access import refusal, waits_for_training
from annotation_site.annotation.models import (
    Assignment,
    ConsentText,
    Guidelines,
    Item,
    Membership,
    Study,
    VersionedText,
)
from annotation_site.corpus.models import Token, Vector
from annotation_site.errors import NotAllowed

State = Assignment.State
Text = TypeVar("Text", bound=VersionedText)
# Of a vector a list shows its tokens and nothing else; what is not read cannot leak either.
NOT_SHOWN = [
    f"item__vector__{name}"
    for name in (
        "kind", "layer", "index", "norm", "scores", "bottom_token_ids", "bottom_scores",
        "context", "context_position", "context_token",
    )
]  # fmt: skip


@dataclass(frozen=True)
class ListToken:
    """One token of a list, as people see it."""

    rank: int
    display: str
    gloss: str
    is_stopword: bool


def list_tokens(vector: Vector) -> list[ListToken]:
    """The list's tokens in the order of their ranks."""
    return tokens_of_lists([vector])[vector.pk]


def tokens_of_lists(vectors: Iterable[Vector]) -> dict[int, list[ListToken]]:
    """The same of several lists, by vector; one query for each extraction they come from."""
    vectors = list(vectors)
    wanted: dict[int, set[int]] = defaultdict(set)
    for vector in vectors:
        wanted[vector.extraction_id] |= set(vector.token_ids)
    shown: dict[int, dict[int, tuple[str, str, bool]]] = {}
    for extraction, ids in wanted.items():
        found = Token.objects.filter(extraction_id=extraction, token_id__in=ids)
        rows = found.values_list("token_id", "display", "gloss", "is_stopword")
        shown[extraction] = {
            token_id: (display, gloss, flag) for token_id, display, gloss, flag in rows
        }
    return {
        vector.pk: [
            ListToken(rank, *shown[vector.extraction_id][i])
            for rank, i in enumerate(vector.token_ids, 1)
        ]
        for vector in vectors
    }


def stopword_ranks(vector: Vector, ranks: Iterable[int]) -> set[int]:
    """The given ranks with a stopword or punctuation in the vector's list."""
    rank_of = {vector.token_ids[rank - 1]: rank for rank in ranks}
    found = Token.objects.filter(
        extraction_id=vector.extraction_id, token_id__in=rank_of, is_stopword=True
    )
    return {rank_of[token_id] for token_id in found.values_list("token_id", flat=True)}


def needs_consent(membership: Membership, study: Study) -> bool:
    """Whether the person has to agree to the notice or to a new consent text first."""
    agreed = membership.consent_version
    return agreed is None or agreed < study.consent_version


def assignments_of(user: User) -> QuerySet[Any]:
    """The person's own assignments, `with_place`; see `own_assignments`."""
    return with_place(own_assignments(user))


def own_assignments(user: User) -> QuerySet[Assignment]:
    """The person's own assignments in studies that have been opened and not been left.

    A researcher's final answers are among them, before the study opens too.
    """
    final = Q(purpose=Assignment.Purpose.ADJUDICATION)
    own = ~final & ~Q(item__study__state=Study.State.DRAFT)
    if user.is_researcher:  # still
        own |= final
    return (
        Assignment.objects.filter(own, membership__user=user, membership__withdrawn_at=None)
        .exclude(item__study__state=Study.State.ARCHIVED)
        .select_related("item__study", "item__vector", "membership")
        .defer(*NOT_SHOWN)
        .annotate(repeat_is_open=repeat_is_open())
    )


def repeat_is_open() -> Exists:
    """Whether the person has the list of an annotation open as a repeat.

    Until they submit it again, or nothing can be submitted, their first annotation is not
    readable: what they can copy from it is no retest.
    """
    unsubmitted = (State.IN_PROGRESS, State.EXPIRED, State.SKIPPED)
    return Exists(
        Assignment.objects.filter(
            Q(purpose=Assignment.Purpose.REPEAT) & ~Q(pk=OuterRef("pk")),
            membership=OuterRef("membership"),
            item=OuterRef("item"),
            state__in=unsubmitted,
            opened_at__isnull=False,
            item__study__state__in=Study.AT_WORK,
        )
    )


def require_readable(assignment: Any) -> None:
    """Raises NotAllowed for one of `own_assignments` that is open as a repeat."""
    if assignment.repeat_is_open:
        raise NotAllowed(
            "This annotation cannot be opened now. Submit the lists that you have begun first; "
            "then you can read and change it."
        )


def own_list(user: User, public_id: uuid.UUID) -> Any:
    """One of the person's own assignments, `with_place`, for reading.

    404 for anybody else's; raises NotAllowed as `require_readable` does.
    """
    assignment = get_object_or_404(assignments_of(user), public_id=public_id)
    require_readable(assignment)
    return assignment


def with_place(found: QuerySet[Assignment]) -> QuerySet[Any]:
    """The assignments, each with its position in its person's order, as `list_page` shows it.

    `total` lists are the person's, this is the `place`-th of them, and `previous` is the public id
    of the one before it.
    """
    same = Assignment.objects.order_by().filter(membership=OuterRef("membership"))
    before = same.filter(position__lt=OuterRef("position"))

    def counted(rows: QuerySet[Assignment]) -> Subquery:
        return Subquery(rows.values("membership").annotate(n=Count("*")).values("n"))

    return found.annotate(
        total=counted(same),
        place=counted(same.filter(position__lte=OuterRef("position"))),
        previous=Subquery(before.order_by("-position").values("public_id")[:1]),
    )


def next_assignment(membership_id: int, *, after: Assignment | None = None) -> Any:
    """The person's lowest unfinished position, `with_place`.

    None where there is none, and while training keeps the queue shut. `after` is another list of
    the same person's, whose study and membership need not be read again.
    """
    known = after is not None
    related = ["item__vector"] if known else ["item__vector", "item__study", "membership"]
    unfinished = Assignment.objects.filter(
        membership_id=membership_id, state__in=Assignment.UNFINISHED
    )
    found = (
        with_place(unfinished)
        .select_related(*related)
        .defer(*NOT_SHOWN)
        .order_by("position")
        .first()
    )
    if found is not None and after is not None:
        found.membership, found.item.study = after.membership, after.item.study
    return None if found is None or waits_for_training(found) else found


def page_instead(assignment: Assignment) -> str | None:
    """The page shown instead of a list's own page: what is open to its person, or feedback."""
    if assignment.purpose == Assignment.Purpose.TRAINING and assignment.state == State.SUBMITTED:
        return reverse("annotation:feedback", args=[assignment.public_id])
    if waits_for_training(assignment):
        return reverse("annotation:study", args=[assignment.item.study.slug])
    is_final = assignment.purpose == Assignment.Purpose.ADJUDICATION
    if is_final and assignment.item.use == Item.Use.STUDY:
        return reverse("annotation:adjudication", args=[assignment.public_id])
    return None


def page_after(done: Assignment) -> str | None:
    """The page after a submission or a skip; None for the next list."""
    study = done.item.study
    if done.purpose == Assignment.Purpose.ADJUDICATION:
        adjudicated = done.item.use == Item.Use.STUDY
        page = "results:adjudication" if adjudicated else "annotation:references"
        return reverse(page, args=[study.slug])
    if needs_consent(done.membership, study):  # a repeat, after a change
        return reverse("annotation:consent", args=[study.slug])
    return page_instead(done)


def list_page(assignment: Any) -> dict[str, Any]:
    """All data of the annotation page for an assignment `with_place`, as JSON."""
    study = assignment.item.study
    tokens = list_tokens(assignment.item.vector)
    return {
        "list": {
            "id": str(assignment.public_id),
            "total": assignment.total,
            "position": assignment.place,
            "state": assignment.state,
            "submitted_version": assignment.version,
            "tokens": [[t.display, t.gloss if study.show_glosses else ""] for t in tokens],
            "stopwords": [token.rank for token in tokens if token.is_stopword],
        },
        "study": {
            "title": study.title,
            "categories": study.categories,
            "min_tokens": study.min_tokens,
            "several_patterns_per_token": study.several_patterns_per_token,
            "show_glosses": study.show_glosses,
            "highlight_spellings": study.highlight_spellings,
            "open": not refusal(assignment),
        },
        "draft": {"version": assignment.draft_version, "content": assignment.draft},
        "active_seconds": assignment.active_seconds,
        "urls": _urls(assignment),
    }


def _urls(assignment: Any) -> dict[str, str | None]:
    public_id, previous = assignment.public_id, assignment.previous
    is_final = assignment.purpose == Assignment.Purpose.ADJUDICATION
    return {
        "draft": reverse("api:draft", args=[public_id]),
        "submit": reverse("api:submit", args=[public_id]),
        # Whoever gives the final answer has nobody to leave the list to.
        "skip": None if is_final else reverse("api:skip", args=[public_id]),
        "page": reverse("annotation:list", args=[public_id]),
        "previous": reverse("annotation:list", args=[previous]) if previous else None,
    }


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
        .exclude(study__state__in=(Study.State.DRAFT, Study.State.ARCHIVED))
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
    """The studies that the person runs: their own; all of them for an admin.

    The one rule of it. Nothing is counted here, so that a page about one study stays quick; see
    `with_annotation_counts`.
    """
    studies = Study.objects.order_by("-created_at", "-pk")
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
