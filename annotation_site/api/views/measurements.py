"""Measurements of models, for researchers and admins."""

import uuid
from typing import Any

from django.http import HttpResponseBase
from django.utils.translation import gettext
from rest_framework.response import Response

from annotation_site.accounts.models import Role, Scope
from annotation_site.api.calls import ApiView, PageQuery, PersonRequest, call
from annotation_site.api.once import once
from annotation_site.api.serializers import measurements as fields
from annotation_site.corpus.models import Corpus, LanguageModel
from annotation_site.downloads import Download, attachment
from annotation_site.errors import Invalid
from annotation_site.measurements import files, forecasts, selectors, services
from annotation_site.measurements.models import Measurement


class MeasurementsView(ApiView):
    """GET measurements, newest first; POST to enqueue one."""

    @call(
        Scope.READ,
        Role.RESEARCHER,
        query=fields.MeasurementsQuery,
        gives=fields.MeasurementBrief,
        paged=True,
    )
    def get(self, request: PersonRequest) -> Response:
        wanted = {field: self.query[field] for field in ("model", "name", "state")}
        return self.paged(selectors.measurements(**wanted))

    @call(
        Scope.MANAGE,
        Role.RESEARCHER,
        takes=fields.NewMeasurement,
        gives=fields.MeasurementWhole,
        status=201,
    )
    @once()
    def post(self, request: PersonRequest) -> Response:
        queued = services.measurement_enqueue(
            **_wanted(self.body), title=self.body["title"], requested_by=request.user
        )
        return self.answer(_whole(request, queued.public_id))


class MeasurableModelsView(ApiView):
    """GET the models that can be measured: those with a ready extraction here."""

    @call(Scope.READ, Role.RESEARCHER, query=PageQuery, gives=fields.Model, paged=True)
    def get(self, request: PersonRequest) -> Response:
        return self.paged(selectors.measurable_models())


class MeasurementEstimatesView(ApiView):
    """POST a measurement to estimate its cost here; nothing is enqueued."""

    @call(
        Scope.READ,
        Role.RESEARCHER,
        takes=fields.NewMeasurement,
        gives=fields.MeasurementForecast,
        errors=(422,),
    )
    def post(self, request: PersonRequest) -> Response:
        wanted = _wanted(self.body)
        uploaded = _uploaded(wanted.pop("corpus"))
        corpus = None if uploaded is None else Corpus.objects.filter(public_id=uploaded).first()
        return self.answer(forecasts.measurement_forecast(**wanted, corpus=corpus))


class MeasurementView(ApiView):
    """GET a measurement with its progress and results; PATCH its title; DELETE one that ended."""

    @call(Scope.READ, Role.RESEARCHER, gives=fields.MeasurementWhole)
    def get(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        return self.answer(_whole(request, public_id))

    @call(
        Scope.MANAGE,
        Role.RESEARCHER,
        takes=fields.MeasurementRenamed,
        gives=fields.MeasurementWhole,
        errors=(422,),
    )
    def patch(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        services.measurement_rename(
            measurement=_one(request, public_id),
            title=self.body["title"],
            by=request.user,
        )
        return self.answer(_whole(request, public_id))

    @call(Scope.MANAGE, Role.RESEARCHER, status=204, errors=(422,))
    def delete(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        services.measurement_delete(measurement=_one(request, public_id), by=request.user)
        return Response(status=204)


class MeasurementCancelView(ApiView):
    """POST to cancel a measurement that waits or runs."""

    @call(Scope.MANAGE, Role.RESEARCHER, gives=fields.MeasurementWhole, errors=(422,))
    def post(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        services.measurement_cancel(measurement=_one(request, public_id), by=request.user)
        return self.answer(_whole(request, public_id))


class MeasurementRetryView(ApiView):
    """POST to enqueue a failed or cancelled measurement again."""

    @call(Scope.MANAGE, Role.RESEARCHER, gives=fields.MeasurementWhole, errors=(422,))
    def post(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        services.measurement_retry(measurement=_one(request, public_id), by=request.user)
        return self.answer(_whole(request, public_id))


class MeasurementLogView(ApiView):
    """GET the log of a measurement, newest first."""

    @call(Scope.READ, Role.RESEARCHER, query=PageQuery, gives=fields.LogLine, paged=True)
    def get(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        return self.paged(selectors.measurement_log(_one(request, public_id)))


class MeasurementTableView(ApiView):
    """GET a table of a ready measurement, or some of its rows."""

    @call(Scope.READ, Role.RESEARCHER, query=fields.TableQuery, gives=fields.MeasurementTable)
    def get(self, request: PersonRequest, public_id: uuid.UUID, table: str) -> Response:
        found = selectors.table(
            _one(request, public_id),
            table,
            offset=self.query["offset"],
            limit=self.query["limit"],
        )
        return self.answer(found)


class MeasurementFileView(ApiView):
    """GET a file of a ready measurement, byte for byte."""

    @call(Scope.READ, Role.RESEARCHER, media=tuple(files.MEDIA_TYPES.values()))
    def get(self, request: PersonRequest, public_id: uuid.UUID, name: str) -> HttpResponseBase:
        found, content = selectors.measurement_file(_one(request, public_id), name)
        # To save, never to show: a process that opens strangers' files wrote it.
        return attachment(Download(found.name, found.media_type, content))


class SideBySideView(ApiView):
    """GET the tables of two ready measurements of a kind, joined on their key columns."""

    @call(Scope.READ, Role.RESEARCHER, gives=fields.SideBySide, errors=(422,))
    def get(self, request: PersonRequest, public_id: uuid.UUID, other: uuid.UUID) -> Response:
        joined = selectors.side_by_side(
            _one(request, public_id),
            _one(request, other),
        )
        return self.answer({"tables": joined})


def _wanted(body: dict[str, Any]) -> dict[str, Any]:
    """Kind, model, options and corpus of a body. Raises Invalid for a model that is not here."""
    model = LanguageModel.objects.filter(pk=body["model"]).first()
    if model is None:
        raise Invalid(
            gettext("There is no such model. `/api/measurements/models` lists those that are here.")
        )
    options = dict(body.get("options", {}))
    return {"name": body["name"], "model": model, "options": options, "corpus": body["corpus"]}


def _uploaded(corpus: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(corpus.rpartition(":")[2])
    except ValueError:
        return None


def _one(request: PersonRequest, public_id: uuid.UUID) -> Measurement:
    return selectors.measurement_of(public_id, request.user)


def _whole(request: PersonRequest, public_id: uuid.UUID) -> Measurement:
    found = _one(request, public_id)
    found.steps = selectors.measurement_steps(found)  # type: ignore[attr-defined]
    found.table_names = selectors.table_names(found)  # type: ignore[attr-defined]
    found.kept_files = selectors.measurement_files(found)  # type: ignore[attr-defined]
    return found
