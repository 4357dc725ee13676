"""Neurons, tokens and pictures of models, for researchers and admins."""

import uuid

from django.shortcuts import get_object_or_404
from rest_framework.response import Response

from annotation_site.accounts.models import Role, Scope
from annotation_site.api.calls import ApiView, PersonRequest, call
from annotation_site.api.serializers import neurons as fields
from annotation_site.corpus.models import Extraction
from annotation_site.corpus.selectors import extractions_ready
from annotation_site.explorer.page import neuron_page
from annotation_site.explorer.picture import model_picture
from annotation_site.explorer.places import neuron_find
from annotation_site.explorer.tokens import token_find, token_page


class NeuronView(ApiView):
    """GET a neuron: its value's tokens and similar vectors, its key's triggers, their agreement.

    Nobody gets it who annotates one of its lists in an unfinished study.
    """

    @call(Scope.READ, Role.RESEARCHER, gives=fields.Neuron)
    def get(self, request: PersonRequest, public_id: uuid.UUID, layer: int, index: int) -> Response:
        found = neuron_find(
            extraction=_extraction(public_id), layer=layer, index=index, user=request.user
        )
        return self.answer(neuron_page(found, request.user))


class VocabularyTokenView(ApiView):
    """GET a token of an extraction: the value vectors that promote it or push it down, by layer.

    Lists that the person annotates in an unfinished study are left out of rows and counts.
    """

    @call(Scope.READ, Role.RESEARCHER, gives=fields.VocabularyToken)
    def get(self, request: PersonRequest, public_id: uuid.UUID, token_id: int) -> Response:
        found = token_find(extraction=_extraction(public_id), token_id=token_id)
        return self.answer(token_page(found, request.user))


class PictureView(ApiView):
    """GET the share of top tokens in people's concepts, by layer and category.

    Over annotations of finished studies, and of unfinished ones that the person runs.
    """

    @call(Scope.READ, Role.RESEARCHER, gives=fields.Picture)
    def get(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        return self.answer(model_picture(_extraction(public_id), request.user))


def _extraction(public_id: uuid.UUID) -> Extraction:
    return get_object_or_404(extractions_ready(), public_id=public_id)
