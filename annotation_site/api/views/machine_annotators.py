"""Language models that annotate a study: prompt, forecast, runs, requests and replies."""

import uuid
from typing import Any

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext
from rest_framework.response import Response

from annotation_site.api.calls import ApiView, PageQuery, PersonRequest, call
from annotation_site.api.once import once
from annotation_site.api.serializers import machine_annotators as fields
from annotation_site.api.views.studies import MANAGE, READ, study_of
from annotation_site.machine_annotators import services
from annotation_site.machine_annotators.exchange_pages import (
    AskedExchanges,
    deleted_at,
    exchanges_readable,
    study_lists,
)
from annotation_site.machine_annotators.models import MachineExchange, MachinePrompt, MachineRun
from annotation_site.machine_annotators.pages import forecast_for
from annotation_site.machine_annotators.prompts import prompt_text
from annotation_site.machine_annotators.selectors import runs_of_study


class MachinePromptView(ApiView):
    """GET the prompt of a study's language models; PUT a changed one, with its base version."""

    @call(*READ, query=fields.PromptQuery, gives=fields.MachinePromptFields)
    def get(self, request: PersonRequest, slug: str) -> Response:
        study = study_of(request, slug)
        version, text = services.prompt_current(study)
        asked = self.query.get("version", version)
        if asked != version:
            try:
                version, text = asked, prompt_text(study, asked)
            except MachinePrompt.DoesNotExist:
                raise Http404(gettext("The study’s prompt has no such version.")) from None
        return self.answer({"version": version, "text": text})

    @call(*MANAGE, takes=fields.NewMachinePrompt, gives=fields.MachinePromptFields)
    def put(self, request: PersonRequest, slug: str) -> Response:
        study = study_of(request, slug)
        return self.answer(services.prompt_save(study=study, by=request.user, **self.body))


class MachineForecastView(ApiView):
    """GET what a run would send and cost at most, with the exact messages of one list."""

    @call(
        *READ,
        query=fields.MachineForecastQuery,
        gives=fields.MachineForecastFields,
        errors=(422,),  # no language model is set up, or there are no lists yet
    )
    def get(self, request: PersonRequest, slug: str) -> Response:
        study = study_of(request, slug)
        reply_tokens = self.query.get("most_reply_tokens")
        return self.answer(
            forecast_for(
                study, request.user, covers=self.query["covers"], most_reply_tokens=reply_tokens
            )
        )


class MachineRunsView(ApiView):
    """GET the runs of language models, newest first; POST to request one, which a worker does.

    Requests are sent once a worker claims the run: look at the forecast before.
    """

    @call(*READ, query=PageQuery, gives=fields.MachineRunFields, paged=True)
    def get(self, request: PersonRequest, slug: str) -> Response:
        return self.paged(runs_of_study(study_of(request, slug)))

    @call(*MANAGE, takes=fields.NewMachineRun, gives=fields.MachineRunFields, status=202)
    @once()
    def post(self, request: PersonRequest, slug: str) -> Response:
        study = study_of(request, slug)
        usual = services.require_configured().most_reply_tokens
        asked = {"most_reply_tokens": usual, **self.body}
        return self.answer(services.run_request(study=study, by=request.user, **asked))


class MachineRunView(ApiView):
    """GET the progress of a run; DELETE cancels it, and keeps what is done."""

    @call(*READ, gives=fields.MachineRunFields)
    def get(self, request: PersonRequest, slug: str, public_id: uuid.UUID) -> Response:
        return self.answer(_run(request, slug, public_id))

    @call(*MANAGE, status=204)
    def delete(self, request: PersonRequest, slug: str, public_id: uuid.UUID) -> Response:
        services.run_cancel(run=_run(request, slug, public_id), by=request.user)
        return Response(status=204)


class MachineRunContinueView(ApiView):
    """POST to continue a run that has ended with the lists that are left, under new limits."""

    @call(*MANAGE, takes=fields.NewLimits, gives=fields.MachineRunFields, status=202)
    @once()
    def post(self, request: PersonRequest, slug: str, public_id: uuid.UUID) -> Response:
        run = _run(request, slug, public_id)
        return self.answer(services.run_continue(run=run, by=request.user, **self.body))


class MachineRunDeleteView(ApiView):
    """POST to delete a run that has ended, with its annotations, requests and replies."""

    @call(*MANAGE, status=204)
    def post(self, request: PersonRequest, slug: str, public_id: uuid.UUID) -> Response:
        services.run_delete(run=_run(request, slug, public_id), by=request.user)
        return Response(status=204)


class MachineExchangesView(ApiView):
    """GET the requests and replies of a run that are kept, list by list; DELETE all of them.

    The run's annotations stay.
    """

    @call(*READ, query=fields.ExchangesQuery, gives=fields.MachineExchangeFields, paged=True)
    def get(self, request: PersonRequest, slug: str, public_id: uuid.UUID) -> Response:
        run = _run(request, slug, public_id)
        asked = AskedExchanges(self.query["state"], self.query.get("list"))
        rows, around = self.page(asked.among(exchanges_readable(run, request.user), run.study))
        rows = list(rows)
        items = study_lists(run, rows)
        shown = [_exchange(one, items.get(one.vector_id)) for one in rows]
        return Response({**around, "results": self.given(shown, many=True)})

    @call(*MANAGE, status=204)
    def delete(self, request: PersonRequest, slug: str, public_id: uuid.UUID) -> Response:
        services.exchanges_delete(run=_run(request, slug, public_id), by=request.user)
        return Response(status=204)


def _exchange(one: MachineExchange, item: int | None) -> dict[str, Any]:
    """An exchange in the API's shape: a list of the study by its number, without its origin."""
    names = (
        "number", "state", "messages", "reply", "failure", "model_version", "input_tokens",
        "output_tokens", "cost", "seconds", "sent_at",
    )  # fmt: skip
    return {
        "list": item,
        "layer": one.vector.layer if item is None else None,
        "index": one.vector.index if item is None else None,
        **{name: getattr(one, name) for name in names},
        "kept_until": deleted_at(one),
    }


def _run(request: PersonRequest, slug: str, public_id: uuid.UUID) -> MachineRun:
    study = study_of(request, slug)
    run = get_object_or_404(runs_of_study(study), public_id=public_id)
    run.study = study
    return run
