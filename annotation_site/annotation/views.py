"""Pages of studies: where people find their work and do it."""

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.annotation import consent as consent_services
from annotation_site.annotation import own_work, selectors, services, submissions
from annotation_site.annotation import tutorial as tutorials
from annotation_site.annotation.forms import StudyForm, TextsForm
from annotation_site.annotation.markdown import safe_html
from annotation_site.annotation.models import ConsentText, Guidelines
from annotation_site.corpus.selectors import extractions_ready
from annotation_site.errors import ConsentNeeded, Invalid
from annotation_site.exports import EXPORT_FORMATS

LISTS_PER_PAGE = 25


@login_required
@require_GET
@never_cache
def home(request: PersonRequest) -> HttpResponse:
    """A person's studies: those to annotate, and those to run."""
    context = {
        "to_annotate": own_work.own_studies(request.user),
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
    """An annotator's own work in a study: what is left, and what was submitted or set aside."""
    membership = _membership(request, slug)
    pages = Paginator(own_work.submitted_lists(membership), LISTS_PER_PAGE)
    page = pages.get_page(request.GET.get("page"))
    context = {
        "membership": membership,
        "submitted": own_work.with_unsubmitted_changes(list(page)),
        "page": page,
        "set_aside": own_work.set_aside_lists(membership),
    }
    return render(request, "annotation/study.html", context)


@login_required
@require_GET
@never_cache
def next_list(request: PersonRequest, slug: str) -> HttpResponse:
    """Straight to the person's next list, or to the study's page when none is left."""
    membership = _membership(request, slug)
    if selectors.needs_consent(membership, membership.study):
        return redirect("annotation:consent", slug)
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
    study = assignment.item.study
    try:
        submissions.assignment_open(assignment)
    except ConsentNeeded:
        return redirect("annotation:consent", study.slug)
    guidelines = selectors.newest_text(Guidelines, study)
    context = {
        "page": selectors.list_page(assignment),
        "study": study,
        "guidelines_html": safe_html(guidelines.text) if guidelines else "",
    }
    return render(request, "annotation/list.html", context)


@login_required
@require_http_methods(["GET", "POST"])
@never_cache
def consent(request: PersonRequest, slug: str) -> HttpResponse:
    """What a person reads, and agrees to, before the first list of a study."""
    membership = _membership(request, slug)
    changed = ""
    if request.method == "POST":
        try:
            consent_services.consent_give(
                membership=membership, version=_number(request.POST.get("version"))
            )
        except Invalid as error:
            changed = error.message
        else:
            return redirect("annotation:next", slug)
    text = selectors.newest_text(ConsentText, membership.study)
    context = {
        "membership": membership,
        "text_html": safe_html(text.text) if text else "",
        "needed": selectors.needs_consent(membership, membership.study),
        "changed": changed,
    }
    return render(request, "annotation/consent.html", context, status=422 if changed else 200)


@login_required
@require_http_methods(["GET", "POST"])
@never_cache
def withdraw(request: PersonRequest, slug: str) -> HttpResponse:
    """Leave a study, after a page that says what becomes of the work."""
    membership = _membership(request, slug)
    if request.method == "POST":
        consent_services.study_withdraw(membership=membership)
        title = membership.study.title
        messages.success(request, _("You have withdrawn from “%(study)s”.") % {"study": title})
        return redirect("home")
    return render(request, "annotation/withdraw.html", {"membership": membership})


@login_required
@require_GET
def dialogs(request: PersonRequest) -> HttpResponse:
    """The dialogs of the annotation page, which it fetches when the first one is wanted."""
    return render(request, "annotation/_dialogs.html")


@login_required
@require_GET
@never_cache
def hours(request: PersonRequest) -> HttpResponse:
    """The person's own active time, by day and study."""
    days = own_work.work_days(request.user)
    context = {
        "days": days,
        "seconds": sum(day.active_seconds for day in days),
        "lists": sum(day.lists for day in days),
    }
    return render(request, "annotation/hours.html", context)


@login_required
@require_GET
@never_cache
def hours_file(request: PersonRequest, extension: str) -> HttpResponseBase:
    """The same as a file."""
    export = EXPORT_FORMATS.get(extension)
    if export is None:
        raise Http404("There is no such format.")
    table = own_work.work_days_table(own_work.work_days(request.user))
    return StreamingHttpResponse(
        export.write(table),
        content_type=export.media_type,
        headers={"Content-Disposition": f'attachment; filename="hours.{export.extension}"'},
    )


@researcher_required
@require_http_methods(["GET", "POST"])
def texts(request: PersonRequest, slug: str) -> HttpResponse:
    """Change what the annotators of one of the person's own studies read."""
    found = get_object_or_404(selectors.studies_to_run(request.user), slug=slug)
    form = TextsForm(request.POST or None, initial=selectors.texts_of(found))
    if request.method == "POST" and form.is_valid():
        try:
            changed = consent_services.study_texts_change(study=found, **form.cleaned_data)
        except Invalid as error:
            form.add_error(None, error.message)
        else:
            what = f"Saved as a new version: {' and '.join(changed)}." if changed else "No change."
            messages.success(request, what)
            return redirect("annotation:texts", slug)
    context = {"study": found, "form": form}
    return render(request, "annotation/texts.html", context, status=422 if form.errors else 200)


@login_required
@require_GET
@never_cache
def tutorial(request: PersonRequest) -> HttpResponse:
    """The paper's worked example on the annotation page, with steps beside it."""
    context = {"page": tutorials.tutorial_page(), "tutorial": True}
    return render(request, "annotation/tutorial.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def comparison(request: PersonRequest) -> HttpResponse:
    """The paper's answer to the example, beside the one that was posted; nothing is stored."""
    yours = None
    if request.method == "POST":
        yours = tutorials.answer_read(request.POST.get("answer", ""))
    context = {"comparison": tutorials.compare(yours)}
    return render(request, "annotation/comparison.html", context)


@researcher_required
@require_POST
def change_state(request: PersonRequest, slug: str) -> HttpResponse:
    """Pause, close or re-open one of the person's own studies."""
    found = get_object_or_404(selectors.studies_to_run(request.user), slug=slug)
    services.study_state_change(study=found, state=request.POST.get("state", ""))
    return redirect("home")


def _membership(request: PersonRequest, slug: str) -> Any:
    return get_object_or_404(selectors.studies_to_annotate(request.user), study__slug=slug)


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else -1
