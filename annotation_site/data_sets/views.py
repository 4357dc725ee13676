"""Views of a study's data sets, for its researchers: ask for one, cancel, download."""

import uuid

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.accounts.throttling import counted
from annotation_site.annotation.models import Study
from annotation_site.annotation.selectors import study_of
from annotation_site.data_sets import services
from annotation_site.data_sets.forms import DataSetForm
from annotation_site.data_sets.selectors import data_set_download, data_set_lines
from annotation_site.downloads import attachment
from annotation_site.errors import Invalid
from annotation_site.workers.selectors import workers_alive


@researcher_required
@require_http_methods(["GET", "POST"])
def data_set(request: PersonRequest, slug: str) -> HttpResponse:
    """The study's data sets, and the form that asks for another, or why there can be none."""
    study = study_of(request.user, slug)
    form = DataSetForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            services.data_set_request(study=study, by=request.user, **form.choices())
        except Invalid as error:
            form.add_error(None, error.message)
        else:
            messages.success(
                request, gettext("A worker is writing the data set. It appears below.")
            )
            return redirect("data_sets:data_set", slug)
    context = {
        **_context(study),
        "form": form,
        "problem": services.problem_of(study, reader=request.user),
        "export_days": settings.EXPORT_DAYS,
    }
    return render(request, "data_sets/data_set.html", context, status=422 if form.errors else 200)


@researcher_required
@require_GET
def status(request: PersonRequest, slug: str) -> HttpResponse:
    """The list of data sets, which refreshes itself while one is being written."""
    return render(request, "data_sets/_data_sets.html", _context(study_of(request.user, slug)))


@researcher_required
@require_POST
def cancel(request: PersonRequest, slug: str, public_id: uuid.UUID) -> HttpResponse:
    """Cancel a data set that is not written."""
    study = study_of(request.user, slug)
    row = get_object_or_404(study.data_sets, public_id=public_id)
    services.data_set_cancel(data_set=row, by=request.user)
    return redirect("data_sets:data_set", slug)


@counted
@researcher_required
@require_GET
def file(request: PersonRequest, slug: str, public_id: uuid.UUID) -> HttpResponseBase:
    """Download a ready data set."""
    study = study_of(request.user, slug)
    row = get_object_or_404(study.data_sets.select_related("study"), public_id=public_id)
    return attachment(data_set_download(data_set=row, by=request.user))


def _context(study: Study) -> dict[str, object]:
    lines = data_set_lines(study)
    return {
        "study": study,
        "data_sets": lines,
        "unfinished": any(line.row.is_unfinished for line in lines),
        "workers": workers_alive().count(),
    }
