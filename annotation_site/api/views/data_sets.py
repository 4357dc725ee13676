"""Data sets of a person's own studies, which a worker writes."""

import base64
import uuid

from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404
from rest_framework.response import Response

from annotation_site.accounts.throttling import counted
from annotation_site.api.calls import ApiView, PageQuery, PersonRequest, call
from annotation_site.api.once import once
from annotation_site.api.serializers import data_sets as fields
from annotation_site.api.views.studies import MANAGE, READ, study_of
from annotation_site.data_sets import services
from annotation_site.data_sets.models import DataSet
from annotation_site.data_sets.selectors import MEDIA_TYPE, data_set_download
from annotation_site.downloads import attachment


class DataSetsView(ApiView):
    """GET the requested data sets, newest first; POST to request one, which a worker writes.

    422 says why the study may have none now.
    """

    @call(*READ, query=PageQuery, gives=fields.DataSetFields, paged=True)
    def get(self, request: PersonRequest, slug: str) -> Response:
        return self.paged(study_of(request, slug).data_sets.select_related("requested_by"))

    @call(*MANAGE, takes=fields.NewDataSet, gives=fields.DataSetFields, status=202)
    @once()
    def post(self, request: PersonRequest, slug: str) -> Response:
        study = study_of(request, slug)
        return self.answer(services.data_set_request(study=study, by=request.user, **self.body))


class DataSetView(ApiView):
    """GET the progress of a data set; DELETE cancels one that is not written."""

    @call(*READ, gives=fields.DataSetFields)
    def get(self, request: PersonRequest, slug: str, public_id: uuid.UUID) -> Response:
        return self.answer(_data_set(request, slug, public_id))

    @call(*MANAGE, status=204)
    def delete(self, request: PersonRequest, slug: str, public_id: uuid.UUID) -> Response:
        services.data_set_cancel(data_set=_data_set(request, slug, public_id), by=request.user)
        return Response(status=204)


@counted
class DataSetFileView(ApiView):
    """GET a ready data set as a zip file. `Repr-Digest` is its SHA-256, as in its state."""

    @call(*READ, media=(MEDIA_TYPE,), errors=(422,))
    def get(self, request: PersonRequest, slug: str, public_id: uuid.UUID) -> HttpResponseBase:
        row = _data_set(request, slug, public_id)
        response = attachment(data_set_download(data_set=row, by=request.user))
        digest = base64.b64encode(bytes.fromhex(row.sha256)).decode()
        response["Repr-Digest"] = f"sha-256=:{digest}:"  # RFC 9530
        return response


def _data_set(request: PersonRequest, slug: str, public_id: uuid.UUID) -> DataSet:
    rows = study_of(request, slug).data_sets.select_related("study", "requested_by")
    return get_object_or_404(rows, public_id=public_id)
