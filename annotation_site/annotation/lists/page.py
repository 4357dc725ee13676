"""A list as its annotator gets it: which lists are theirs, and all that the page knows of one.

This module alone decides which parts of a list annotators see. Blinding: `list_page` is all that
reaches an annotator of a list. Model, kind, layer, index, scores, contexts and other people's work
are not in it.
"""

import uuid
from collections.abc import Sequence
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _

from annotation_site.accounts.models import User
from annotation_site.annotation.lists.access import refusal, waits_for_training
from annotation_site.annotation.lists.entries import ListEntry, list_entries
from annotation_site.annotation.models import Assignment, Item, Membership, Study
from annotation_site.errors import NotAllowed
from annotation_site.prepared import Prepared

State = Assignment.State
# Of a vector a list shows its tokens and nothing else; what is not read cannot leak either.
NOT_SHOWN = [
    f"item__vector__{name}"
    for name in (
        "kind", "layer", "index", "norm", "scores", "bottom_token_ids", "bottom_scores",
        "context", "context_position", "context_token",
    )
]  # fmt: skip


def needs_consent(membership: Membership, study: Study) -> bool:
    """Whether the person has to read the notice, or a consent text that is new to them, first."""
    agreed = membership.consent_version
    return agreed is None or agreed < study.consent_version


def assignments_of(user: User) -> QuerySet[Any]:
    """The person's own assignments, `with_place`; see `own_assignments`."""
    return with_place(own_assignments(user))


def own_assignments(user: User) -> QuerySet[Assignment]:
    """The person's own assignments in studies that have been opened and not been left.

    A researcher's adjudicated annotations are among them, before the study opens too.
    """
    final = Q(purpose=Assignment.Purpose.ADJUDICATION)
    own = ~final & ~Q(item__study__state=Study.State.DRAFT)
    if user.is_researcher:  # still
        own |= final
    return (
        Assignment.objects.filter(own, membership__user=user, membership__withdrawn_at=None)
        .exclude(item__study__state__in=(Study.State.ARCHIVED, Study.State.DELETING))
        .select_related("item__study", "item__vector", "membership")
        .defer(*NOT_SHOWN)
        .annotate(repeat_is_open=repeat_is_open())
    )


def repeat_is_open() -> Exists:
    """Whether the list of an annotation is open to its person a second time, as a repeat.

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
    """Raises NotAllowed for one of `own_assignments` that is open a second time, as a repeat."""
    if assignment.repeat_is_open:
        raise NotAllowed(
            _(
                "This annotation cannot be opened now. Submit the lists that you have begun first; "
                "then you can read and change it."
            )
        )


def own_list(user: User, public_id: uuid.UUID) -> Any:
    """One of the person's own assignments, `with_place`, for reading.

    404 for anybody else's; raises NotAllowed as `require_readable` does.
    """
    assignment = get_object_or_404(assignments_of(user), public_id=public_id)
    require_readable(assignment)
    return assignment


def own_draft(user: User, public_id: uuid.UUID) -> dict[str, Any]:
    """The stored draft of one of the person's own assignments: version and content; one query.

    404 for anybody else's; raises NotAllowed as `require_readable` does.
    """
    found = own_assignments(user).select_related(None).defer(None)
    assignment = get_object_or_404(found.only("draft", "draft_version"), public_id=public_id)
    require_readable(assignment)
    return {"version": assignment.draft_version, "content": assignment.draft}


def with_place(found: QuerySet[Assignment]) -> QuerySet[Any]:
    """The assignments, each with its place in its person's order, as `list_page` shows it.

    `total` lists are the person's, this is the `place`-th of them, and `previous` is the public id
    of the one before it. `at_work` counts the study's annotators who get lists.
    """
    same = Assignment.objects.order_by().filter(membership=OuterRef("membership"))
    before = same.filter(position__lt=OuterRef("position"))

    def counted(rows: QuerySet[Any], by: str = "membership") -> Subquery:
        return Subquery(rows.order_by().values(by).annotate(n=Count("*")).values("n"))

    at_work = Membership.objects.filter(
        study=OuterRef("item__study"),
        role=Membership.Role.ANNOTATOR,
        withdrawn_at=None,
        removed_at=None,
        away_since=None,
        user__is_active=True,
    )

    return found.annotate(
        total=counted(same),
        place=counted(same.filter(position__lte=OuterRef("position"))),
        at_work=counted(at_work, "study"),
        previous=Subquery(before.order_by("-position").values("public_id")[:1]),
    )


def _next_of(*related: str) -> Prepared[Assignment]:
    def build(membership_id: int) -> QuerySet[Assignment]:
        unfinished = Assignment.objects.filter(
            membership_id=membership_id, state__in=Assignment.UNFINISHED
        )
        found = with_place(unfinished).select_related("item__vector", *related)
        return found.defer(*NOT_SHOWN).order_by("position")[:1]

    return Prepared(build)


_NEXT, _NEXT_AFTER = _next_of("item__study", "membership"), _next_of()


def next_assignment(membership_id: int, *, after: Assignment | None = None) -> Any:
    """The person's lowest unfinished position, `with_place`.

    None where there is none, and while training keeps the queue shut. `after` is another list of
    the same person's, whose study and membership need not be read again.
    """
    found: Any = (_NEXT_AFTER if after else _NEXT).first(membership_id=membership_id)
    if found is not None and after is not None:
        found.membership, found.item.study = after.membership, after.item.study
    return None if found is None or waits_for_training(found) else found


def page_instead(assignment: Assignment) -> str | None:
    """Where a list's own page sends its person instead: what is open to them, or feedback."""
    if assignment.purpose == Assignment.Purpose.TRAINING and assignment.state == State.SUBMITTED:
        return reverse("annotation:feedback", args=[assignment.public_id])
    if waits_for_training(assignment):
        return reverse("annotation:study", args=[assignment.item.study.slug])
    is_final = assignment.purpose == Assignment.Purpose.ADJUDICATION
    if is_final and assignment.item.use == Item.Use.STUDY:
        return reverse("annotation:adjudication", args=[assignment.public_id])
    return None


def page_after(done: Assignment) -> str | None:
    """Where a person goes after submitting or skipping a list; None: to their next list."""
    study = done.item.study
    if done.purpose == Assignment.Purpose.ADJUDICATION:
        adjudicated = done.item.use == Item.Use.STUDY
        page = "results:adjudication" if adjudicated else "annotation:references"
        return reverse(page, args=[study.slug])
    if needs_consent(done.membership, study):  # a repeat, after a change
        return reverse("annotation:consent", args=[study.slug])
    return page_instead(done)


def list_page(assignment: Any) -> dict[str, Any]:
    """Everything the annotation page knows of a list, an assignment `with_place`, as JSON."""
    study = assignment.item.study
    entries = list_entries(assignment.item.vector, study.list_source, study.shown_gloss_rule)
    return {
        "list": {
            "id": str(assignment.public_id),
            "total": assignment.total,
            "position": assignment.place,
            "state": assignment.state,
            "submitted_version": assignment.version,
            **entries_json(entries),
        },
        "study": {
            "title": study.title,
            "list_source": study.list_source,
            "categories": study.categories,
            "min_tokens": study.min_tokens,
            "several_patterns_per_token": study.several_patterns_per_token,
            "show_glosses": study.shows_glosses,
            "highlight_spellings": study.highlight_spellings,
            "open": not refusal(assignment),
            "skipped_goes_on": _skipped_goes_on(assignment),
        },
        "draft": {"version": assignment.draft_version, "content": assignment.draft},
        "active_seconds": assignment.active_seconds,
        "urls": _urls(assignment),
    }


def entries_json(entries: Sequence[ListEntry]) -> dict[str, Any]:
    """The entries of a list, as `desk.js` reads them; of prefixes with the text before the end."""
    return {
        "tokens": [
            [e.display, e.gloss] if e.before is None else [e.display, e.gloss, e.before]
            for e in entries
        ],
        "senses": [entry.senses for entry in entries],
        "stopwords": [entry.rank for entry in entries if entry.is_stopword],
    }


def _skipped_goes_on(assignment: Any) -> bool:
    """Whether somebody else could take a list of this study that the person skips.

    Said of the study and not of the list: nobody else takes a repeat or a silent reference, and
    this must not tell which lists those are.
    """
    study = assignment.item.study
    return study.state == Study.State.OPEN and (assignment.at_work or 0) > study.annotators_per_list


def _urls(assignment: Any) -> dict[str, str | None]:
    public_id, previous = assignment.public_id, assignment.previous
    is_final = assignment.purpose == Assignment.Purpose.ADJUDICATION
    return {
        "draft": reverse("api:draft", args=[public_id]),
        "submit": reverse("api:submit", args=[public_id]),
        # An adjudicator has nobody to leave the list to.
        "skip": None if is_final else reverse("api:skip", args=[public_id]),
        "page": reverse("annotation:list", args=[public_id]),
        "previous": reverse("annotation:list", args=[previous]) if previous else None,
    }
