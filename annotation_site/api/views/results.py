"""Results of one's own studies. Workers compute; this reads, and asks them to."""

from django.http import Http404, HttpResponseBase, StreamingHttpResponse
from rest_framework.response import Response

from annotation_site.accounts import audit
from annotation_site.annotation.models import Study
from annotation_site.api.calls import ApiView, PageQuery, PersonRequest, call
from annotation_site.api.serializers import results as fields
from annotation_site.api.views.studies import MANAGE, READ, study_of
from annotation_site.errors import Invalid
from annotation_site.exports import EXPORT_FORMATS
from annotation_site.results import selectors
from annotation_site.results.models import Snapshot
from annotation_site.results.services import snapshot_refresh_soon, snapshot_request


class ResultsView(ApiView):
    """GET where a study's results stand; POST to have them computed from the newest answers."""

    @call(*READ, gives=fields.Results)
    def get(self, request: PersonRequest, slug: str) -> Response:
        return self.answer(selectors.results_state(study_of(request, slug)))

    @call(*MANAGE, gives=fields.Results, status=202, errors=(422,))
    def post(self, request: PersonRequest, slug: str) -> Response:
        study = study_of(request, slug)
        if not selectors.results_state(study).has_answers:
            raise Invalid("There are no answers yet. Results are computed after the first one.")
        snapshot_request(study=study)
        snapshot_refresh_soon(study_id=study.pk)
        return self.answer(selectors.results_state(study))


class TableView(ApiView):
    """GET the rows of a table of the newest results."""

    @call(*READ, query=PageQuery, gives=fields.TablePage, errors=(422,))
    def get(self, request: PersonRequest, slug: str, table: str) -> Response:
        found = _ready(study_of(request, slug), table)
        rows, around = self.page(list(found.rows))
        return self.answer({**around, "columns": found.columns, "results": rows})


class ExportView(ApiView):
    """GET a table of the newest results as a file."""

    @call(
        *READ,
        media=tuple(sorted({export.media_type for export in EXPORT_FORMATS.values()})),
        errors=(422,),
    )
    def get(
        self, request: PersonRequest, slug: str, table: str, extension: str
    ) -> HttpResponseBase:
        study = study_of(request, slug)
        export = EXPORT_FORMATS.get(extension)
        if export is None:
            raise Http404
        found = _ready(study, table)
        audit.record("exported", target=study, table=table, format=extension)
        name = f"{study.slug}-{table}.{export.extension}"
        return StreamingHttpResponse(
            export.write(found),
            content_type=export.media_type,
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )


def _ready(study: Study, table: str) -> selectors.Table:
    snapshot: Snapshot | None = selectors.results_state(study).snapshot
    if snapshot is None:
        raise Invalid("There are no results yet. POST to the study's results, then ask again.")
    if table not in snapshot.tables:
        raise Http404
    return selectors.table_of(snapshot, table)
