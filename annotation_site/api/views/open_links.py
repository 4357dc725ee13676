"""Open links of a study, for its researchers."""

import uuid
from dataclasses import replace

from django.shortcuts import get_object_or_404
from rest_framework.response import Response

from annotation_site.accounts.models import Role, Scope
from annotation_site.annotation.crowd import links
from annotation_site.annotation.crowd.models import OpenLink
from annotation_site.annotation.selectors import study_of
from annotation_site.api.calls import ApiView, PageQuery, PersonRequest, call
from annotation_site.api.once import once
from annotation_site.api.serializers import open_links as fields

WRITE = (Scope.MANAGE, Role.RESEARCHER)


class OpenLinksView(ApiView):
    """GET a study's open links, the newest first; POST to make one."""

    @call(Scope.READ, Role.RESEARCHER, query=PageQuery, gives=fields.OpenLinkFields, paged=True)
    def get(self, request: PersonRequest, slug: str) -> Response:
        return self.paged(study_of(request.user, slug).open_links.select_related("study"))

    @call(*WRITE, takes=fields.NewOpenLink, gives=fields.OpenLinkFields, status=201)
    @once()
    def post(self, request: PersonRequest, slug: str) -> Response:
        study = study_of(request.user, slug)
        settings = links.LinkSettings(**self.body)
        made = links.open_link_create(study=study, settings=settings, by=request.user)
        return self.answer(made)


class OpenLinkView(ApiView):
    """GET an open link; PATCH its settings; DELETE one that is closed, with its payment rows."""

    @call(Scope.READ, Role.RESEARCHER, gives=fields.OpenLinkFields)
    def get(self, request: PersonRequest, slug: str, public_id: uuid.UUID) -> Response:
        return self.answer(_link(request, slug, public_id))

    @call(*WRITE, takes=fields.OpenLinkChange, gives=fields.OpenLinkFields)
    def patch(self, request: PersonRequest, slug: str, public_id: uuid.UUID) -> Response:
        link = _link(request, slug, public_id)
        settings = replace(links.settings_of(link), **self.body)
        links.open_link_change(link=link, settings=settings, by=request.user)
        return self.answer(_link(request, slug, public_id))

    @call(*WRITE, status=204, errors=(422,))
    def delete(self, request: PersonRequest, slug: str, public_id: uuid.UUID) -> Response:
        links.open_link_delete(link=_link(request, slug, public_id), by=request.user)
        return Response(status=204)


class OpenLinkStateView(ApiView):
    """POST whether people can join by an open link."""

    @call(*WRITE, takes=fields.OpenLinkState, gives=fields.OpenLinkFields)
    def post(self, request: PersonRequest, slug: str, public_id: uuid.UUID) -> Response:
        change = links.open_link_reopen if self.body["open"] else links.open_link_close
        change(link=_link(request, slug, public_id), by=request.user)
        return self.answer(_link(request, slug, public_id))


def _link(request: PersonRequest, slug: str, public_id: uuid.UUID) -> OpenLink:
    own = study_of(request.user, slug).open_links.select_related("study")
    found: OpenLink = get_object_or_404(own, public_id=public_id)
    return found
