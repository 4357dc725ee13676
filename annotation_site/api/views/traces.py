"""Traces of prompts, for researchers and admins."""

import uuid
from typing import Any

from django.shortcuts import get_object_or_404
from django.utils.translation import gettext
from rest_framework.response import Response

from annotation_site.accounts.models import Role, Scope
from annotation_site.annotation.review.looks import look_record
from annotation_site.api.calls import ApiView, PageQuery, PersonRequest, call
from annotation_site.api.once import once
from annotation_site.api.serializers import traces as fields
from annotation_site.corpus.models import LanguageModel
from annotation_site.errors import Invalid
from annotation_site.traces import selectors, services
from annotation_site.traces.models import Trace
from annotation_site.traces.page import trace_seen_by


class TracesView(ApiView):
    """GET your own traces and shared ones, newest first; POST to request one."""

    @call(Scope.READ, Role.RESEARCHER, query=PageQuery, gives=fields.TraceBrief, paged=True)
    def get(self, request: PersonRequest) -> Response:
        return self.paged(selectors.traces_of(request.user))

    @call(
        Scope.MANAGE,
        Role.RESEARCHER,
        takes=fields.NewTrace,
        gives=fields.TraceRequested,
        status=201,
    )
    @once(not_kept=("prompt",))
    def post(self, request: PersonRequest) -> Response:
        wanted = dict(self.body)
        model = LanguageModel.objects.filter(pk=wanted.pop("model")).first()
        if model is None:
            raise Invalid(
                gettext(
                    "There is no such model. `/api/measurements/models` lists those that are here."
                )
            )
        made = services.trace_request(model=model, requested_by=request.user, **wanted)
        return self.answer(_whole(request, made.public_id))


class TraceView(ApiView):
    """GET a trace; PATCH who sees it; DELETE it, also while it waits."""

    @call(Scope.READ, Role.RESEARCHER, gives=fields.TraceWhole)
    def get(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        return self.answer(_whole(request, public_id))

    @call(Scope.MANAGE, Role.RESEARCHER, takes=fields.TraceShared, gives=fields.TraceWhole)
    def patch(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        found = _one(request, public_id)
        services.trace_share(trace=found, is_shared=self.body["is_shared"], by=request.user)
        return self.answer(_whole(request, public_id))

    @call(Scope.MANAGE, Role.RESEARCHER, status=204)
    def delete(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        services.trace_delete(trace=_one(request, public_id), by=request.user)
        return Response(status=204)


def _one(request: PersonRequest, public_id: uuid.UUID) -> Trace:
    return get_object_or_404(selectors.traces_of(request.user), public_id=public_id)


def _whole(request: PersonRequest, public_id: uuid.UUID) -> Any:
    found: Any = _one(request, public_id)
    is_waiting = found.state == Trace.State.QUEUED
    found.before = selectors.traces_before(found) if is_waiting else None
    shown = trace_seen_by(found, request.user)
    for _, item in shown.labels.looked_at:
        look_record(item=item, by=request.user)
    seen = shown.to_json()
    found.request_seen, found.result = seen["request"], seen["result"]
    return found
