"""Proxies of all value vectors of a study's models."""

import uuid

from django.shortcuts import get_object_or_404
from rest_framework.response import Response

from annotation_site.api.calls import ApiView, PageQuery, PersonRequest, call
from annotation_site.api.once import once
from annotation_site.api.serializers import proxies as fields
from annotation_site.api.views.studies import MANAGE, READ, study_of
from annotation_site.proxies.models import ProxyRun
from annotation_site.proxies.selectors import proxies_of_study, runs_of_study
from annotation_site.proxies.services import proxy_cancel, study_proxy_request


class ProxiesView(ApiView):
    """GET the proxies and which are known; POST to have one computed, which a worker does.

    The estimates are the tables `estimates` and `estimate_differences` of the study's results.
    """

    @call(*READ, query=PageQuery, gives=fields.ProxyFields, paged=True)
    def get(self, request: PersonRequest, slug: str) -> Response:
        return self.paged(proxies_of_study(study_of(request, slug)))

    @call(*MANAGE, takes=fields.NewProxy, gives=fields.ProxyRuns, status=202)
    @once()
    def post(self, request: PersonRequest, slug: str) -> Response:
        study = study_of(request, slug)
        runs = study_proxy_request(study=study, proxy=self.body["proxy"], by=request.user)
        return self.answer({"runs": runs})


class ProxyView(ApiView):
    """GET the progress of a computation; DELETE cancels it, and keeps what is done."""

    @call(*READ, gives=fields.ProxyRunFields)
    def get(self, request: PersonRequest, slug: str, public_id: uuid.UUID) -> Response:
        return self.answer(_run(request, slug, public_id))

    @call(*MANAGE, status=204)
    def delete(self, request: PersonRequest, slug: str, public_id: uuid.UUID) -> Response:
        proxy_cancel(run=_run(request, slug, public_id), by=request.user)
        return Response(status=204)


def _run(request: PersonRequest, slug: str, public_id: uuid.UUID) -> ProxyRun:
    return get_object_or_404(runs_of_study(study_of(request, slug)), public_id=public_id)
