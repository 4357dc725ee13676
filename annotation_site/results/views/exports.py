"""Views to request and download a study's files."""

import uuid

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods

from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.accounts.throttling import counted
from annotation_site.annotation.models import Study
from annotation_site.annotation.selectors import study_of
from annotation_site.downloads import attachment
from annotation_site.errors import Invalid
from annotation_site.results.files import jobs
from annotation_site.results.files.downloads import export_download, export_lines
from annotation_site.results.forms import ExportForm
from annotation_site.workers.selectors import workers_alive


@researcher_required
@require_http_methods(["GET", "POST"])
def exports(request: PersonRequest, slug: str) -> HttpResponse:
    """The requested files, and the form that requests another."""
    study = study_of(request.user, slug)
    form = ExportForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            jobs.export_request(study=study, by=request.user, **form.cleaned_data)
        except Invalid as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, gettext("A worker is writing the file. It appears below."))
            return redirect("results:exports", slug)
    context = {**_context(study), "form": form, "export_days": settings.EXPORT_DAYS}
    return render(request, "results/exports.html", context, status=422 if form.errors else 200)


@researcher_required
@require_GET
def exports_status(request: PersonRequest, slug: str) -> HttpResponse:
    """The list of files, which refreshes itself while one is being written."""
    return render(request, "results/_exports.html", _context(study_of(request.user, slug)))


@counted
@researcher_required
@require_GET
def export_file(request: PersonRequest, slug: str, public_id: uuid.UUID) -> HttpResponseBase:
    """Download a ready file."""
    study = study_of(request.user, slug)
    job = get_object_or_404(study.exports.select_related("study"), public_id=public_id)
    return attachment(export_download(job=job, by=request.user))


def _context(study: Study) -> dict[str, object]:
    lines = export_lines(study)
    return {
        "study": study,
        "exports": lines,
        "unfinished": any(line.job.is_unfinished for line in lines),
        "workers": workers_alive().count(),
    }
