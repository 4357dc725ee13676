"""View of the reference annotations of training and silent reference lists."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.annotation import selectors
from annotation_site.annotation.review import adjudicated_annotations
from annotation_site.annotation.review.training import silent_scores_waiting
from annotation_site.annotation.studies.plans import is_frozen
from annotation_site.workers.selectors import workers_alive


@researcher_required
@require_http_methods(["GET", "POST"])
def references(request: PersonRequest, slug: str) -> HttpResponse:
    """The study's training and reference lists; posting one opens its reference annotation."""
    study = selectors.study_of(request.user, slug)
    if request.method == "POST":
        number = request.POST.get("list", "")
        items = study.items.filter(use__in=adjudicated_annotations.WITH_REFERENCE)
        known = number.isascii() and number.isdecimal() and len(number) < 10
        item = get_object_or_404(items, pk=int(number) if known else 0)
        answer = adjudicated_annotations.adjudicated_annotation_open(item=item, by=request.user)
        return redirect("annotation:list", answer.public_id)
    found = adjudicated_annotations.references_of(study)
    waiting = silent_scores_waiting(study)
    context = {
        "study": study,
        "references": found,
        "frozen": not found and is_frozen(study),
        "missing": sum(not reference.is_annotated for reference in found),
        "scores_waiting": waiting,
        "workers": bool(waiting) and workers_alive().exists(),
    }
    return render(request, "annotation/references.html", context)
