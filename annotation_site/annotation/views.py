"""Pages of studies: where people find their work and do it."""

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_POST

from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.annotation import selectors, services, submissions
from annotation_site.annotation.forms import StudyForm
from annotation_site.annotation.markdown import guidelines_html
from annotation_site.annotation.models import Membership
from annotation_site.corpus.selectors import extractions_ready
from annotation_site.errors import Invalid


@login_required
@require_GET
def home(request: PersonRequest) -> HttpResponse:
    """A person's studies: those to annotate, and those to run."""
    context = {
        "to_annotate": selectors.studies_to_annotate(request.user),
        "to_run": list(selectors.studies_to_run(request.user))
        if request.user.is_researcher
        else [],
    }
    return render(request, "annotation/home.html", context)


@researcher_required
def new(request: PersonRequest) -> HttpResponse:
    """The form that makes a study and opens it."""
    form = StudyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            study = services.study_create(plan=form.plan(), created_by=request.user)
            services.study_open(study=study)
        except Invalid as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, f"“{study.title}” is open. Its annotators see it now.")
            return redirect("home")
    context = {"form": form, "has_extractions": extractions_ready().exists()}
    return render(request, "annotation/new.html", context, status=422 if form.errors else 200)


@login_required
@require_GET
@never_cache
def study(request: PersonRequest, slug: str) -> HttpResponse:
    """An annotator's own progress in a study."""
    return render(request, "annotation/study.html", {"membership": _membership(request, slug)})


@login_required
@require_GET
@never_cache
def next_list(request: PersonRequest, slug: str) -> HttpResponse:
    """Straight to the person's next list, or to the study's page when none is left."""
    membership = _membership(request, slug)
    following = selectors.next_assignment(membership.pk)
    if following is None:
        return redirect("annotation:study", slug)
    return redirect("annotation:list", following.public_id)


@login_required
@require_GET
@never_cache
@ensure_csrf_cookie
def one_list(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """The annotation page."""
    assignment = get_object_or_404(selectors.assignments_of(request.user), public_id=public_id)
    submissions.assignment_open(assignment)
    guidelines = selectors.guidelines_of(assignment.item.study)
    context = {
        "page": selectors.list_page(assignment),
        "study": assignment.item.study,
        "guidelines_html": guidelines_html(guidelines.text) if guidelines else "",
    }
    return render(request, "annotation/list.html", context)


@researcher_required
@require_POST
def change_state(request: PersonRequest, slug: str) -> HttpResponse:
    """Pause, close or re-open one of the person's own studies."""
    found = get_object_or_404(selectors.studies_to_run(request.user), slug=slug)
    services.study_state_change(study=found, state=request.POST.get("state", ""))
    return redirect("home")


def _membership(request: PersonRequest, slug: str) -> Membership:
    for membership in selectors.studies_to_annotate(request.user):
        if membership.study.slug == slug:
            return membership
    raise Http404("There is no such study, or you are not its annotator.")
