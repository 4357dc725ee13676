"""Views of models and extractions, for admins."""

import hashlib
import uuid
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation_site import bounds
from annotation_site.accounts.permissions import (
    PersonRequest,
    admin_required,
    researcher_required,
)
from annotation_site.corpus import corpora, forecasts, importing, locations, selectors, services
from annotation_site.corpus.forms import CorpusForm, EnqueueForm, ExtractionFilter
from annotation_site.corpus.health import health
from annotation_site.corpus.models import Corpus, Extraction
from annotation_site.corpus.receiving import BundleUploadHandler, DiskUploadHandler, ReceivedFile
from annotation_site.corpus.time_left import extractions_left
from annotation_site.corpus.titles import (
    TitleTaken,
    extraction_rename,
    title_checked,
    title_free,
    title_of,
)
from annotation_site.downloads import Download, attachment
from annotation_site.errors import Invalid
from annotation_site.workers.selectors import workers_extracting

PER_PAGE = 25
LINES_ON_PAGE = 12


@admin_required
@require_GET
def models(request: PersonRequest) -> HttpResponse:
    """The extractions, page by page, with their workers."""
    form = ExtractionFilter(request.GET)
    state = form.cleaned_data["state"] if form.is_valid() else ""
    found = selectors.extractions(state=state)
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    workers = health()
    # The number of all too: it tells whether there is a further page.
    count = page.paginator.count
    shown = repr([workers.shown, count, *((e.pk, e.state, e.same_as_id) for e in page)])
    query = urlencode({"state": state}) if state else ""
    context = {
        "page": page,
        "query": query,
        "here": f"{query}&page={page.number}",
        "form": form,
        "state": state,
        "health": workers,
        "workers": workers.extracting,
        "unfinished": any(extraction.is_unfinished for extraction in page),
        "shown": hashlib.sha256(shown.encode()).hexdigest()[:16],
    }
    if request.htmx and request.GET.get("have") == context["shown"]:
        return HttpResponse(status=204)  # htmx leaves the page, and where its reader is, alone
    template = "corpus/_extractions.html" if request.htmx else "corpus/models.html"
    return render(request, template, context)


@admin_required
@require_http_methods(["GET", "POST"])
def enqueue(request: PersonRequest) -> HttpResponse:
    """The form that estimates an extraction, and then enqueues it.

    The main button is the next step: the estimate, then enqueueing what was estimated. A model
    that cannot be found has none.
    """
    form = EnqueueForm(
        request.POST or None,
        local_models=locations.local_models(),
        corpora=corpora.corpora_choices(),
        known_models=selectors.hub_models_known(),
    )
    context: dict[str, object] = {"form": form}
    if request.method == "POST" and form.is_valid():
        wanted = {
            "model_source": form.cleaned_data["model"],
            "options": form.cleaned_data["options"],
        }
        try:
            if "estimate" in request.POST:
                if title := form.cleaned_data["title"]:
                    title_checked(title)
                context["forecast"] = forecasts.extraction_forecast(**wanted)
                context["title"] = title or title_free(
                    title_of(wanted["model_source"], wanted["options"].to_json())
                )
            else:
                found = services.extraction_enqueue(
                    **wanted, title=form.cleaned_data["title"], requested_by=request.user
                )
                return redirect("corpus:extraction", found.public_id)
        except TitleTaken as error:
            form.add_error("title", error.message)
        except Invalid as error:
            form.add_error("model", error.message)
    return render(request, "corpus/enqueue.html", context, status=422 if form.errors else 200)


# The token comes with the files, so it is checked once somebody who may send files has sent them.
@csrf_exempt
@admin_required
@require_http_methods(["GET", "POST"])
def import_bundle(request: PersonRequest) -> HttpResponse:
    """The form that uploads a bundle from elsewhere."""
    handler = BundleUploadHandler(request)
    request.upload_handlers = [handler]
    try:
        return _import_bundle(request, handler)
    finally:
        handler.discard()


@csrf_protect
def _import_bundle(request: PersonRequest, handler: BundleUploadHandler) -> HttpResponse:
    error = ""
    if request.method == "POST":
        received = [f for f in request.FILES.getlist("files") if isinstance(f, ReceivedFile)]
        try:
            if handler.refused:
                raise Invalid(handler.refused)
            files = {str(file.name): file.path for file in received}
            with importing.upload_staged(files=files) as upload:
                found, _ = importing.upload_take(upload=upload, by=request.user)
        except Invalid as refused:
            error = refused.message
        else:
            return redirect("corpus:extraction", found.public_id)
    context = {"error": error, "max_bytes": settings.MAX_BUNDLE_BYTES}
    return render(request, "corpus/import.html", context, status=422 if error else 200)


@admin_required
@require_GET
def extraction(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """One extraction: steps, parameters, digests."""
    return render(request, "corpus/extraction.html", _context(public_id))


@admin_required
@require_GET
def progress(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """The part of the extraction's page that refreshes itself during the run."""
    return render(request, "corpus/progress.html", _context(public_id))


@admin_required
@require_POST
def cancel(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """Cancel an extraction that waits or runs."""
    services.extraction_cancel(extraction=_one(public_id), by=request.user)
    return redirect("corpus:extraction", public_id)


@admin_required
@require_POST
def retry(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """Enqueue a failed or cancelled extraction again."""
    services.extraction_retry(extraction=_one(public_id), by=request.user)
    return redirect("corpus:extraction", public_id)


@admin_required
@require_POST
def rename(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """Give an extraction another title."""
    title = request.POST.get("title", "")[: bounds.TITLE]
    extraction_rename(extraction=_one(public_id), title=title, by=request.user)
    return redirect("corpus:extraction", public_id)


@admin_required
@require_POST
def delete(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """Delete an unused extraction."""
    services.extraction_delete(extraction=_one(public_id))
    return redirect("corpus:models")


@admin_required
@require_GET
def log(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """The whole log of an extraction, as text."""
    lines = selectors.extraction_log(_one(public_id))
    text = "".join(f"{line.at:%Y-%m-%d %H:%M:%S} UTC  {line.in_full}\n" for line in reversed(lines))
    return HttpResponse(text, content_type="text/plain; charset=utf-8")


@admin_required
@require_GET
def manifest(request: PersonRequest, public_id: uuid.UUID) -> HttpResponseBase:
    """The manifest of the loaded bundle."""
    found = _one(public_id)
    if not found.manifest:
        raise Http404
    name = f"manifest-{public_id}.json"
    return attachment(Download(name, "application/json", found.manifest.encode()))


# As in `import_bundle`: the token comes with the file.
@csrf_exempt
@researcher_required
@require_http_methods(["GET", "POST"])
def corpora_page(request: PersonRequest) -> HttpResponse:
    """The corpora, and the form that uploads one."""
    handler = DiskUploadHandler(request, most_bytes=corpora.MOST_BYTES)
    request.upload_handlers = [handler]
    try:
        return _corpora_page(request, handler)
    finally:
        handler.discard()


@csrf_protect
def _corpora_page(request: PersonRequest, handler: DiskUploadHandler) -> HttpResponse:
    form = CorpusForm(request.POST or None)
    error = ""
    if request.method == "POST":
        received = request.FILES.get("file")
        path = received.path if isinstance(received, ReceivedFile) else None
        error = handler.refused or ("" if path else gettext("Choose a file."))
        if form.is_valid() and path and not error:
            try:
                corpora.corpus_add(path=path, by=request.user, **form.cleaned_data)
            except Invalid as refused:
                error = refused.message
            else:
                messages.success(
                    request,
                    gettext("The corpus is uploaded. Choose it for a model or a measurement."),
                )
                return redirect("corpus:corpora")
    context = {
        "corpora": corpora.corpora_shown(request.user),
        "files": locations.local_corpora() if request.user.is_admin else [],
        "form": form,
        "error": error,
        "most_bytes": corpora.MOST_BYTES,
        "most_sentences": corpora.MOST_SENTENCES,
        "most_characters": bounds.SENTENCE,
    }
    status = 422 if error or form.errors else 200
    return render(request, "corpus/corpora.html", context, status=status)


@researcher_required
@require_POST
def corpus_delete(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """Delete a corpus."""
    corpus = get_object_or_404(Corpus, public_id=public_id)
    try:
        corpora.corpus_delete(corpus=corpus, by=request.user)
    except Invalid as refused:
        messages.error(request, refused.message)
    return redirect("corpus:corpora")


def _one(public_id: uuid.UUID) -> Extraction:
    return get_object_or_404(Extraction, public_id=public_id)


def _context(public_id: uuid.UUID) -> dict[str, object]:
    found = get_object_or_404(selectors.extractions(), public_id=public_id)
    left = extractions_left() if found.is_unfinished else []
    return {
        "extraction": found,
        "steps": selectors.extraction_steps(found),
        "layers": selectors.layers_state(found),
        "left": next((one for one in left if one.extraction.pk == found.pk), None),
        **selectors.what_was_read(found),
        "log": selectors.extraction_log(found, at_most=LINES_ON_PAGE),
        "workers": workers_extracting().count(),
    }
