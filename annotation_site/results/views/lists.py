"""Views of a study in progress that read results: summary, lists, one list, adjudication."""

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.accounts.throttling import counted
from annotation_site.annotation.models import Item, Study
from annotation_site.annotation.review.looks import (
    STILL_BLIND,
    adjudicating,
    has_looked,
    look_record,
)
from annotation_site.annotation.selectors import study_of
from annotation_site.downloads import attachment
from annotation_site.results.files.adjudicated_export import ADJUDICATED_FORMATS
from annotation_site.results.files.downloads import adjudicated_download
from annotation_site.results.forms import ListFilterForm
from annotation_site.results.pages import disagreement, summary
from annotation_site.results.pages import one_list as one_list_page
from annotation_site.results.pages.list_search import (
    ORDERS,
    ListFilters,
    list_rows,
    lists_found,
    models_to_choose,
    people_to_choose,
)
from annotation_site.workers.selectors import workers_alive

LISTS_PER_PAGE = 50
QUEUE_PER_PAGE = 20


@researcher_required
@require_GET
def results_summary(request: PersonRequest, slug: str) -> HttpResponse:
    """Coverage and agreement of the newest snapshot in a few figures, for the progress page."""
    study = study_of(request.user, slug)
    context = {
        "study": study,
        "summary": summary.summary_of(study),
        "workers": workers_alive().exists(),
    }
    return render(request, "results/_summary.html", context)


@researcher_required
@require_GET
def lists(request: PersonRequest, slug: str) -> HttpResponse:
    """The lists of a study that a filter finds, with annotations, skips and agreement."""
    study = study_of(request.user, slug)
    form = _filter_form(request, study)
    ranking = disagreement.ranking_of(study)
    filters = form.filters() if form.is_valid() else None
    ids = lists_found(study, filters, ranking) if filters else []
    page = Paginator(ids, LISTS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "study": study,
        "form": form,
        "filters": filters,
        "ranking": ranking,
        "page": page,
        "rows": list_rows(study, list(page), ranking, filters),
        "query": filters.query if filters else "",
    }
    return render(request, "results/lists.html", context)


@researcher_required
@require_http_methods(["GET", "POST"])
def one_list(request: PersonRequest, slug: str, number: int) -> HttpResponse:
    """One list of a study: entries, and everybody's patterns side by side.

    Somebody who can still adjudicate it blind is asked first; a POST is their yes.
    """
    study = study_of(request.user, slug)
    found = study.items.filter(use=Item.Use.STUDY).select_related("vector__extraction__model")
    item = get_object_or_404(found, pk=number)
    item.study = study
    asked = f"looks:{study.pk}"
    if request.method == "POST":
        look_record(item=item, by=request.user)
        if request.POST.get("all"):
            request.session[asked] = True
        return redirect(request.get_full_path())
    around = _around(request, study, item)
    can = adjudicating(item=item, user=request.user)
    looked = has_looked(item=item, user=request.user)
    if not looked and can in STILL_BLIND and not request.session.get(asked):
        context = {"study": study, "item": item, "can": can.value, **around}
        return render(request, "results/look.html", context)
    look_record(item=item, by=request.user)
    ranking = around["ranking"]
    context = {
        "study": study,
        "shown": one_list_page.list_of(item, ranking),
        "can": can.value,
        **around,
    }
    return render(request, "results/list.html", context)


def _filter_form(request: PersonRequest, study: Study) -> ListFilterForm:
    return ListFilterForm(
        request.GET, study=study, models=models_to_choose(study), people=people_to_choose(study)
    )


def _around(request: PersonRequest, study: Study, item: Item) -> dict[str, Any]:
    """Where the list stands in the order and filter of the address, and its neighbours."""
    form = _filter_form(request, study)
    filters = form.filters() if form.is_valid() else ListFilters()
    ranking = disagreement.ranking_of(study)
    ids = lists_found(study, filters, ranking)
    place = ids.index(item.pk) if item.pk in ids else None
    return {
        "ranking": ranking,
        "query": filters.query,
        "is_filtered": filters.is_filtered,
        "order": ORDERS[filters.order],
        "place": None if place is None else place + 1,
        "total": len(ids),
        "previous": ids[place - 1] if place else None,
        "next": ids[place + 1] if place is not None and place + 1 < len(ids) else None,
    }


@researcher_required
@require_GET
def adjudication(request: PersonRequest, slug: str) -> HttpResponse:
    """The adjudication queue, lowest agreement first; blind."""
    study = study_of(request.user, slug)
    queue = disagreement.adjudication_queue(study)
    decided, undecided = queue.decided, queue.undecided
    show = "decided" if request.GET.get("show") == "decided" else "undecided"
    wanted = decided if show == "decided" else undecided
    page = Paginator(wanted, QUEUE_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "study": study,
        "queue": queue,
        "decided": len(decided),
        "undecided": len(undecided),
        "show": show,
        "page": page,
        "rows": disagreement.queue_rows(study, queue, list(page)),
        "query": f"show={show}",
        "formats": list(ADJUDICATED_FORMATS),
    }
    return render(request, "results/adjudication.html", context)


@counted
@researcher_required
@require_GET
def adjudicated_file(request: PersonRequest, slug: str, extension: str) -> HttpResponseBase:
    """The study's adjudicated annotations as a file of their own."""
    study = study_of(request.user, slug)
    return attachment(adjudicated_download(study=study, extension=extension))
