"""Neurons, for researchers and admins."""

import uuid

from django.shortcuts import get_object_or_404
from rest_framework.response import Response

from annotation_site.accounts.models import Role, Scope
from annotation_site.api.calls import ApiView, PersonRequest, call
from annotation_site.api.serializers import neurons as fields
from annotation_site.corpus.selectors import extractions_ready
from annotation_site.explorer.page import neuron_page
from annotation_site.explorer.places import neuron_find


class NeuronView(ApiView):
    """GET a neuron: its value's tokens, its key's triggers and their agreement.

    Nobody gets it who annotates one of its lists in an unfinished study.
    """

    @call(Scope.READ, Role.RESEARCHER, gives=fields.Neuron)
    def get(self, request: PersonRequest, public_id: uuid.UUID, layer: int, index: int) -> Response:
        extraction = get_object_or_404(extractions_ready(), public_id=public_id)
        found = neuron_find(extraction=extraction, layer=layer, index=index, user=request.user)
        return self.answer(neuron_page(found, request.user))
