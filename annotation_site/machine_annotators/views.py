"""Views of language models as machine annotators, for a study's researchers."""

import uuid
from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation_site.accounts.models import User
from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.annotation.models import Study
from annotation_site.annotation.selectors import study_of
from annotation_site.errors import Invalid
from annotation_site.machine_annotators import services
from annotation_site.machine_annotators.answerers import Configured, configured
from annotation_site.machine_annotators.exchange_pages import (
    AskedExchanges,
    exchange_rows,
    exchanges_shown,
)
from annotation_site.machine_annotators.forms import LimitsForm, PromptForm, RunForm, has_price
from annotation_site.machine_annotators.messages import DEFAULT_PROMPT
from annotation_site.machine_annotators.models import MachineExchange, MachinePrompt, MachineRun
from annotation_site.machine_annotators.pages import (
    ShownForecast,
    forecast_for,
    limits_needed,
    model_words,
    run_rows,
    run_rows_key,
)
from annotation_site.machine_annotators.selectors import exchanges_of, runs_of_study
from annotation_site.workers.selectors import workers_extracting

PROMPTS_PER_PAGE = 20
EXCHANGES_PER_PAGE = 10
LISTED = "machine_annotators:listed"


@researcher_required
@require_GET
def listed(request: PersonRequest, slug: str) -> HttpResponse:
    """The language model that is set up, and the runs of a study."""
    study = study_of(request.user, slug)
    model = configured()
    version, _ = services.prompt_current(study)
    context = _runs_context(study) | {"model": model, "prompt_version": version}
    if model is not None:
        context |= model_words(model)
    return render(request, "machine_annotators/listed.html", context)


@researcher_required
@require_GET
def status(request: PersonRequest, slug: str) -> HttpResponse:
    """The runs of a study, which refresh themselves, if something is new."""
    context = _runs_context(study_of(request.user, slug))
    if request.GET.get("have") == context["key"]:
        return HttpResponse(status=204)  # htmx leaves the page as it is
    return render(request, "machine_annotators/_runs.html", context)


def _runs_context(study: Study) -> dict[str, Any]:
    rows = run_rows(study)
    unfinished = any(row.run.is_unfinished for row in rows)
    workers = workers_extracting().count() if unfinished else 0
    return {
        "study": study,
        "rows": rows,
        "unfinished": unfinished,
        "workers": workers,
        "key": run_rows_key(rows, workers > 0),
    }


@researcher_required
@require_http_methods(["GET", "POST"])
def prompt(request: PersonRequest, slug: str) -> HttpResponse:
    """Change the prompt of a study's language models, and read its earlier versions."""
    study = study_of(request.user, slug)
    version, text = services.prompt_current(study)
    form = PromptForm(request.POST or None, initial={"text": text, "base": version})
    if request.method == "POST" and form.is_valid():
        try:
            saved = services.prompt_save(study=study, by=request.user, **form.cleaned_data)
        except Invalid as error:
            form.add_error(None, error.message)
        else:
            is_new = saved.version != version
            messages.success(
                request,
                gettext("Saved as a new version.") if is_new else gettext("Nothing changed."),
            )
            return redirect("machine_annotators:prompt", slug)
    versions = MachinePrompt.objects.filter(study=study).order_by("-version")
    page = Paginator(versions, PROMPTS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "study": study,
        "form": form,
        "version": version,
        "page": page,
        "first_text": DEFAULT_PROMPT if not page.has_next() else "",
    }
    return render(
        request, "machine_annotators/prompt.html", context, status=422 if form.errors else 200
    )


@researcher_required
@require_http_methods(["GET", "POST"])
def new(request: PersonRequest, slug: str) -> HttpResponse:
    """Ask for a run: the form, then what would be sent, and only from there the start."""
    study = study_of(request.user, slug)
    model = configured()
    if model is None:
        return render(request, "machine_annotators/new.html", {"study": study})
    form = RunForm(request.POST or None, model=model)
    action = request.POST.get("action", "")
    if request.method == "POST" and form.is_valid() and action in ("forecast", "start"):
        try:
            shown = _forecast(study, request.user, model, form)
            if action == "start" and request.POST.get("shown") == shown.key:
                services.run_request(study=study, by=request.user, **shown.asked, **shown.limits)
                messages.success(
                    request, gettext("A worker begins with the run. This page shows how far it is.")
                )
                return redirect(LISTED, slug)
        except Invalid as error:
            form.add_error(None, error.message)
        else:
            return _forecast_page(request, study, shown, is_stale=action == "start")
    context = {"study": study, "model": model, "form": form}
    refused = bool(form.errors) and action != "change"
    return render(request, "machine_annotators/new.html", context, status=422 if refused else 200)


def _forecast(study: Study, by: User, model: Configured, form: RunForm) -> ShownForecast:
    """The forecast of a valid form; limits that it leaves open are what all lists need.

    Raises Invalid where there is nothing to send.
    """
    asked = form.asked()
    forecast = forecast_for(
        study, by, covers=asked["covers"], most_reply_tokens=asked["most_reply_tokens"]
    )
    needed = limits_needed(forecast)
    limits = {
        name: needed[name] if limit is None else limit for name, limit in form.limits().items()
    }
    return ShownForecast(forecast, model, asked, limits)


def _forecast_page(
    request: PersonRequest, study: Study, shown: ShownForecast, *, is_stale: bool
) -> HttpResponse:
    version, _ = services.prompt_current(study)
    hidden = {name: _sent(value) for name, value in {**shown.asked, **shown.limits}.items()}
    context = {
        "study": study,
        "shown": shown,
        "hidden": hidden,
        "prompt_version": version,
        "is_stale": is_stale,
    }
    return render(
        request, "machine_annotators/forecast.html", context, status=422 if is_stale else 200
    )


def _sent(value: Any) -> str:
    """A value as a form's field has it; nothing for None."""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return "" if value is None else str(value)


@researcher_required
@require_POST
def cancel(request: PersonRequest, slug: str, public_id: uuid.UUID) -> HttpResponse:
    """Cancel a run; the annotations that it has are kept."""
    run = _run(request, slug, public_id)
    services.run_cancel(run=run, by=request.user)
    messages.success(request, gettext("The run is cancelled. The annotations so far are kept."))
    return redirect(LISTED, slug)


@researcher_required
@require_http_methods(["GET", "POST"])
def go_on(request: PersonRequest, slug: str, public_id: uuid.UUID) -> HttpResponse:
    """Continue a run that stopped, with new limits."""
    run = _run(request, slug, public_id)
    limits = {name: _sent(getattr(run, name)) for name in LimitsForm.base_fields}
    model = configured()
    form = LimitsForm(
        request.POST or None,
        initial=limits,
        has_price=model is not None and has_price(model),
        currency=model.currency if model else "",
    )
    if request.method == "POST" and form.is_valid():
        try:
            services.run_continue(run=run, by=request.user, **form.limits())
        except Invalid as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, gettext("The run continues with the lists that are left."))
            return redirect(LISTED, slug)
    context = {
        "study": run.study,
        "run": run,
        "form": form,
        "can_continue": not run.is_unfinished and not run.restored,
    }
    return render(
        request, "machine_annotators/continue.html", context, status=422 if form.errors else 200
    )


@researcher_required
@require_http_methods(["GET", "POST"])
def delete(request: PersonRequest, slug: str, public_id: uuid.UUID) -> HttpResponse:
    """Delete a run, after a page that says what goes with it."""
    run = _run(request, slug, public_id)
    if request.method == "POST":
        services.run_delete(run=run, by=request.user)
        messages.success(request, gettext("The run is deleted."))
        return redirect(LISTED, slug)
    context = {"study": run.study, "run": run, "exchanges": exchanges_of(run).count()}
    return render(request, "machine_annotators/delete.html", context)


@researcher_required
@require_GET
def exchanges(request: PersonRequest, slug: str, public_id: uuid.UUID) -> HttpResponse:
    """The requests and replies of a run that are still kept, list by list, page by page."""
    run = _run(request, slug, public_id)
    asked = AskedExchanges.of(request.GET)
    found = asked.among(exchanges_shown(run, request.user), run.study)
    page = Paginator(found, EXCHANGES_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "study": run.study,
        "run": run,
        "page": page,
        "rows": exchange_rows(run, list(page)),
        "asked": asked,
        "query": asked.query,
        "states": MachineExchange.State.choices,
    }
    return render(request, "machine_annotators/exchanges.html", context)


@researcher_required
@require_http_methods(["GET", "POST"])
def exchanges_remove(request: PersonRequest, slug: str, public_id: uuid.UUID) -> HttpResponse:
    """Delete the requests and replies of a run; its annotations stay."""
    run = _run(request, slug, public_id)
    if request.method == "POST":
        services.exchanges_delete(run=run, by=request.user)
        messages.success(request, gettext("The requests and replies are deleted."))
        return redirect(LISTED, slug)
    context = {"study": run.study, "run": run, "exchanges": exchanges_of(run).count()}
    return render(request, "machine_annotators/exchanges_delete.html", context)


def _run(request: PersonRequest, slug: str, public_id: uuid.UUID) -> MachineRun:
    study = study_of(request.user, slug)
    run = get_object_or_404(runs_of_study(study), public_id=public_id)
    run.study = study
    return run
