"""Sets of vectors, for researchers and admins."""

import uuid
from typing import Any

from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext
from rest_framework.response import Response

from annotation_site.accounts.models import Role, Scope
from annotation_site.api.calls import ApiView, PageQuery, PersonRequest, call
from annotation_site.api.serializers import vector_sets as fields
from annotation_site.api.views.vector_search import TYPES
from annotation_site.corpus.models import LanguageModel, VectorSet
from annotation_site.corpus.vector_sets import (
    vector_set_change,
    vector_set_delete,
    vector_set_make,
    vector_sets,
)
from annotation_site.downloads import attachment
from annotation_site.errors import Invalid
from annotation_site.explorer.sets.members import places_hidden, places_shown, set_file, sets_shown
from ffn_extract.chosen_vectors import Place, place_of, words_of


class SetsView(ApiView):
    """GET the team's sets of vectors; POST one."""

    @call(Scope.READ, Role.RESEARCHER, query=PageQuery, gives=fields.BriefSet, paged=True)
    def get(self, request: PersonRequest) -> Response:
        return self.paged(
            [{"vector_set": one, "vectors": count} for one, count in sets_shown(request.user)]
        )

    @call(
        Scope.MANAGE,
        Role.RESEARCHER,
        takes=fields.NewSet,
        gives=fields.WholeSet,
        status=201,
        errors=(422,),
    )
    def post(self, request: PersonRequest) -> Response:
        body = dict(self.body)
        model = LanguageModel.objects.filter(pk=body.pop("model")).first()
        if model is None:
            raise Invalid(
                gettext("There is no such model. `extractions` names those that are here.")
            )
        places = _places(body.pop("places"))
        made = vector_set_make(**body, model=model, places=places, by=request.user)
        return self.answer(_whole(made, request))


class SetView(ApiView):
    """GET a set with its vectors; PATCH or DELETE it, for its maker and admins."""

    @call(Scope.READ, Role.RESEARCHER, gives=fields.WholeSet)
    def get(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        return self.answer(_whole(_one(public_id), request))

    @call(
        Scope.MANAGE,
        Role.RESEARCHER,
        takes=fields.ChangedSet,
        gives=fields.WholeSet,
        errors=(422,),
    )
    def patch(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        found = _one(public_id)
        body: dict[str, Any] = dict(self.body)
        for name in ("places", "add"):
            if name in body:
                body[name] = _places(body[name])
        changed = vector_set_change(
            vector_set=found, by=request.user, kept=places_hidden(found, request.user), **body
        )
        return self.answer(_whole(changed, request))

    @call(Scope.MANAGE, Role.RESEARCHER, status=204)
    def delete(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        vector_set_delete(vector_set=_one(public_id), by=request.user)
        return Response(status=204)


class SetFileView(ApiView):
    """GET the vectors of a set as a file, with their top tokens."""

    @call(Scope.READ, Role.RESEARCHER, media=TYPES)
    def get(self, request: PersonRequest, public_id: uuid.UUID, extension: str) -> HttpResponseBase:
        return attachment(set_file(_one(public_id), request.user, extension))


def _one(public_id: uuid.UUID) -> VectorSet:
    return get_object_or_404(vector_sets(), public_id=public_id)


def _places(words: list[str]) -> list[Place]:
    return [place for place in map(place_of, words) if place is not None]


def _whole(found: VectorSet, request: PersonRequest) -> dict[str, Any]:
    shown = places_shown(found, request.user)
    return {
        "vector_set": found,
        "vectors": len(shown),
        "places": words_of(shown),
        "hidden": len(found.members) - len(shown),
    }
