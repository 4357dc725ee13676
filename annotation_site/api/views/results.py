"""Results of a person's own studies. Workers compute them; these views read and request them."""

from typing import Any

from django.http import Http404, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext
from rest_framework.response import Response

from annotation_site.accounts.throttling import counted
from annotation_site.annotation.models import Study
from annotation_site.api.calls import ApiView, PageQuery, PersonRequest, call
from annotation_site.api.serializers import results as fields
from annotation_site.api.views.studies import MANAGE, READ, study_of
from annotation_site.downloads import attachment
from annotation_site.errors import Invalid
from annotation_site.exports import EXPORT_FORMATS
from annotation_site.results.files.downloads import table_download
from annotation_site.results.forms import FilterForm
from annotation_site.results.models import Snapshot
from annotation_site.results.snapshots import selectors
from annotation_site.results.snapshots.services import (
    snapshot_request,
    snapshot_retry,
)
from annotation_site.results.tables.filters import Filters

UNDER_WAY = (Snapshot.State.DUE, Snapshot.State.RUNNING)


class ResultsView(ApiView):
    """GET the state of a study's unfiltered results; POST a filter to have its results computed.

    POST answers 202 while a worker is at it: ask again, or look at the pending snapshot. Without a
    filter the study's own results are meant.
    """

    @call(*READ, gives=fields.Results)
    def get(self, request: PersonRequest, slug: str) -> Response:
        return self.answer(_results(study_of(request, slug)))

    @call(*MANAGE, takes=fields.Filter, gives=fields.Results, also=(202,))
    def post(self, request: PersonRequest, slug: str) -> Response:
        study = study_of(request, slug)
        filters = _filters(study, self.body)
        if not selectors.results_state(study).has_annotations:
            raise Invalid(
                gettext("There are no annotations yet. Results are computed after the first one.")
            )
        snapshot_request(study=study, filters=filters)
        return _standing(self, _results(study, filters))


class RetryResultsView(ApiView):
    """POST a filter to compute failed results again."""

    @call(*MANAGE, takes=fields.Filter, gives=fields.Results, also=(202,))
    def post(self, request: PersonRequest, slug: str) -> Response:
        study = study_of(request, slug)
        filters = _filters(study, self.body)
        snapshot_retry(study=study, filters=filters)
        return _standing(self, _results(study, filters))


class SnapshotsView(ApiView):
    """GET a study's snapshots of every filter, stored or in progress, newest first."""

    @call(*READ, query=PageQuery, gives=fields.SnapshotBrief, paged=True)
    def get(self, request: PersonRequest, slug: str) -> Response:
        return self.paged(selectors.snapshots_of(study_of(request, slug)))


class SnapshotView(ApiView):
    """GET a snapshot with its tables; 202 while it is being computed."""

    @call(*READ, gives=fields.SnapshotFields, also=(202,))
    def get(self, request: PersonRequest, slug: str, snapshot: int) -> Response:
        found = get_object_or_404(study_of(request, slug).snapshots, pk=snapshot)
        return self.answer(found, status=202 if found.state in UNDER_WAY else 200)


class TableView(ApiView):
    """GET the rows of a table of the newest results, or of the given snapshot."""

    @call(*READ, query=fields.TableQuery, gives=fields.TablePage, errors=(422,))
    def get(self, request: PersonRequest, slug: str, table: str) -> Response:
        snapshot = snapshot_of(study_of(request, slug), self.query["snapshot"])
        found = _table(snapshot, table)
        rows, around = self.page(list(found.rows))
        return self.answer({**around, "columns": found.columns, "results": rows})


@counted
class ExportView(ApiView):
    """GET a table of the newest results, or of the given snapshot, as a file."""

    @call(
        *READ,
        query=fields.SnapshotQuery,
        media=tuple(sorted({export.media_type for export in EXPORT_FORMATS.values()})),
        errors=(422,),
    )
    def get(
        self, request: PersonRequest, slug: str, table: str, extension: str
    ) -> HttpResponseBase:
        study = study_of(request, slug)
        snapshot = snapshot_of(study, self.query["snapshot"])
        return attachment(
            table_download(study=study, snapshot=snapshot, table=table, extension=extension)
        )


def snapshot_of(study: Study, number: int | None) -> Snapshot:
    """A ready snapshot by its number; without a number, the newest unfiltered one."""
    if number is not None:
        found = selectors.snapshot_of(study, number)
        if found is None:
            raise Http404
        return found
    newest = selectors.results_state(study).snapshot
    if newest is None:
        raise Invalid(
            gettext("There are no results yet. POST to the study's results, then ask again.")
        )
    return newest


def _table(snapshot: Snapshot, table: str) -> selectors.Table:
    if table not in snapshot.tables:
        raise Http404
    return selectors.table_of(snapshot, table)


def _filters(study: Study, chosen: dict[str, Any]) -> Filters:
    """The choices, by the rules of the page's form: only what the study holds can be chosen."""
    form = FilterForm(chosen, study=study, people=selectors.people_of(study))
    if not form.is_valid():
        raise Invalid(form.sentence())
    return form.filters()


def _results(study: Study, filters: Filters | None = None) -> dict[str, Any]:
    state = selectors.results_state(study, filters)
    return {**vars(state), "people": sorted(selectors.people_of(study))}


def _standing(view: ApiView, found: dict[str, Any]) -> Response:
    pending = found["pending"]
    under_way = pending is not None and pending.state in UNDER_WAY
    return view.answer(found, status=202 if under_way else 200)
