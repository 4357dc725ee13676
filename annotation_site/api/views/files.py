"""Files of a person's own studies: figures, and exports by a worker."""

import base64
import uuid

from django.http import Http404, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext
from rest_framework.response import Response

from annotation_site.accounts.throttling import counted
from annotation_site.annotation.models import Study
from annotation_site.api.calls import ApiView, PageQuery, PersonRequest, call
from annotation_site.api.once import once
from annotation_site.api.serializers import files as fields
from annotation_site.api.views.results import snapshot_of
from annotation_site.api.views.studies import MANAGE, READ, study_of
from annotation_site.downloads import Download, attachment
from annotation_site.errors import Invalid
from annotation_site.exports import EXPORT_FORMATS
from annotation_site.public import services as publications
from annotation_site.public.models import Publication
from annotation_site.public.selectors import publication_state
from annotation_site.results.figures.files import TYPES
from annotation_site.results.files import jobs
from annotation_site.results.files.downloads import export_download, table_download
from annotation_site.results.snapshots.selectors import figures_of
from annotation_site.results.snapshots.services import figure_file


class FiguresView(ApiView):
    """GET the figures of the newest results, or of the given snapshot."""

    @call(*READ, query=fields.FiguresQuery, gives=fields.FigureFields, paged=True, errors=(422,))
    def get(self, request: PersonRequest, slug: str) -> Response:
        snapshot = snapshot_of(study_of(request, slug), self.query["snapshot"])
        rows, around = self.page(figures_of(snapshot))
        context = {"slug": slug, "snapshot": snapshot.pk}
        return Response(
            {**around, "results": fields.FigureFields(rows, many=True, context=context).data}
        )


@counted
class FigureView(ApiView):
    """GET a figure as SVG, PDF or PNG, or its numbers as CSV.

    A worker draws them, PDF and PNG when they are asked for; until they are there, the answer is
    422.
    """

    @call(
        *READ,
        query=fields.SnapshotQuery,
        media=(*sorted(TYPES.values()), EXPORT_FORMATS[fields.DATA].media_type),
        errors=(422,),
    )
    def get(self, request: PersonRequest, slug: str, name: str, extension: str) -> HttpResponseBase:
        study = study_of(request, slug)
        snapshot = snapshot_of(study, self.query["snapshot"])
        about = snapshot.figures.get(name)
        if about is None or extension not in (*TYPES, fields.DATA):
            raise Http404
        if extension == fields.DATA:
            return attachment(
                table_download(
                    study=study, snapshot=snapshot, table=about["table"], extension=extension
                )
            )
        file = figure_file(snapshot=snapshot, name=name, extension=extension)
        return attachment(Download(f"{study.slug}-{name}.{extension}", TYPES[extension], file))


class ExportsView(ApiView):
    """GET the requested files, newest first; POST to request a file, which a worker writes.

    A file with names in it is personal data.
    """

    @call(*READ, query=PageQuery, gives=fields.ExportFields, paged=True)
    def get(self, request: PersonRequest, slug: str) -> Response:
        return self.paged(study_of(request, slug).exports.select_related("requested_by"))

    @call(*MANAGE, takes=fields.NewExport, gives=fields.ExportFields, status=202)
    @once()
    def post(self, request: PersonRequest, slug: str) -> Response:
        study = study_of(request, slug)
        return self.answer(jobs.export_request(study=study, by=request.user, **self.body))


class ExportStateView(ApiView):
    """GET the progress of a file."""

    @call(*READ, gives=fields.ExportFields)
    def get(self, request: PersonRequest, slug: str, public_id: uuid.UUID) -> Response:
        return self.answer(_job(request, slug, public_id))


@counted
class ExportFileView(ApiView):
    """GET a file that is ready. `Repr-Digest` is its SHA-256, as in its state."""

    @call(*READ, media=tuple(sorted({c.media_type for c in jobs.CONTENTS.values()})))
    def get(self, request: PersonRequest, slug: str, public_id: uuid.UUID) -> HttpResponseBase:
        job = _job(request, slug, public_id)
        response = attachment(export_download(job=job, by=request.user))
        digest = base64.b64encode(bytes.fromhex(job.sha256)).decode()
        response["Repr-Digest"] = f"sha-256=:{digest}:"  # RFC 9530
        return response


class PublicationView(ApiView):
    """The public page of a study: GET its state, PUT to prepare it or switch it on, DELETE to
    switch it off at once.

    A worker writes the files: with `is_public` false for a look at the page alone, else for
    everybody. The public files themselves are read without the API, below `/public/`.
    """

    @call(*READ, gives=fields.PublicationFields)
    def get(self, request: PersonRequest, slug: str) -> Response:
        return self._state(request, study_of(request, slug))

    @call(*MANAGE, takes=fields.NewPublication, gives=fields.PublicationFields, errors=(422,))
    def put(self, request: PersonRequest, slug: str) -> Response:
        study, is_public = study_of(request, slug), self.body["is_public"]
        if is_public:
            indexed = self.body["is_indexed"]
            publications.publication_switch_on(study=study, by=request.user, is_indexed=indexed)
        elif Publication.objects.filter(study=study, is_public=True).exists():
            raise Invalid(gettext("The page is public. Send DELETE to switch it off."))
        else:
            publications.publication_prepare(study=study, by=request.user)
        return self._state(request, study)

    @call(*MANAGE, status=204)
    def delete(self, request: PersonRequest, slug: str) -> Response:
        publications.publication_switch_off(study=study_of(request, slug), by=request.user)
        return Response(status=204)

    def _state(self, request: PersonRequest, study: Study) -> Response:
        now = publication_state(study, reader=request.user)
        page = request.build_absolute_uri(reverse("public:page", args=[study.slug]))
        told = {name: getattr(now, name) for name in fields.STATE}
        return self.answer({**told, "url": page if now.is_public else None})


def _job(request: PersonRequest, slug: str, public_id: uuid.UUID) -> jobs.ExportJob:
    found = study_of(request, slug).exports.select_related("requested_by", "study")
    return get_object_or_404(found, public_id=public_id)
