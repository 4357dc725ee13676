"""Views of the explorer, for researchers and admins."""

import uuid

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.annotation.review.looks import look_record
from annotation_site.corpus.browsing import first_kind
from annotation_site.corpus.forms import VectorFilter
from annotation_site.corpus.models import Extraction
from annotation_site.corpus.selectors import extractions_ready
from annotation_site.explorer.landing import landing_page
from annotation_site.explorer.lists import lists_page, tokens_offered
from annotation_site.explorer.page import neuron_page
from annotation_site.explorer.picture import model_picture
from annotation_site.explorer.places import neuron_find
from annotation_site.explorer.sets.members import sets_to_extend
from annotation_site.explorer.tokens import token_find, token_page


@researcher_required
@require_GET
def explore(request: PersonRequest) -> HttpResponse:
    """The models with lists, a search box, and the ways to sets and traces."""
    shown = landing_page(request.user, request.GET.get("page"))
    return render(request, "explorer/explore.html", {"shown": shown})


@researcher_required
@require_GET
def vectors(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """An extraction's lists by layer, or those with a token; hidden ones are left out."""
    found = _extraction(public_id)
    form = VectorFilter(request.GET or {"kind": first_kind(found)})
    context: dict[str, object] = {"extraction": found, "form": form}
    if form.is_valid():
        wanted = form.cleaned_data
        context["word"] = wanted["token"]
        context["tokens"] = tokens_offered(found, wanted["token"])
        context["page"] = lists_page(
            found,
            user=request.user,
            kind=wanted["kind"],
            layer=wanted["layer"],
            word=wanted["token"],
            number=wanted["page"] or 1,
        )
    status = 200 if form.is_valid() else 422
    return render(request, "explorer/vectors.html", context, status=status)


@researcher_required
@require_GET
def neuron(request: PersonRequest, public_id: uuid.UUID, layer: int, index: int) -> HttpResponse:
    """A neuron: value, key, and what people said of each. Their own lists count as looked at."""
    found = neuron_find(
        extraction=_extraction(public_id), layer=layer, index=index, user=request.user
    )
    shown = neuron_page(found, request.user)
    for item in shown.looked_at:
        look_record(item=item, by=request.user)
    sets = sets_to_extend(request.user, found.model)
    return render(request, "explorer/neuron.html", {"shown": shown, "sets": sets})


@researcher_required
@require_GET
def token(request: PersonRequest, public_id: uuid.UUID, token_id: int) -> HttpResponse:
    """A token: the value vectors that promote it and those that push it down, by layer."""
    found = token_find(extraction=_extraction(public_id), token_id=token_id)
    return render(request, "explorer/token.html", {"shown": token_page(found, request.user)})


@researcher_required
@require_GET
def picture(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """The picture of a model: share of top tokens in people's concepts, layer by layer."""
    shown = model_picture(_extraction(public_id), request.user)
    return render(request, "explorer/picture.html", {"shown": shown})


def _extraction(public_id: uuid.UUID) -> Extraction:
    return get_object_or_404(extractions_ready(), public_id=public_id)
