"""Views of the annotation page."""

import uuid

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET

from annotation_site.accounts.permissions import PersonRequest
from annotation_site.annotation import selectors
from annotation_site.annotation.lists import script_words as words
from annotation_site.annotation.lists.look_up import look_up
from annotation_site.annotation.lists.markdown import safe_html
from annotation_site.annotation.lists.nouns import nouns_of
from annotation_site.annotation.lists.page import (
    assignments_of,
    list_page,
    needs_consent,
    next_assignment,
    own_list,
    page_instead,
)
from annotation_site.annotation.models import Assignment, Guidelines, Study
from annotation_site.annotation.people.members import membership_back
from annotation_site.annotation.review import training
from annotation_site.annotation.work import submissions
from annotation_site.errors import ConsentNeeded, NotFound


@login_required
@require_GET
def next_list(request: PersonRequest, slug: str) -> HttpResponse:
    """Redirect to the person's next list, or to the study's page if none is left."""
    membership = membership_back(user=request.user, slug=slug)
    if needs_consent(membership, membership.study):
        return redirect("annotation:consent", slug)
    following = next_assignment(membership.pk)
    if following is None:
        return redirect("annotation:study", slug)
    return redirect("annotation:list", following.public_id)


@login_required
@require_GET
@ensure_csrf_cookie
def one_list(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """The annotation page."""
    assignment = own_list(request.user, public_id)
    study = assignment.item.study
    elsewhere = page_instead(assignment)
    if elsewhere is not None:
        return redirect(elsewhere)
    try:
        submissions.assignment_open(assignment)
    except ConsentNeeded:
        return redirect("annotation:consent", study.slug)
    except NotFound:  # it went to somebody else at this moment
        return redirect("annotation:next", study.slug)
    guidelines = selectors.newest_text(Guidelines, study)
    context = {
        "page": list_page(assignment),
        "study": study,
        "look_up": look_up(study.search_engine, study.encyclopedia),
        "guidelines_html": safe_html(guidelines.text) if guidelines else "",
    }
    return render(request, "annotation/list.html", context)


@login_required
@require_GET
def feedback(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """The person's annotation of a training list beside the reference annotation."""
    assignment = get_object_or_404(
        assignments_of(request.user),
        public_id=public_id,
        purpose=Assignment.Purpose.TRAINING,
    )
    if assignment.state != Assignment.State.SUBMITTED:
        return redirect("annotation:list", public_id)
    context = {"feedback": training.feedback_of(assignment), "study": assignment.item.study}
    return render(request, "annotation/feedback.html", context)


@login_required
@require_GET
def dialogs(request: PersonRequest) -> HttpResponse:
    """The dialogs of the annotation page, which it fetches on first use."""
    source = next((source for source in Study.ListSource.values if source in request.GET), "")
    context = {"taking": "taking" in request.GET, "nouns": nouns_of(source)}
    return render(request, "annotation/_dialogs.html", context)


@require_GET
def script_words(request: HttpRequest, language: str, version: str) -> HttpResponse:
    """The words of the annotation page's scripts in a language, which a browser keeps.

    A page of another version of the site gets the words as they are now, and asks again.
    """
    found = words.script_words(language)
    if found is None:
        raise Http404
    kept = "max-age=31536000, immutable" if version == found.version else "max-age=0"
    return HttpResponse(
        found.script,
        content_type="text/javascript; charset=utf-8",
        headers={"Cache-Control": f"public, {kept}"},
    )
