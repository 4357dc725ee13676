"""Views of a study's progress, for its researchers."""

import hashlib
import uuid

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.annotation import selectors
from annotation_site.annotation.models import Membership, Study
from annotation_site.annotation.monitoring import progress as monitoring
from annotation_site.annotation.monitoring import records as study_records
from annotation_site.annotation.people.members import assignments_release
from annotation_site.annotation.review.training import silent_scores_waiting, training_waive
from annotation_site.exact_words import exact
from annotation_site.workers.selectors import workers_alive


@researcher_required
@require_GET
def run(request: PersonRequest, slug: str) -> HttpResponse:
    """Progress of a study, by person and by list."""
    return render(request, "annotation/run.html", _context(selectors.study_of(request.user, slug)))


@researcher_required
@require_GET
def progress(request: PersonRequest, slug: str) -> HttpResponse:
    """The part of the progress page that refreshes itself, if there is something new."""
    context = _context(selectors.study_of(request.user, slug))
    if request.GET.get("have") == context["shown"]:
        return HttpResponse(status=204)  # htmx leaves the page as it is, scrolled tables and all
    return render(request, "annotation/_progress.html", context)


@researcher_required
@require_GET
def flags(request: PersonRequest, slug: str) -> HttpResponse:
    """Hints at hurried work, requested separately so that nothing waits for them."""
    flagged = monitoring.flags_by_person(selectors.study_of(request.user, slug))
    return render(request, "annotation/_flags.html", {"flagged": flagged})


@researcher_required
@require_POST
def release(request: PersonRequest, slug: str, person: uuid.UUID) -> HttpResponse:
    """Release a person's unopened lists to others."""
    membership = _annotator(request, slug, person)
    unopened = study_records.unopened_lists(membership)
    released = assignments_release(membership=membership, by=request.user)
    taken = study_records.lists_taken(membership.study, unopened)
    messages.success(request, _released(str(membership.user), released, taken))
    return redirect("annotation:run", slug)


@researcher_required
@require_POST
def let_in(request: PersonRequest, slug: str, person: uuid.UUID) -> HttpResponse:
    """Let in a person who has not passed the training."""
    membership = _annotator(request, slug, person)
    training_waive(membership=membership, by=request.user)
    said = _("{person} can continue with the study’s lists now.")
    messages.success(request, format_html(said, person=exact(membership.user)))
    return redirect("annotation:run", slug)


def _released(name: str, released: int, taken: int) -> SafeString:
    who = exact(name)
    if not released:
        said = _("{person} has no unopened list left, so nothing changed.")
    else:
        said = ngettext(
            "{n} unopened list of {person} is released. Given to others: {taken}. Waiting for "
            "somebody who can take it: {rest}.",
            "{n} unopened lists of {person} are released. Given to others: {taken}. Waiting for "
            "somebody who can take them: {rest}.",
            released,
        )
    return format_html(said, n=released, person=who, taken=taken, rest=released - taken)


def _annotator(request: PersonRequest, slug: str, person: uuid.UUID) -> Membership:
    return get_object_or_404(
        Membership.objects.select_related("study", "user"),
        study=selectors.study_of(request.user, slug),
        role=Membership.Role.ANNOTATOR,
        user__public_id=person,
    )


def _context(study: Study) -> dict[str, object]:
    found = monitoring.study_progress(study)
    waiting = silent_scores_waiting(study) if found.unscored else 0
    workers = bool(waiting) and workers_alive().exists()
    # The minute is in it, so that "3 minutes ago" does not stay on the page for an hour.
    state = f"{found}{study.state}{waiting}{workers}{timezone.now():%H:%M}"
    shown = hashlib.sha256(state.encode()).hexdigest()[:16]
    return {
        "study": study,
        "progress": found,
        "shown": shown,
        "scores_waiting": waiting,
        "workers": workers,
    }
