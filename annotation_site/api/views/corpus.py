"""Models and extractions, for admins; researchers see those that a study can be made of."""

import uuid

from django.shortcuts import get_object_or_404
from rest_framework.response import Response

from annotation_site.accounts.models import Role, Scope
from annotation_site.api.calls import ApiView, PageQuery, PersonRequest, call
from annotation_site.api.once import once
from annotation_site.api.serializers import corpus as fields
from annotation_site.corpus import selectors, services
from annotation_site.corpus.browsing import vectors_page
from annotation_site.corpus.models import Extraction, LanguageModel
from annotation_site.errors import Invalid
from ffn_extract.errors import FFNExtractError
from ffn_extract.options import ExtractOptions


class ModelsView(ApiView):
    """GET the models whose vectors were read."""

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
        model = self.body.pop("model")
        try:
            options = ExtractOptions.from_json(self.body)
        except FFNExtractError as error:
            raise Invalid(str(error)) from error
        queued = services.extraction_enqueue(
            model_source=model, options=options, requested_by=request.user
        )
        return self.answer(_whole(queued.public_id))


class ExtractionView(ApiView):
    """GET an extraction with steps, layers, parameters and digests; DELETE one nobody uses."""

    @call(Scope.READ, Role.ADMIN, gives=fields.Whole)
    def get(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        return self.answer(_whole(public_id))

    @call(Scope.ADMIN, Role.ADMIN, status=204, errors=(422,))
    def delete(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        services.extraction_delete(extraction=_extraction(public_id))
        return Response(status=204)


class CancelView(ApiView):
    """POST to end an extraction that waits or runs."""

    @call(Scope.ADMIN, Role.ADMIN, gives=fields.Whole, errors=(422,))
    def post(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        services.extraction_cancel(extraction=_extraction(public_id))
        return self.answer(_whole(public_id))


class RetryView(ApiView):
    """POST to queue a failed or cancelled extraction again."""

    @call(Scope.ADMIN, Role.ADMIN, gives=fields.Whole, errors=(422,))
    def post(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        services.extraction_retry(extraction=_extraction(public_id))
        return self.answer(_whole(public_id))


class VectorsView(ApiView):
    """GET a ready extraction's vectors: by kind, by layer, or with a token in their list."""

    @call(Scope.READ, Role.ADMIN, query=fields.VectorsQuery, gives=fields.Vectors)
    def get(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        found = get_object_or_404(selectors.extractions_ready(), public_id=public_id)
        page = vectors_page(
            found,
            kind=self.query["kind"],
            layer=self.query["layer"],
            word=self.query["token"],
            number=self.query["page"],
        )
        following = page.number + 1 if page.has_next else None
        return Response({**fields.Vectors(page).data, "next_page": following})


def _extraction(public_id: uuid.UUID) -> Extraction:
    return get_object_or_404(selectors.extractions(), public_id=public_id)


def _whole(public_id: uuid.UUID) -> Extraction:
    found = _extraction(public_id)
    found.steps = selectors.extraction_steps(found)  # type: ignore[attr-defined]
    found.layers_state = selectors.layers_state(found)  # type: ignore[attr-defined]
    return found
