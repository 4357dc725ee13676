"""Pages about models and extractions, for admins."""

import hashlib
import uuid

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from annotation_site.accounts.permissions import PersonRequest, admin_required
from annotation_site.corpus import selectors, services
from annotation_site.corpus.browsing import vectors_page
from annotation_site.corpus.forms import EnqueueForm, VectorFilter
from annotation_site.corpus.models import Extraction
from annotation_site.errors import Invalid
from annotation_site.workers.selectors import workers_extracting


@admin_required
@require_GET
def models(request: PersonRequest) -> HttpResponse:
    """All extractions and who works on them."""
    extractions = list(selectors.extractions())
    workers = workers_extracting().count()
    shown = repr([workers > 0, *((e.pk, e.state, e.same_as_id) for e in extractions)])
    context = {
        "extractions": extractions,
        "workers": workers,
        "unfinished": any(extraction.is_unfinished for extraction in extractions),
        "shown": hashlib.sha256(shown.encode()).hexdigest()[:16],
    }
    if request.htmx and request.GET.get("have") == context["shown"]:
        return HttpResponse(status=204)  # htmx leaves the page, and where its reader is, alone
    template = "corpus/_extractions.html" if request.htmx else "corpus/models.html"
    return render(request, template, context)


@admin_required
def enqueue(request: PersonRequest) -> HttpResponse:
    """The form that enqueues a model."""
    local_models = selectors.local_models()
    form = EnqueueForm(request.POST or None, local_models=local_models)
    if request.method == "POST" and form.is_valid():
        try:
            extraction = services.extraction_enqueue(
                model_source=form.cleaned_data["model"],
                options=form.cleaned_data["options"],
                requested_by=request.user,
            )
        except Invalid as error:
            form.add_error("model", error.message)
        else:
            return redirect("corpus:extraction", extraction.public_id)
    context = {"form": form, "local_models": local_models}
    return render(request, "corpus/enqueue.html", context, status=422 if form.errors else 200)


@admin_required
@require_GET
def extraction(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """One extraction: steps, parameters, digests."""
    return render(request, "corpus/extraction.html", _context(public_id))


@admin_required
@require_GET
def progress(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """The part of the page above that renews itself while the run goes on."""
    return render(request, "corpus/progress.html", _context(public_id))


@admin_required
@require_POST
def cancel(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """End an extraction that waits or runs."""
    services.extraction_cancel(extraction=get_object_or_404(Extraction, public_id=public_id))
    return redirect("corpus:extraction", public_id)


@admin_required
@require_POST
def retry(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """Queue a failed or cancelled extraction again."""
    services.extraction_retry(extraction=get_object_or_404(Extraction, public_id=public_id))
    return redirect("corpus:extraction", public_id)


@admin_required
@require_POST
def delete(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """Delete an extraction that nobody uses."""
    services.extraction_delete(extraction=get_object_or_404(Extraction, public_id=public_id))
    return redirect("corpus:models")


@admin_required
@require_GET
def vectors(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """An extraction's vectors by layer, or those with a token in their list."""
    found = get_object_or_404(selectors.extractions_ready(), public_id=public_id)
    form = VectorFilter(request.GET)
    context: dict[str, object] = {"extraction": found, "form": form}
    if form.is_valid():
        wanted = form.cleaned_data
        context["word"] = wanted["token"]
        context["page"] = vectors_page(
            found,
            kind=wanted["kind"],
            layer=wanted["layer"],
            word=wanted["token"],
            number=wanted["page"] or 1,
        )
    status = 200 if form.is_valid() else 422
    return render(request, "corpus/vectors.html", context, status=status)


def _context(public_id: uuid.UUID) -> dict[str, object]:
    found = get_object_or_404(selectors.extractions(), public_id=public_id)
    return {
        "extraction": found,
        "steps": selectors.extraction_steps(found),
        "layers": selectors.layers_state(found),
        "workers": workers_extracting().count(),
    }
