"""Views of results, for researchers. They read snapshots; workers compute."""

from typing import Any

from django.http import (
    Http404,
    HttpResponse,
    HttpResponseBase,
)
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.accounts.throttling import counted
from annotation_site.annotation.models import Study
from annotation_site.annotation.selectors import study_of
from annotation_site.downloads import Download, attachment
from annotation_site.errors import Invalid
from annotation_site.exports import EXPORT_FORMATS
from annotation_site.results.figures.files import TYPES
from annotation_site.results.files.downloads import table_download
from annotation_site.results.forms import FilterForm
from annotation_site.results.models import Snapshot
from annotation_site.results.pages.results import page_context
from annotation_site.results.snapshots import selectors, services
from annotation_site.results.tables.filters import Filters
from annotation_site.workers.selectors import workers_alive

_NOT_FILTERS = ("have", "snapshot", "paper")  # in an address beside the filter


@researcher_required
@require_GET
def results(request: PersonRequest, slug: str) -> HttpResponse:
    """Coverage, agreement, people, lists and figures of a study, under a filter."""
    study = study_of(request.user, slug)
    form = _form(request, study)
    if not form.is_valid():
        context = {"study": study, "form": form, "sentence": form.sentence()}
        return render(request, "results/results.html", context, status=Invalid.status)
    return render(request, "results/results.html", _context(request, study, form))


@researcher_required
@require_GET
def status(request: PersonRequest, slug: str) -> HttpResponse:
    """The part of the results page that refreshes itself, if there is something new."""
    study = study_of(request.user, slug)
    context = _context(request, study, _valid(_form(request, study)))
    if request.GET.get("have") == context["shown"]:
        return HttpResponse(status=204)  # htmx leaves the page as it is, open details and all
    return render(request, "results/_results.html", context)


@researcher_required
@require_POST
def retry(request: PersonRequest, slug: str) -> HttpResponse:
    """Compute failed results again."""
    study = study_of(request.user, slug)
    services.snapshot_retry(study=study, filters=_valid(_form(request, study)).filters())
    page = reverse("results:results", args=[study.slug])
    return redirect(f"{page}?{_query(request)}" if _query(request) else page)


@counted
@researcher_required
@require_GET
def download(request: PersonRequest, slug: str, table: str, extension: str) -> HttpResponseBase:
    """A table of the study's newest results, or of the given snapshot, as a file."""
    study = study_of(request.user, slug)
    snapshot = _snapshot(request, study)
    return attachment(
        table_download(study=study, snapshot=snapshot, table=table, extension=extension)
    )


@researcher_required
@require_GET
def figure(request: PersonRequest, slug: str, name: str, extension: str) -> HttpResponseBase:
    """A figure of the newest results, or of the given snapshot."""
    study = study_of(request.user, slug)
    snapshot = _snapshot(request, study)
    try:
        file = services.figure_file(snapshot=snapshot, name=name, extension=extension)
    except services.BeingDrawn:
        page = render(request, "results/drawing.html", {"study": study}, status=202)
        page["Refresh"] = "2"  # what comes then is a download, at which the page stays
        return page
    if extension == "svg":
        return HttpResponse(file, content_type=TYPES[extension])
    return attachment(Download(f"{study.slug}-{name}.{extension}", TYPES[extension], file))


def _form(request: PersonRequest, study: Study) -> FilterForm:
    return FilterForm(request.GET, study=study, people=selectors.people_of(study))


def _valid(form: FilterForm) -> FilterForm:
    if not form.is_valid():
        raise Invalid(form.sentence())
    return form


def _query(request: PersonRequest) -> str:
    """The choices of an address, and nothing else."""
    chosen = request.GET.copy()
    for name in _NOT_FILTERS:
        chosen.pop(name, None)
    return chosen.urlencode()


def _snapshot(request: PersonRequest, study: Study) -> Snapshot:
    number = request.GET.get("snapshot", "")
    if number:
        found = selectors.snapshot_of(study, int(number)) if number.isdecimal() else None
        if found is None:
            raise Http404(gettext("These results are no longer kept."))
        return found
    snapshot = selectors.results_state(study).snapshot
    if snapshot is None:
        raise Invalid(
            gettext("There are no results yet. They are computed after the first submission.")
        )
    return snapshot


def _has_tables(state: selectors.ResultsState) -> bool:
    """Whether any answer counts: training, pilot and the rest of a choice fill no table."""
    if state.snapshot is None:
        return state.has_annotations
    counted = state.snapshot.counts.get("annotations", 1) > 0
    return state.has_annotations and (
        counted or state.snapshot.filters.get("machine_annotators", False)
    )


def _context(request: PersonRequest, study: Study, form: FilterForm) -> dict[str, Any]:
    filters = form.filters()
    state = selectors.results_state(study, filters)
    if not state.is_current and state.pending is None:
        services.snapshot_request(study=study, filters=filters)
        state = selectors.results_state(study, filters)
    workers = workers_alive().count()
    failed = state.pending is not None and state.pending.state == Snapshot.State.FAILED
    newest = state.snapshot.pk if state.snapshot else 0
    drawn = state.snapshot is not None and services.figures_ready(snapshot=state.snapshot)
    step = state.pending.step_done if state.pending and not failed else 0
    context: dict[str, Any] = {
        "study": study,
        "form": form,
        "filters": filters,
        "is_filtered": filters != Filters.of(study),
        "chosen": form.in_words(),
        "query": _query(request),
        "paper": request.GET.get("paper") != "off",
        "state": state,
        "workers": workers,
        "failed": failed,
        "has_tables": _has_tables(state),
        "shown": f"{newest}.{state.is_current:d}.{state.has_annotations:d}.{failed:d}."
        f"{workers > 0:d}.{step}.{drawn:d}",
        "drawn": drawn,
        "undrawable": state.snapshot is not None and services.is_undrawable(state.snapshot),
        "formats": list(EXPORT_FORMATS),
    }
    if state.snapshot:
        context |= page_context(study, state.snapshot, paper=context["paper"])
    return context
