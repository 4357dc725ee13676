"""The page of a study's sensitivity, for researchers. It reads a snapshot; workers compute."""

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.annotation.lists.nouns import nouns_of
from annotation_site.annotation.selectors import study_of
from annotation_site.results.pages.filter_words import filter_words
from annotation_site.results.pages.people import Behind
from annotation_site.results.pages.sensitivity import TABLE, sensitivity_page
from annotation_site.results.snapshots import selectors, services
from annotation_site.results.snapshots.selectors import results_state
from annotation_site.results.tables.filters import Filters
from annotation_site.workers.selectors import workers_alive


@researcher_required
@require_GET
def sensitivity(request: PersonRequest, slug: str) -> HttpResponse:
    """Coverage by the smallest pattern, flagged patterns and annotators, of a snapshot."""
    study = study_of(request.user, slug)
    number = request.GET.get("snapshot", "")
    context: dict[str, Any] = {"study": study, "nouns": nouns_of(study.list_source)}
    if number:
        snapshot = selectors.snapshot_of(study, int(number)) if number.isdecimal() else None
        if snapshot is None:
            raise Http404(gettext("These results are no longer kept."))
        snapshot.study = study  # without a query
        context |= {"is_due": False, "has_annotations": True}
    else:
        state = results_state(study)
        snapshot = state.snapshot
        if not state.is_current and state.pending is None and state.has_annotations:
            services.snapshot_request(study=study, filters=Filters.of(study))
        context |= {"is_due": not state.is_current, "has_annotations": state.has_annotations}
    if context["is_due"]:
        context["workers"] = workers_alive().count()
    if snapshot is not None and TABLE in snapshot.tables:
        people = selectors.people_of(study)
        rows = selectors.rows_of(snapshot, TABLE)
        filters = Filters.read(snapshot.filters)
        behind = Behind(study, people, len({row["model"] for row in rows}) > 1)
        context |= {
            "snapshot": snapshot,
            "models": sensitivity_page(
                rows, min_tokens=filters.min_tokens, nouns=context["nouns"], behind=behind
            ),
            "min_tokens": study.min_tokens,
            "has_flags": any(row["stopwords_concepts"] == "with" for row in rows),
            "filter_name": filter_words(filters, study=study, people=people)
            if filters != Filters.of(study)
            else "",
        }
    return render(request, "results/sensitivity.html", context)
