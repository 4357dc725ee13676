"""Views of estimates for all value vectors, and of the proxies that they use, for researchers."""

import hashlib
import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.annotation.models import Study
from annotation_site.annotation.selectors import study_of
from annotation_site.proxies.selectors import ProxyOfStudy, proxies_of_study, runs_of_study
from annotation_site.proxies.services import may_change, proxy_cancel, study_proxy_request
from annotation_site.results.models import Snapshot
from annotation_site.results.pages.estimates import estimates_shown
from annotation_site.results.snapshots.selectors import ResultsState, figures_of, results_state
from annotation_site.results.snapshots.services import (
    figures_ready,
    is_undrawable,
    snapshot_request,
)
from annotation_site.workers.selectors import workers_alive, workers_extracting

FIGURE = "estimates-across-layers"


@researcher_required
@require_GET
def estimates(request: PersonRequest, slug: str) -> HttpResponse:
    """Estimates of a study for all value vectors, and the proxies that are known."""
    study = study_of(request.user, slug)
    return render(request, "results/estimates.html", _context(request, study))


@researcher_required
@require_GET
def estimates_status(request: PersonRequest, slug: str) -> HttpResponse:
    """The part of the page that refreshes itself while something is computed, if it is new."""
    context = _context(request, study_of(request.user, slug))
    if request.GET.get("have") == context["key"]:
        return HttpResponse(status=204)  # htmx leaves the page as it is
    return render(request, "results/_estimates.html", context)


@researcher_required
@require_POST
def compute(request: PersonRequest, slug: str) -> HttpResponse:
    """Ask for a proxy of every value vector of the study's models."""
    study = study_of(request.user, slug)
    study_proxy_request(study=study, proxy=request.POST.get("proxy", ""), by=request.user)
    messages.success(request, gettext("A worker computes the proxy. The page shows how far it is."))
    return redirect("results:estimates", slug)


@researcher_required
@require_POST
def cancel(request: PersonRequest, slug: str, public_id: uuid.UUID) -> HttpResponse:
    """Cancel the computation of a proxy."""
    study = study_of(request.user, slug)
    run = get_object_or_404(runs_of_study(study), public_id=public_id)
    proxy_cancel(run=run, by=request.user)
    messages.success(request, gettext("The computation is cancelled. What is done is kept."))
    return redirect("results:estimates", slug)


def _context(request: PersonRequest, study: Study) -> dict[str, Any]:
    proxies = proxies_of_study(study)
    state = results_state(study)
    if state.has_annotations and not state.is_current and state.pending is None:
        snapshot_request(study=study)
        state = results_state(study)
    snapshot = state.snapshot
    failed = state.pending is not None and state.pending.state == Snapshot.State.FAILED
    drawn = snapshot is not None and figures_ready(snapshot=snapshot)
    pending = state.has_annotations and not (state.is_current and drawn) and not failed
    unfinished = any(one.is_unfinished for one in proxies)
    context: dict[str, Any] = {
        "study": study,
        "proxies": proxies,
        "may_cancel": _may_cancel(request, proxies),
        "state": state,
        "snapshot": snapshot,
        "failed": failed,
        "drawn": drawn,
        "undrawable": snapshot is not None and is_undrawable(snapshot),
        "unfinished": unfinished,
        "waits": unfinished or (pending and bool(proxies)),
        "workers": (workers_extracting() if unfinished else workers_alive()).count(),
    }
    if snapshot is not None and proxies:
        snapshot.study = study  # without a query
        context |= {
            "shown": estimates_shown(snapshot, study),
            "figures": [f for f in figures_of(snapshot) if f["name"].startswith(FIGURE)],
        }
    return context | {"key": _key(proxies, state, context)}


def _may_cancel(request: PersonRequest, proxies: list[ProxyOfStudy]) -> set[uuid.UUID]:
    """The runs that the person can cancel now."""
    runs = [one.run for proxy in proxies for one in proxy.of_models if one.run is not None]
    return {run.public_id for run in runs if run.is_unfinished and may_change(run, request.user)}


def _key(proxies: list[ProxyOfStudy], state: ResultsState, context: dict[str, Any]) -> str:
    """A digest of what the page shows, so that a status is sent only where it is new."""
    runs = [(one.state, one.run.percent if one.run else 0) for p in proxies for one in p.of_models]
    snapshot = state.snapshot.pk if state.snapshot else 0
    flags = [context[name] for name in ("failed", "drawn", "waits")]
    shown = repr((runs, snapshot, state.is_current, flags, context["workers"] > 0))
    return hashlib.sha256(shown.encode()).hexdigest()[:16]
