"""Views of results, for researchers. They read snapshots; workers compute."""

from collections.abc import Mapping
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
from annotation_site.results.pages.filter_words import filter_words
from annotation_site.results.pages.results import page_context
from annotation_site.results.snapshots import selectors, services
from annotation_site.results.snapshots.selectors import Person, ResultsState, results_state
from annotation_site.results.tables.filters import Filters
from annotation_site.workers.selectors import workers_alive


@researcher_required
@require_GET
def results(request: PersonRequest, slug: str) -> HttpResponse:
    """Coverage, agreement, people, lists and figures of a study, under a filter.

    The filter's form comes back as the shortest address of its filter.
    """
    study = study_of(request.user, slug)
    people = selectors.people_of(study)
    form = _form(request, study, people, with_layers=True)
    if not form.is_valid():
        context = {"study": study, "form": form, "sentence": form.sentence()}
        return render(request, "results/results.html", context, status=Invalid.status)
    if form.was_sent:
        return redirect(_address(request, study, form))
    return render(request, "results/results.html", _context(request, study, form, people))


def _address(request: PersonRequest, study: Study, form: FilterForm) -> str:
    """The filter's own page; until its tables are there it shows those that were shown before."""
    query = form.query
    before = request.GET.get("before", "")
    if before.isdecimal() and results_state(study, form.filters()).snapshot is None:
        query = f"{query}&before={int(before)}" if query else f"before={int(before)}"
    page = reverse("results:results", args=[study.slug])
    return f"{page}?{query}" if query else page


@researcher_required
@require_GET
def status(request: PersonRequest, slug: str) -> HttpResponse:
    """The part of the results page that refreshes itself, if there is something new.

    While the tables stay the same, the line above them alone, so that open details stay open.
    """
    study = study_of(request.user, slug)
    people = selectors.people_of(study)
    context = _context(request, study, _valid(_form(request, study, people)), people)
    has_tables, _, has_line = request.GET.get("have", "").partition("~")
    if (has_tables, has_line) == (context["tables_key"], context["line_key"]):
        return HttpResponse(status=204)  # htmx leaves the page as it is
    if has_tables != context["tables_key"]:
        return render(request, "results/_results.html", context)
    response = render(request, "results/_basis.html", context)
    response["HX-Retarget"] = "#basis"
    return response


@researcher_required
@require_POST
def retry(request: PersonRequest, slug: str) -> HttpResponse:
    """Compute failed results again."""
    study = study_of(request.user, slug)
    form = _valid(_form(request, study, selectors.people_of(study)))
    services.snapshot_retry(study=study, filters=form.filters())
    page = reverse("results:results", args=[study.slug])
    return redirect(f"{page}?{form.query}" if form.query else page)


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


def _form(
    request: PersonRequest,
    study: Study,
    people: Mapping[str, Person],
    *,
    with_layers: bool = False,
) -> FilterForm:
    layers = selectors.layers_of(study) if with_layers else None
    return FilterForm(request.GET, study=study, people=people, layers=layers)


def _valid(form: FilterForm) -> FilterForm:
    if not form.is_valid():
        raise Invalid(form.sentence())
    return form


def _snapshot(request: PersonRequest, study: Study) -> Snapshot:
    number = request.GET.get("snapshot", "")
    if number:
        found = selectors.snapshot_of(study, int(number)) if number.isdecimal() else None
        if found is None:
            raise Http404(gettext("These results are no longer kept."))
        return found
    snapshot = results_state(study).snapshot
    if snapshot is None:
        raise Invalid(
            gettext("There are no results yet. They are computed after the first submission.")
        )
    return snapshot


def _has_tables(snapshot: Snapshot | None) -> bool:
    """Whether any annotation counts: training, pilot and the rest of a choice fill no table."""
    if snapshot is None:
        return False
    counted = snapshot.counts.get("annotations", 1) > 0
    return counted or snapshot.filters.get("machine_annotators", False)


def _shown(request: PersonRequest, study: Study, state: ResultsState) -> Snapshot | None:
    """The snapshot that the page shows: of the filter, else the one from before, else of all."""
    if state.snapshot is not None:
        return state.snapshot
    before = request.GET.get("before", "")
    found = selectors.snapshot_of(study, int(before)) if before.isdecimal() else None
    return found or results_state(study).snapshot


def _context(
    request: PersonRequest, study: Study, form: FilterForm, people: Mapping[str, Person]
) -> dict[str, Any]:
    filters = form.filters()
    state = results_state(study, filters)
    lacks_methods = state.is_current and state.snapshot is not None and state.snapshot.lacks_methods
    if lacks_methods or (not state.is_current and state.pending is None):
        services.snapshot_request(study=study, filters=filters)
        state = results_state(study, filters)
    snapshot = _shown(request, study, state)
    workers = workers_alive().count()
    failed = state.pending is not None and state.pending.state == Snapshot.State.FAILED
    drawn = snapshot is not None and services.figures_ready(snapshot=snapshot)
    has_tables = state.has_annotations and _has_tables(snapshot)
    step = state.pending.step_done if state.pending and not failed else 0
    context: dict[str, Any] = {
        "study": study,
        "form": form,
        "is_filtered": filters != Filters.of(study),
        "chosen": filter_words(filters, study=study, people=people),
        "query": form.query,
        "state": state,
        "snapshot": snapshot,
        "is_older_choice": snapshot is not None and snapshot is not state.snapshot,
        "workers": workers,
        "failed": failed,
        "has_tables": has_tables,
        "tables_key": f"{snapshot.pk if snapshot else 0}.{has_tables:d}.{drawn:d}"
        f".{state.has_annotations:d}",
        "line_key": f"{state.is_current:d}.{failed:d}.{workers > 0:d}.{step}",
        "drawn": drawn,
        "undrawable": snapshot is not None and services.is_undrawable(snapshot),
        "formats": list(EXPORT_FORMATS),
    }
    if snapshot is not None:
        snapshot.study = study  # without a query
        of_tables = Filters.read(snapshot.filters)
        context["filter_name"] = filter_words(of_tables, study=study, people=people)
        context["is_part"] = of_tables != Filters.of(study)
        context |= page_context(study, snapshot, people)
    return context
