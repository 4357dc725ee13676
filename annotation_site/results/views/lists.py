"""Views of a study in progress that read results: summary, lists, adjudication and its export."""

from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET

from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.accounts.throttling import counted
from annotation_site.annotation.selectors import study_of
from annotation_site.downloads import attachment
from annotation_site.results.files.adjudicated_export import ADJUDICATED_FORMATS
from annotation_site.results.files.downloads import adjudicated_download
from annotation_site.results.pages import disagreement, summary
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
    """Every list of a study, with annotations, skips and agreement."""
    study = study_of(request.user, slug)
    order = request.GET.get("order", "")
    order = order if order in disagreement.ORDERS else "annotations"
    ranking = disagreement.ranking_of(study)
    ids = disagreement.lists_in_order(study, order, ranking)
    page = Paginator(ids, LISTS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "study": study,
        "order": order,
        "orders": disagreement.ORDERS.items(),
        "ranking": ranking,
        "page": page,
        "rows": disagreement.list_rows(study, list(page), ranking),
        "query": f"order={order}",
    }
    return render(request, "results/lists.html", context)


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
