"""What researchers do with their studies."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.annotation import consent as consent_services
from annotation_site.annotation import selectors, studies
from annotation_site.annotation.forms import StudyForm, TextsForm
from annotation_site.corpus.selectors import extractions_ready
from annotation_site.errors import Invalid


@researcher_required
def new(request: PersonRequest) -> HttpResponse:
    """The form that makes a study and opens it."""
    form = StudyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            study = studies.study_create(plan=form.plan(), created_by=request.user)
            studies.study_open(study=study)
        except Invalid as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, f"“{study.title}” is open. Its annotators see it now.")
            return redirect("home")
    context = {"form": form, "has_extractions": extractions_ready().exists()}
    return render(request, "annotation/new.html", context, status=422 if form.errors else 200)


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


@researcher_required
@require_POST
def change_state(request: PersonRequest, slug: str) -> HttpResponse:
    """Pause, close or re-open one of the person's own studies."""
    found = get_object_or_404(selectors.studies_to_run(request.user), slug=slug)
    studies.study_state_change(study=found, state=request.POST.get("state", ""))
    return redirect("home")
