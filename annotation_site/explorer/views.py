"""The view of a neuron, for researchers and admins."""

import uuid

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.annotation.review.looks import look_record
from annotation_site.corpus.selectors import extractions_ready
from annotation_site.explorer.page import neuron_page
from annotation_site.explorer.places import neuron_find


@researcher_required
@require_GET
def neuron(request: PersonRequest, public_id: uuid.UUID, layer: int, index: int) -> HttpResponse:
    """A neuron: value, key, and what people said of each. Their own lists count as looked at."""
    extraction = get_object_or_404(extractions_ready(), public_id=public_id)
    found = neuron_find(extraction=extraction, layer=layer, index=index, user=request.user)
    shown = neuron_page(found, request.user)
    for item in shown.looked_at:
        look_record(item=item, by=request.user)
    return render(request, "explorer/neuron.html", {"shown": shown})
