"""Pages of results, for researchers. They read snapshots; workers compute."""

from django.http import (
    Http404,
    HttpResponse,
    HttpResponseBase,
    StreamingHttpResponse,
)
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from annotation_site.accounts import audit
from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.annotation.models import Study
from annotation_site.annotation.selectors import studies_to_run
from annotation_site.errors import Invalid
from annotation_site.exports import EXPORT_FORMATS
from annotation_site.results import selectors
from annotation_site.results.models import Snapshot
from annotation_site.results.services import snapshot_refresh_soon, snapshot_request
from annotation_site.workers.selectors import workers_alive


@researcher_required
@require_GET
def results(request: PersonRequest, slug: str) -> HttpResponse:
    """Coverage of a study: by kind and category, and across layers."""
    return render(request, "results/results.html", _context(request, slug))


@researcher_required
@require_GET
def status(request: PersonRequest, slug: str) -> HttpResponse:
    """The part of the results page that renews itself, when there is something new to show."""
    context = _context(request, slug)
    if request.GET.get("have") == context["shown"]:
        return HttpResponse(status=204)  # htmx leaves the page as it is, open details and all
    return render(request, "results/_results.html", context)


@researcher_required
@require_GET
def download(request: PersonRequest, slug: str, table: str, extension: str) -> HttpResponseBase:
    """A table of the newest snapshot as a file."""
    study, snapshot = _ready(request, slug)
    export = EXPORT_FORMATS.get(extension)
    if export is None or table not in snapshot.tables:
        raise Http404("There is no such table or format.")
    audit.record("exported", target=study, table=table, format=extension)
    body = export.write(selectors.table_of(snapshot, table))
    return StreamingHttpResponse(
        body,
        content_type=export.media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{study.slug}-{table}.{export.extension}"'
        },
    )


@researcher_required
@require_GET
def figure(request: PersonRequest, slug: str, number: int, variant: str) -> HttpResponse:
    """A figure of the newest snapshot as SVG; `number` counts the study's models from 0.

    Variants are wide or narrow, light or dark: "narrow-dark".
    """
    _, snapshot = _ready(request, slug)
    figures = list(snapshot.figures.values())
    if number >= len(figures) or variant not in figures[number] or variant == "alt":
        raise Http404("There is no such figure.")
    return HttpResponse(figures[number][variant], content_type="image/svg+xml")


def _own_study(request: PersonRequest, slug: str) -> Study:
    return get_object_or_404(studies_to_run(request.user), slug=slug)


def _ready(request: PersonRequest, slug: str) -> tuple[Study, Snapshot]:
    study = _own_study(request, slug)
    snapshot = selectors.results_state(study).snapshot
    if snapshot is None:
        raise Invalid("There are no results yet. They are computed after the first submission.")
    return study, snapshot


def _context(request: PersonRequest, slug: str) -> dict[str, object]:
    study = _own_study(request, slug)
    state = selectors.results_state(study)
    if state.has_answers and not state.is_current and state.pending is None:
        snapshot_request(study=study)
        snapshot_refresh_soon(study_id=study.pk)
    workers = workers_alive().count()
    failed = state.pending is not None and state.pending.state == Snapshot.State.FAILED
    newest = state.snapshot.pk if state.snapshot else 0
    context: dict[str, object] = {
        "study": study,
        "state": state,
        "workers": workers,
        "failed": failed,
        "shown": f"{newest}.{state.is_current:d}.{state.has_answers:d}.{failed:d}.{workers > 0:d}",
    }
    if state.snapshot:
        context |= selectors.results_tables(study, state.snapshot)
    return context
