"""Views of traces, for researchers and admins."""

import json
import uuid
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation_site import bounds
from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.accounts.throttling import counted
from annotation_site.annotation.review.looks import look_record
from annotation_site.downloads import Download, attachment
from annotation_site.errors import Invalid
from annotation_site.traces import selectors, services
from annotation_site.traces.forms import (
    PromptForm,
    changes_of,
    changes_typed,
    interventions_of,
    look_of,
    query_of,
)
from annotation_site.traces.models import Trace
from annotation_site.traces.page import (
    Seen,
    TracePage,
    interventions_seen_by,
    trace_page,
    trace_seen_by,
)
from annotation_site.workers.selectors import workers_extracting

PER_PAGE = 25


@researcher_required
@require_http_methods(["GET", "POST"])
def listed(request: PersonRequest) -> HttpResponse:
    """The traces that the person may see, newest first, and the form that requests one.

    With `look`, for browsers without scripts, it requests nothing and leads back to the trace with
    what was ticked there.
    """
    models = selectors.traceable_models()
    form = PromptForm(request.POST or None, models=models, initial=_initial(request, models))
    is_refused = False
    if request.method == "POST":
        if "look" in request.POST and (before := _page_before(request)):
            return before
        if form.is_valid():
            try:
                return redirect("traces:trace", _request(request, form, models).public_id)
            except Invalid as error:
                form.add_error(None, error.message)
        is_refused = True
        if before := _page_before(request):
            for said in (text for errors in form.errors.values() for text in errors):
                messages.error(request, str(said))
            return before
    page = Paginator(selectors.traces_of(request.user), PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "form": form,
        "models": models,
        "can_trace": any(not one.refusal for one in models),
        "being_extracted": selectors.being_extracted(),
        "page": page,
        "bounds": _bounds(),
        "form_changes": changes_typed(changes_of(request.POST or request.GET)),
    }
    return render(request, "traces/listed.html", context, status=422 if is_refused else 200)


def _initial(request: PersonRequest, models: Any) -> dict[str, Any]:
    able = [one for one in models if not one.refusal]
    # One with an example comes first: there is something to look at with one click.
    first = next((one for one in able if one.example), able[0] if able else None)
    chosen = next((o for o in able if str(o.model.pk) == request.GET.get("model", "")), first)
    if chosen is None:
        return {}
    prompt = request.GET.get("prompt", "")[: bounds.PROMPT] or chosen.example
    return {"model": chosen.model.pk, "prompt": prompt, "new_tokens": services.NEW_TOKENS}


def _request(request: PersonRequest, form: PromptForm, models: Any) -> Trace:
    chosen = form.cleaned_data
    new_tokens = chosen["new_tokens"]
    return services.trace_request(
        model=next(one.model for one in models if one.model.pk == chosen["model"]),
        prompt=chosen["prompt"],
        position=chosen["position"],
        token_id=chosen["token_id"],
        new_tokens=services.NEW_TOKENS if new_tokens is None else new_tokens,
        interventions=interventions_of(changes_of(request.POST)),
        requested_by=request.user,
    )


def _page_before(request: PersonRequest) -> HttpResponse | None:
    """The way back to the trace from whose page the request came, with what was chosen there."""
    before = request.POST.get("of", "")
    try:
        found = selectors.traces_of(request.user).filter(public_id=uuid.UUID(before)).first()
    except ValueError:
        return None
    if found is None:
        return None
    return redirect(f"{_address(found)}?{_query(request.POST, changes_of(request.POST))}#change")


def _address(trace: Trace) -> str:
    return reverse("traces:trace", args=[trace.public_id])


def _query(data: Any, changes: Any) -> str:
    layer, order = data.get("layer", ""), data.get("order", "")
    plain = f"layer={layer}&" if layer == "all" or layer.isdecimal() else ""
    return f"{plain}order={'push' if order == 'push' else 'size'}&{query_of(changes)}"


def _bounds() -> dict[str, int]:
    return {
        "letters": bounds.PROMPT,
        "tokens": services.MOST_TOKENS,
        "days": settings.TRACE_DAYS,
        "waiting": services.MOST_WAITING,
        "a_day": services.MOST_A_DAY,
    }


@researcher_required
@require_GET
def trace(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """One trace: its place in the queue, why it failed, or what it gave."""
    found = _one(request, public_id)
    seen = trace_seen_by(found, request.user)
    if seen.answer is None:
        context = _common(request, found) | _waiting(request, found)
        return render(request, "traces/trace.html", context)
    shown, context = _shown(request, seen)
    for item in shown.looked_at:
        look_record(item=item, by=request.user)
    response = render(request, "traces/trace.html", context)
    if request.htmx:
        response["HX-Replace-Url"] = f"{_address(found)}?{context['here']}"
    return response


def _shown(request: PersonRequest, seen: Seen) -> tuple[TracePage, dict[str, Any]]:
    found = seen.trace
    stored = interventions_seen_by(found, seen.hidden)
    look = look_of(request.GET, stored)
    shown = trace_page(seen, look)
    changes_query = query_of(look.changes)
    layer = "all" if shown.panel.layer is None else shown.panel.layer
    context = _common(request, found) | {
        "shown": shown,
        "panel": shown.panel,
        "layer": layer,
        "order": look.order,
        "changes_query": changes_query,
        "here": f"layer={layer}&order={look.order}&{changes_query}",
        "changes": [
            (one, query_of([other for other in look.changes if other is not stored_one]))
            for one, stored_one in zip(shown.changes, look.changes, strict=True)
        ],
        "shown_here": ",".join(row.name for row in shown.panel.rows),
    }
    return shown, context


def _common(request: PersonRequest, found: Trace) -> dict[str, Any]:
    models = selectors.traceable_models()
    initial = {
        "prompt": found.prompt,
        "model": found.model_id,
        "new_tokens": found.request.get("new_tokens"),
    }
    return {
        "trace": found,
        "form": PromptForm(models=models, initial=initial),
        "models": models,
        "can_trace": any(not one.refusal for one in models),
        "can_again": any(one.model.pk == found.model_id and not one.refusal for one in models),
        "may_change": services.may_change(found, request.user),
        "bounds": _bounds(),
    }


def _waiting(request: PersonRequest, found: Trace) -> dict[str, Any]:
    return {
        "trace": found,
        "before": selectors.traces_before(found) if found.state == Trace.State.QUEUED else 0,
        "workers": workers_extracting(),
        "may_change": services.may_change(found, request.user),
    }


@researcher_required
@require_GET
def progress(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """The part of a page that refreshes itself until the trace is there."""
    found = _one(request, public_id)
    if not found.is_unfinished:
        response = HttpResponse(status=204)
        response["HX-Refresh"] = "true"
        return response
    return render(request, "traces/_waiting.html", _waiting(request, found))


@researcher_required
@require_POST
def share(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """Show a trace to the team, or take it back."""
    found = _one(request, public_id)
    is_shared = request.POST.get("is_shared") == "1"
    services.trace_share(trace=found, is_shared=is_shared, by=request.user)
    return redirect("traces:trace", public_id)


@researcher_required
@require_POST
def delete(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """Delete a trace; one that waits or runs is cancelled by that."""
    services.trace_delete(trace=_one(request, public_id), by=request.user)
    messages.success(request, gettext("The trace is deleted."))
    return redirect("traces:listed")


@counted
@researcher_required
@require_GET
def json_file(request: PersonRequest, public_id: uuid.UUID) -> HttpResponseBase:
    """The trace as JSON, to save."""
    seen = trace_seen_by(_one(request, public_id), request.user)
    for _, item in seen.labels.looked_at:
        look_record(item=item, by=request.user)
    content = json.dumps(seen.to_json(), ensure_ascii=False, indent=1).encode()
    return attachment(Download(f"trace-{public_id}.json", "application/json", content))


def _one(request: PersonRequest, public_id: uuid.UUID) -> Trace:
    return get_object_or_404(selectors.traces_of(request.user), public_id=public_id)
