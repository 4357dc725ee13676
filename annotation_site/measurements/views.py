"""Views of measurements, and of a model's page, for researchers and admins."""

import hashlib
import tempfile
import uuid
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation_site import bounds
from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.accounts.throttling import counted
from annotation_site.corpus.corpora import corpora_choices
from annotation_site.corpus.models import LanguageModel
from annotation_site.corpus.selectors import extractions_ready
from annotation_site.downloads import Download, attachment
from annotation_site.errors import Invalid, NotFound
from annotation_site.measurements import pages, selectors, services, tables
from annotation_site.measurements.files import archive_write, download_name
from annotation_site.measurements.forecasts import measurements_forecast
from annotation_site.measurements.forms import ListFilter, MeasurementForm
from annotation_site.measurements.models import Measurement
from annotation_site.measurements.progress import left_of
from annotation_site.workers.selectors import workers_extracting
from ffn_extract.chosen_vectors import place_of
from ffn_extract.measurements import MEASUREMENTS

PER_PAGE = 25
ROWS_PER_PAGE = 100
LINES_ON_PAGE = 12
ON_MODEL_PAGE = 50
MOST_VECTORS = 200  # that the address of a form can name


@researcher_required
@require_GET
def listed(request: PersonRequest) -> HttpResponse:
    """The measurements, newest first, page by page."""
    form = ListFilter(request.GET, models=selectors.measured_models())
    chosen = form.cleaned_data if form.is_valid() else {}
    found = selectors.measurements(model=chosen.get("model"), state=chosen.get("state") or "")
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    rows = pages.rows_of(page)
    model = chosen.get("model")
    query = urlencode(
        {name: value for name, value in (
            ("model", model.pk if model else ""), ("state", chosen.get("state") or ""),
        ) if value}
    )  # fmt: skip
    shown = repr(
        [page.paginator.count, *((r.measurement.pk, r.percent, r.measurement.state) for r in rows)]
    )
    context = {
        "page": page,
        "rows": rows,
        "form": form,
        "query": query,
        "here": f"{query}&page={page.number}",
        "is_filtered": bool(query),
        "can_measure": selectors.measurable_models().exists(),
        "workers": workers_extracting(),
        "unfinished": any(row.measurement.is_unfinished for row in rows),
        "shown": hashlib.sha256(shown.encode()).hexdigest()[:16],
    }
    if request.htmx and request.GET.get("have") == context["shown"]:
        return HttpResponse(status=204)  # htmx leaves the page, and where its reader is, alone
    template = "measurements/_listed.html" if request.htmx else "measurements/listed.html"
    return render(request, template, context)


@researcher_required
@require_GET
def model(request: PersonRequest, number: int) -> HttpResponse:
    """A model: its measurements and its extractions."""
    found = get_object_or_404(LanguageModel, pk=number)
    measured = list(selectors.measurements(model=found)[: ON_MODEL_PAGE + 1])
    context = {
        "model": found,
        "rows": pages.rows_of(measured[:ON_MODEL_PAGE]),
        "unfinished": any(one.is_unfinished for one in measured),
        "more": len(measured) > ON_MODEL_PAGE,
        "can_measure": selectors.measurable_models().filter(pk=number).exists(),
        "extractions": extractions_ready().filter(model=found)[:ON_MODEL_PAGE],
    }
    return render(request, "measurements/model.html", context)


@researcher_required
@require_http_methods(["GET", "POST"])
def new(request: PersonRequest) -> HttpResponse:
    """The form that estimates measurements and enqueues them."""
    models = selectors.measurable_models()
    if not models.exists():
        return render(request, "measurements/new.html")
    form = MeasurementForm(
        request.POST or None,
        models=models,
        corpora=corpora_choices(),
        initial=_initial(request, models),
    )
    wanted = form.wanted()
    refusals = services.refusals(**wanted) if wanted else {}
    if request.POST.get("action") == "enqueue" and form.is_valid() and not refusals:
        try:
            made = services.measurements_enqueue(**form.wanted(), requested_by=request.user)
        except Invalid as error:
            form.add_error(None, error.message)
        else:
            return _enqueued(request, made)
    context: dict[str, Any] = {
        "form": form,
        "model": form.chosen_model,
        "refusals": refusals,
        "forecast": measurements_forecast(**wanted) if wanted and not refusals else None,
        "is_update": bool(request.htmx),
    }
    if request.htmx:
        return render(request, "measurements/_estimate.html", context)
    refused = request.method == "POST" and (form.errors or refusals)
    return render(request, "measurements/new.html", context, status=422 if refused else 200)


def _enqueued(request: PersonRequest, made: list[Measurement]) -> HttpResponse:
    if len(made) == 1:
        return redirect("measurements:measurement", made[0].public_id)
    said = ngettext("%(n)s measurement is queued.", "%(n)s measurements are queued.", len(made))
    messages.success(request, said % {"n": len(made)})
    return redirect("measurements:model", made[0].model_id)


def _initial(request: PersonRequest, models: Any) -> dict[str, Any]:
    """The first values of the form: those of another measurement, or what the address names: a
    model, measurements, and vectors to turn on.
    """
    like = request.GET.get("like", "")
    if like:
        found = _found(request, like)
        if found is not None:
            values = {"model": found.model_id, "names": [found.name], **found.parameters}
            return values | ({"corpus": found.corpus_source} if found.corpus_source else {})
    number = request.GET.get("model", "")
    chosen = models.filter(pk=int(number)).first() if number.isdecimal() else None
    values = {"model": (chosen or models.first()).pk}
    names = [name for name in request.GET.getlist("names") if name in MEASUREMENTS]
    # Those of a named set, as its page names them.
    vectors = request.GET.get("set", "").split(",")[:MOST_VECTORS]
    are_places = all(place_of(word) for word in vectors)
    return (
        values
        | ({"names": names} if names else {})
        | ({"set": ",".join(vectors)} if are_places else {})
    )


@researcher_required
@require_GET
def measurement(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """One measurement: progress and log, and once it is ready its result."""
    return render(request, "measurements/measurement.html", _context(request, public_id))


@researcher_required
@require_GET
def progress(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """The part of a measurement's page that refreshes itself during the run."""
    return render(request, "measurements/progress.html", _context(request, public_id))


@researcher_required
@require_POST
def cancel(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """Cancel a measurement that waits or runs."""
    services.measurement_cancel(measurement=_one(request, public_id), by=request.user)
    return redirect("measurements:measurement", public_id)


@researcher_required
@require_POST
def retry(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """Enqueue a failed or cancelled measurement again."""
    services.measurement_retry(measurement=_one(request, public_id), by=request.user)
    return redirect("measurements:measurement", public_id)


@researcher_required
@require_POST
def rename(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """Give a measurement another title."""
    title = request.POST.get("title", "")[: bounds.TITLE]
    services.measurement_rename(measurement=_one(request, public_id), title=title, by=request.user)
    return redirect("measurements:measurement", public_id)


@researcher_required
@require_POST
def delete(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """Delete a measurement."""
    found = _one(request, public_id)
    services.measurement_delete(measurement=found, by=request.user)
    messages.success(request, gettext("The measurement is deleted."))
    return redirect("measurements:listed")


@researcher_required
@require_GET
def log(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """The whole log of a measurement, as text."""
    lines = selectors.measurement_log(_one(request, public_id))
    text = "".join(f"{line.at:%Y-%m-%d %H:%M:%S} UTC  {line.in_full}\n" for line in reversed(lines))
    return HttpResponse(text, content_type="text/plain; charset=utf-8")


@researcher_required
@require_GET
def table(request: PersonRequest, public_id: uuid.UUID, name: str) -> HttpResponse:
    """A whole table, page by page, with the rows that its keys choose."""
    found = _ready(request, public_id)
    whole = pages.table_of(found, name)
    choices = tables.choices_of(whole)
    given = {choice.name: request.GET.get(choice.name, "") for choice in choices}
    chosen = {choice.name: given[choice.name] for choice in choices if given[choice.name]}
    rows = tables.rows_where(whole, chosen)
    page = Paginator(rows, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "measurement": found,
        "shown": tables.shown(name, whole.columns, list(page), len(rows)),
        "columns": pages.columns_said(whole),
        "choices": choices,
        "chosen": chosen,
        "page": page,
        "query": urlencode(chosen),
    }
    return render(request, "measurements/table.html", context)


@counted
@researcher_required
@require_GET
def file(request: PersonRequest, public_id: uuid.UUID, name: str) -> HttpResponseBase:
    """A file of a measurement, to save."""
    found = _ready(request, public_id)
    there, content = selectors.measurement_file(found, name)
    return attachment(Download(download_name(found, there.name), there.media_type, content))


@counted
@researcher_required
@require_GET
def archive(request: PersonRequest, public_id: uuid.UUID) -> HttpResponseBase:
    """All files of a measurement's folder as a zip."""
    found = _ready(request, public_id)
    file = tempfile.TemporaryFile()  # noqa: SIM115  # the response closes it
    archive_write(found, file)
    file.seek(0)
    return attachment(Download(download_name(found, "all.zip"), "application/zip", file))


@researcher_required
@require_GET
def compare(request: PersonRequest) -> HttpResponse:
    """Two ready measurements of a kind side by side."""
    sides = [_found(request, request.GET.get(name, "")) for name in ("one", "other")]
    one, other = sides
    if one is None or other is None:
        raise Http404(gettext("There is no such measurement."))
    joined = pages.joined_tables(one, other)
    context = {
        "one": one,
        "other": other,
        "sides": [
            {"letter": letter, "measurement": side, "words": pages.words_of(side)}
            for letter, side in (("A", one), ("B", other))
        ],
        "differences": pages.differences(one, other),
        "pairs": pages.chart_pairs(one, other),
        "tables": joined,
    }
    return render(request, "measurements/compare.html", context)


def _found(request: PersonRequest, public_id: str) -> Measurement | None:
    try:
        return _one(request, uuid.UUID(public_id))
    except (ValueError, NotFound):
        return None


def _one(request: PersonRequest, public_id: uuid.UUID) -> Measurement:
    return selectors.measurement_of(public_id, request.user)


def _ready(request: PersonRequest, public_id: uuid.UUID) -> Measurement:
    return selectors.measurement_of(public_id, request.user, state=Measurement.State.READY)


def _context(request: PersonRequest, public_id: uuid.UUID) -> dict[str, Any]:
    found = _one(request, public_id)
    steps = selectors.measurement_steps(found)
    lines = selectors.measurement_log(found, at_most=LINES_ON_PAGE)
    context: dict[str, Any] = {
        "measurement": found,
        "steps": steps if found.is_unfinished or (found.step and not found.is_ready) else [],
        "left": left_of(found, steps, lines),
        "parameters": pages.parameters_of(found),
        "log": lines,
        "may_change": services.may_change(found, request.user),
        "workers": workers_extracting(),
    }
    if found.is_ready:
        files = selectors.measurement_files(found)
        context |= {
            "words": pages.words_of(found),
            "charts": pages.charts_of(found, files),
            "tables": pages.tables_of(found, files),
            "files": files,
            "others": selectors.others_of_kind(found),
        }
    return context
