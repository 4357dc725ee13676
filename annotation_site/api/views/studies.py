"""A researcher's own studies: make, change, extend, copy."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.db.models import Q
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext
from rest_framework.response import Response

from annotation_site.accounts.models import Role, Scope, User
from annotation_site.annotation import selectors
from annotation_site.annotation.models import Item, Study
from annotation_site.annotation.people import consent
from annotation_site.annotation.studies import previews, rules
from annotation_site.annotation.studies import services as studies
from annotation_site.annotation.studies.of_sets import DrawnFrom, drawn_from, set_shown
from annotation_site.annotation.studies.plans import (
    PROTOCOLS,
    StudyPlan,
    is_frozen,
    plan_check_people,
    plan_of,
)
from annotation_site.api.calls import ApiView, PersonRequest, call
from annotation_site.api.once import once
from annotation_site.api.serializers import studies as fields
from annotation_site.corpus.models import Extraction
from annotation_site.corpus.selectors import extractions_ready
from annotation_site.corpus.vector_sets import vector_sets
from annotation_site.errors import Invalid
from annotation_site.results.files.deletion import study_delete
from annotation_site.results.pages.precision import planned_precision

READ = (Scope.READ, Role.RESEARCHER)
MANAGE = (Scope.MANAGE, Role.RESEARCHER)


class StudiesView(ApiView):
    """GET the studies that you run, newest first; POST a plan to make one."""

    @call(*READ, query=fields.StudiesQuery, gives=fields.StudyFields, paged=True)
    def get(self, request: PersonRequest) -> Response:
        found = selectors.with_annotation_counts(selectors.studies_of(request.user))
        found = found.prefetch_related("extractions")
        state = self.query["state"]
        found = found.filter(state=state) if state else found
        return self.paged(found.order_by("-created_at", "-pk"))

    @call(*MANAGE, takes=fields.NewStudy, gives=fields.StudyWhole, status=201)
    @once()
    def post(self, request: PersonRequest) -> Response:
        create = studies.study_create_open if self.body.pop("open") else studies.study_create
        study = create(plan=_plan(request, self.body), created_by=request.user)
        return self.answer(_whole(request, study.slug))


class PreviewsView(ApiView):
    """POST a plan to preview it; nothing is stored.

    `variances_from` names a study that you run: its variances predict the precision of the plan.
    """

    @call(*MANAGE, takes=fields.PlanToPreview, gives=fields.PreviewFields)
    def post(self, request: PersonRequest) -> Response:
        past = self.body.pop("variances_from", None)
        plan = _plan(request, self.body)
        plan_check_people(plan, request.user)
        preview = previews.study_preview(plan=plan, by=request.user)
        if past is None:
            return self.answer(preview)
        own = study_of(request, past)
        found = planned_precision(
            plan=plan, preview=preview, by=request.user, chosen=own.slug, strict=True
        )
        return self.answer({**fields.PreviewFields(preview).data, "precision": found})


class StudyView(ApiView):
    """GET a study that you run; PATCH its rules, until the first annotation that counts.

    DELETE deletes it for good with all of its annotations and files: from then on nobody can see
    it, and a worker removes it.
    """

    @call(*READ, gives=fields.StudyWhole)
    def get(self, request: PersonRequest, slug: str) -> Response:
        return self.answer(_whole(request, slug))

    @call(*MANAGE, takes=fields.Rules, gives=fields.StudyWhole)
    def patch(self, request: PersonRequest, slug: str) -> Response:
        study = study_of(request, slug)
        known = {}
        if self.body.get("list_source", study.list_source) != study.list_source:
            known = PROTOCOLS[self.body["list_source"]].defaults
        plan: StudyPlan = replace(plan_of(study), **{**known, **_resolved(request, self.body)})
        rules.study_change(study=study, plan=plan)
        return self.answer(_whole(request, slug))

    @call(*MANAGE, status=202, errors=(422,))
    def delete(self, request: PersonRequest, slug: str) -> Response:
        study_delete(study=study_of(request, slug), by=request.user)
        return Response(status=202)


class StateView(ApiView):
    """POST the new state of a study."""

    @call(*MANAGE, takes=fields.StateChange, gives=fields.StudyWhole)
    def post(self, request: PersonRequest, slug: str) -> Response:
        studies.study_state_change(study=study_of(request, slug), **self.body)
        return self.answer(_whole(request, slug))


class ExtendView(ApiView):
    """POST a larger number of lists per layer, at any time; more are drawn by the same rule."""

    @call(*MANAGE, takes=fields.Extension, gives=fields.StudyWhole)
    @once()
    def post(self, request: PersonRequest, slug: str) -> Response:
        rules.study_extend(study=study_of(request, slug), **self.body)
        return self.answer(_whole(request, slug))


class DuplicateView(ApiView):
    """POST a title to make a draft with the same rules, texts and people."""

    @call(*MANAGE, takes=fields.Copy, gives=fields.StudyWhole, status=201)
    @once()
    def post(self, request: PersonRequest, slug: str) -> Response:
        copy = rules.study_duplicate(study=study_of(request, slug), by=request.user, **self.body)
        return self.answer(_whole(request, copy.slug))


class TextsView(ApiView):
    """GET the texts of a study; PUT new ones, with the versions that they edit."""

    @call(*READ, gives=fields.Texts)
    def get(self, request: PersonRequest, slug: str) -> Response:
        return self.answer(selectors.texts_of(study_of(request, slug)))

    @call(*MANAGE, takes=fields.NewTexts, gives=fields.Texts)
    def put(self, request: PersonRequest, slug: str) -> Response:
        study = study_of(request, slug)
        consent.study_texts_change(study=study, **self.body)
        return self.answer(selectors.texts_of(study))


def study_of(request: PersonRequest, slug: str) -> Study:
    """A study that the person runs; 404 for every other."""
    return selectors.study_of(request.user, slug)


def people_of(request: PersonRequest, public_ids: Sequence[uuid.UUID]) -> list[User]:
    """People whom a researcher can choose, as on the form. Raises Invalid for others."""
    who = Q(role=Role.ANNOTATOR) | Q(pk=request.user.pk)
    found = list(User.objects.filter(who, is_active=True, public_id__in=public_ids))
    if len(found) != len(set(public_ids)):
        raise Invalid(
            gettext("Not all of these are annotators who can log in. See /api/annotators.")
        )
    return found


def _whole(request: PersonRequest, slug: str) -> Any:
    studies = selectors.with_annotation_counts(selectors.studies_of(request.user))
    study = get_object_or_404(studies, slug=slug)
    uses = list(study.items.values_list("use", flat=True))
    study.training_lists = uses.count(Item.Use.TRAINING)
    study.reference_lists = uses.count(Item.Use.REFERENCE)
    study.pilot_lists = uses.count(Item.Use.PILOT)
    study.frozen = is_frozen(study)
    return study


def _plan(request: PersonRequest, body: dict[str, Any]) -> StudyPlan:
    protocol = PROTOCOLS[body.get("list_source", StudyPlan.list_source)]
    return StudyPlan(**{**protocol.defaults, **_resolved(request, body)})


def _resolved(request: PersonRequest, body: dict[str, Any]) -> dict[str, Any]:
    """A body with what its public ids stand for."""
    found = dict(body)
    if "extractions" in found:
        found["extractions"] = _ready(found["extractions"])
    if "vector_set" in found:
        found["drawn_from"] = _set_stored(request, found.pop("vector_set"))
    if "annotators" in found:
        found["annotators"] = people_of(request, found["annotators"])
    return found


def _set_stored(request: PersonRequest, public_id: uuid.UUID | None) -> DrawnFrom | None:
    """The stored form of a set; None for all vectors. Raises Invalid and NotAllowed."""
    if public_id is None:
        return None
    found = vector_sets().filter(public_id=public_id).first()
    if found is None:
        raise Invalid(gettext("There is no such set of vectors. See /api/sets."))
    stored = drawn_from(found)
    set_shown(stored, request.user)
    return stored


def _ready(public_ids: Sequence[uuid.UUID]) -> list[Extraction]:
    found = list(extractions_ready().filter(public_id__in=public_ids))
    if len(found) != len(set(public_ids)):
        raise Invalid(
            gettext("Not all of these have lists that can be judged. See /api/extractions.")
        )
    return found
