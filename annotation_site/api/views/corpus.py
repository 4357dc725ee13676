"""Models and extractions, for admins; researchers see those with lists for a study."""

import uuid
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext
from rest_framework.response import Response

from annotation_site.accounts.models import Role, Scope
from annotation_site.api.calls import ApiView, PageQuery, PersonRequest, call
from annotation_site.api.once import answered, described, once
from annotation_site.api.parsers import FilesLater, Received, form_received
from annotation_site.api.serializers import corpus as fields
from annotation_site.corpus import corpora, forecasts, importing, selectors, services
from annotation_site.corpus.health import health
from annotation_site.corpus.models import Corpus, Extraction, LanguageModel
from annotation_site.corpus.receiving import BundleUploadHandler, DiskUploadHandler
from annotation_site.corpus.titles import extraction_rename
from annotation_site.errors import Invalid
from annotation_site.explorer.lists import lists_page
from ffn_extract.errors import FFNExtractError
from ffn_extract.options import ExtractOptions


class ModelsView(ApiView):
    """GET the models with extracted vectors."""

    @call(Scope.READ, Role.ADMIN, query=PageQuery, gives=fields.Model, paged=True)
    def get(self, request: PersonRequest) -> Response:
        return self.paged(LanguageModel.objects.order_by("pk"))


class ExtractionsView(ApiView):
    """GET extractions, newest first; POST to enqueue one.

    Admins see all of them, researchers those whose lists can be judged.
    """

    @call(
        Scope.READ,
        Role.RESEARCHER,
        query=fields.ExtractionsQuery,
        gives=fields.Brief,
        paged=True,
    )
    def get(self, request: PersonRequest) -> Response:
        seen = selectors.extractions() if request.user.is_admin else selectors.extractions_ready()
        state = self.query["state"]
        return self.paged(seen.filter(state=state) if state else seen)

    @call(Scope.ADMIN, Role.ADMIN, takes=fields.NewExtraction, gives=fields.Whole, status=201)
    @once()
    def post(self, request: PersonRequest) -> Response:
        body = dict(self.body)
        title = body.pop("title", "")
        queued = services.extraction_enqueue(
            **_wanted(body), title=title, requested_by=request.user
        )
        return self.answer(_whole(queued.public_id))


class EstimatesView(ApiView):
    """POST an extraction to estimate its cost here; nothing is enqueued.

    A model on the hub is asked for there, for a few seconds.
    """

    @call(Scope.ADMIN, Role.ADMIN, takes=fields.NewExtraction, gives=fields.Forecast)
    def post(self, request: PersonRequest) -> Response:
        body = {name: value for name, value in self.body.items() if name != "title"}
        return self.answer(forecasts.extraction_forecast(**_wanted(body)))


class UploadView(ApiView):
    """POST the files of a bundle made elsewhere; a worker loads it.

    Answers 200 with the extraction that has the very lists already, where there is one. Under an
    Idempotency-Key the body is compared by its length.
    """

    parser_classes = (FilesLater,)

    @call(
        Scope.ADMIN,
        Role.ADMIN,
        takes=fields.BundleFiles,
        streams=True,
        gives=fields.Whole,
        status=201,
        also=(200,),
    )
    @described
    def post(self, request: PersonRequest) -> Response:
        before = answered(request)
        if before is not None:
            return before
        with (
            form_received(request, BundleUploadHandler(request._request)) as received,
            importing.upload_staged(files=received.files) as upload,
        ):
            return self._take(request, upload=upload)

    @once()
    def _take(self, request: PersonRequest, *, upload: importing.Upload) -> Response:
        found, is_new = importing.upload_take(upload=upload, by=request.user)
        return self.answer(_whole(found.public_id), status=201 if is_new else 200)


class CorporaView(ApiView):
    """GET the uploaded corpora; POST a text file with a sentence on each line."""

    parser_classes = (FilesLater,)

    @call(Scope.READ, Role.RESEARCHER, query=PageQuery, gives=fields.Corpus, paged=True)
    def get(self, request: PersonRequest) -> Response:
        return self.paged(Corpus.objects.select_related("uploaded_by"))

    @call(
        Scope.MANAGE,
        Role.RESEARCHER,
        takes=fields.NewCorpus,
        streams=True,
        gives=fields.Corpus,
        status=201,
    )
    @described
    def post(self, request: PersonRequest) -> Response:
        before = answered(request)
        if before is not None:
            return before
        handler = DiskUploadHandler(request._request, most_bytes=corpora.MOST_BYTES)
        with form_received(request, handler, name="file") as received:
            return self._add(request, received=received)

    @once()
    def _add(self, request: PersonRequest, *, received: Received) -> Response:
        if not received.files:
            raise Invalid(gettext("Choose a file."))
        given = fields.CorpusWords(data=received.fields)
        given.is_valid(raise_exception=True)
        (path,) = received.files.values()
        corpus = corpora.corpus_add(path=path, by=request.user, **given.validated_data)
        return self.answer(corpus)


class CorpusView(ApiView):
    """DELETE a corpus."""

    @call(Scope.MANAGE, Role.RESEARCHER, status=204, errors=(422,))
    def delete(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        found = get_object_or_404(Corpus, public_id=public_id)
        corpora.corpus_delete(corpus=found, by=request.user)
        return Response(status=204)


class WorkersView(ApiView):
    """GET the live workers, their work, and the waiting work."""

    @call(Scope.READ, Role.ADMIN, gives=fields.Workers)
    def get(self, request: PersonRequest) -> Response:
        return self.answer(health())


class ExtractionView(ApiView):
    """GET an extraction with steps, layers, parameters and digests; PATCH its title; DELETE an
    unused one.
    """

    @call(Scope.READ, Role.ADMIN, gives=fields.Whole)
    def get(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        return self.answer(_whole(public_id))

    @call(Scope.ADMIN, Role.ADMIN, takes=fields.Renamed, gives=fields.Whole, errors=(422,))
    def patch(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        extraction_rename(
            extraction=_extraction(public_id), title=self.body["title"], by=request.user
        )
        return self.answer(_whole(public_id))

    @call(Scope.ADMIN, Role.ADMIN, status=204, errors=(422,))
    def delete(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        services.extraction_delete(extraction=_extraction(public_id))
        return Response(status=204)


class CancelView(ApiView):
    """POST to cancel an extraction that waits or runs."""

    @call(Scope.ADMIN, Role.ADMIN, gives=fields.Whole, errors=(422,))
    def post(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        services.extraction_cancel(extraction=_extraction(public_id), by=request.user)
        return self.answer(_whole(public_id))


class RetryView(ApiView):
    """POST to enqueue a failed or cancelled extraction again."""

    @call(Scope.ADMIN, Role.ADMIN, gives=fields.Whole, errors=(422,))
    def post(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        services.extraction_retry(extraction=_extraction(public_id), by=request.user)
        return self.answer(_whole(public_id))


class ExtractionLogView(ApiView):
    """GET the log of an extraction, newest first."""

    @call(Scope.READ, Role.ADMIN, query=PageQuery, gives=fields.LogLine, paged=True)
    def get(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        return self.paged(selectors.extraction_log(_extraction(public_id)))


class ManifestView(ApiView):
    """GET the manifest of the loaded bundle, byte for byte."""

    @call(Scope.READ, Role.ADMIN, media=("application/json",))
    def get(self, request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
        manifest = _extraction(public_id).manifest
        if not manifest:
            raise Http404
        return HttpResponse(manifest, content_type="application/json")


class VectorsView(ApiView):
    """GET a ready extraction's vectors: by kind, by layer, or with a token in their list.

    Lists that the person annotates in an unfinished study are left out of rows and counts.
    """

    @call(Scope.READ, Role.RESEARCHER, query=fields.VectorsQuery, gives=fields.Vectors)
    def get(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        found = get_object_or_404(selectors.extractions_ready(), public_id=public_id)
        page = lists_page(
            found,
            user=request.user,
            kind=self.query["kind"],
            layer=self.query["layer"],
            word=self.query["token"],
            number=self.query["page"],
        )
        following = page.number + 1 if page.has_next else None
        return Response({**fields.Vectors(page).data, "next_page": following})


def _wanted(body: dict[str, Any]) -> dict[str, Any]:
    """Model and options of a body. Raises Invalid for options that cannot be used."""
    options = dict(body)
    model = options.pop("model")
    try:
        return {"model_source": model, "options": ExtractOptions.from_json(options)}
    except FFNExtractError as error:
        raise Invalid(str(error)) from error


def _extraction(public_id: uuid.UUID) -> Extraction:
    return get_object_or_404(selectors.extractions(), public_id=public_id)


def _whole(public_id: uuid.UUID) -> Extraction:
    found = _extraction(public_id)
    found.steps = selectors.extraction_steps(found)  # type: ignore[attr-defined]
    found.layers_state = selectors.layers_state(found)  # type: ignore[attr-defined]
    return found
