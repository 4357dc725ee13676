"""What researchers do with their own studies."""

import uuid
from typing import Any

from django.shortcuts import get_object_or_404
from rest_framework.response import Response

from annotation_site.accounts import selectors as accounts
from annotation_site.accounts.models import Role, Scope, User
from annotation_site.annotation import consent, members, selectors, studies, study_records
from annotation_site.annotation.models import Study
from annotation_site.api.calls import ApiView, PageQuery, PersonRequest, call
from annotation_site.api.once import once
from annotation_site.api.serializers import studies as fields
from annotation_site.corpus.selectors import extractions_ready
from annotation_site.errors import Invalid

READ = (Scope.READ, Role.RESEARCHER)
MANAGE = (Scope.MANAGE, Role.RESEARCHER)


class StudiesView(ApiView):
    """GET the studies that one runs, newest first; POST a plan to make one."""

    @call(*READ, query=fields.StudiesQuery, gives=fields.StudyFields, paged=True)
    def get(self, request: PersonRequest) -> Response:
        found = selectors.studies_to_run(request.user).prefetch_related("extractions")
        state = self.query["state"]
        return self.paged(found.filter(state=state) if state else found)

    @call(*MANAGE, takes=fields.NewStudy, gives=fields.StudyFields, status=201)
    @once()
    def post(self, request: PersonRequest) -> Response:
        plan = studies.StudyPlan(
            extraction=_ready(self.body["extraction"]),
            annotators=_people(self.body["annotators"]),
            **fields.plan_values(self.body),
        )
        study = studies.study_create(plan=plan, created_by=request.user)
        if self.body["open"]:
            studies.study_open(study=study)
        return self.answer(study_of(request, study.slug))


class StudyView(ApiView):
    """GET a study that one runs."""

    @call(*READ, gives=fields.StudyFields)
    def get(self, request: PersonRequest, slug: str) -> Response:
        return self.answer(study_of(request, slug))


class StateView(ApiView):
    """POST another state."""

    @call(*MANAGE, takes=fields.StateChange, gives=fields.StudyFields)
    def post(self, request: PersonRequest, slug: str) -> Response:
        studies.study_state_change(study=study_of(request, slug), **self.body)
        return self.answer(study_of(request, slug))


class TextsView(ApiView):
    """GET what annotators read; PUT it anew, with the versions that it was written from."""

    @call(*READ, gives=fields.Texts)
    def get(self, request: PersonRequest, slug: str) -> Response:
        return self.answer(selectors.texts_of(study_of(request, slug)))

    @call(*MANAGE, takes=fields.NewTexts, gives=fields.Texts)
    def put(self, request: PersonRequest, slug: str) -> Response:
        study = study_of(request, slug)
        consent.study_texts_change(study=study, **self.body)
        return self.answer(selectors.texts_of(study))


class StudyPeopleView(ApiView):
    """GET who is in a study and how far they are; POST an annotator to add."""

    @call(*READ, query=PageQuery, gives=fields.Member, paged=True)
    def get(self, request: PersonRequest, slug: str) -> Response:
        return self.paged(study_records.study_people(study_of(request, slug)))

    @call(*MANAGE, takes=fields.NewMember, gives=fields.Member, status=201)
    @once()
    def post(self, request: PersonRequest, slug: str) -> Response:
        study = study_of(request, slug)
        (person,) = _people([self.body["person"]])
        added = members.annotator_add(study=study, user=person)
        return self.answer(study_records.study_people(study).get(pk=added.pk))


class ItemsView(ApiView):
    """GET the lists of a study, with where they come from."""

    @call(*READ, query=fields.ItemsQuery, gives=fields.ItemFields, paged=True)
    def get(self, request: PersonRequest, slug: str) -> Response:
        found, around = self.page(
            study_records.study_items(
                study_of(request, slug), kind=self.query["kind"], layer=self.query["layer"]
            )
        )
        items = list(found)
        context = {"tokens": study_records.item_tokens(items)}
        return Response(
            {**around, "results": fields.ItemFields(items, many=True, context=context).data}
        )


class AssignmentsView(ApiView):
    """GET who has which list of a study, and how far it is."""

    @call(*READ, query=fields.AssignmentsQuery, gives=fields.AssignmentFields, paged=True)
    def get(self, request: PersonRequest, slug: str) -> Response:
        found = study_records.study_assignments(
            study_of(request, slug),
            states=[self.query["state"]] if self.query["state"] else (),
            purpose=self.query["purpose"],
            person=self.query["person"],
        )
        return self.paged(found)


class AnnotationsView(ApiView):
    """GET the submitted answers of a study, oldest first."""

    @call(*READ, query=fields.AnnotationsQuery, gives=fields.Annotation, paged=True)
    def get(self, request: PersonRequest, slug: str) -> Response:
        found = study_records.study_annotations(
            study_of(request, slug), purpose=self.query["purpose"], person=self.query["person"]
        )
        return self.paged(found)


def study_of(request: PersonRequest, slug: str) -> Study:
    """A study that the person runs; 404 for every other."""
    return get_object_or_404(selectors.studies_to_run(request.user), slug=slug)


def _ready(public_id: uuid.UUID) -> Any:
    found = extractions_ready().filter(public_id=public_id).first()
    if found is None:
        raise Invalid("No such extraction has lists that can be judged. See /api/extractions.")
    return found


def _people(public_ids: list[uuid.UUID]) -> list[User]:
    found = list(accounts.annotators().filter(public_id__in=public_ids))
    if len(found) != len(set(public_ids)):
        raise Invalid("Not all of these are annotators who can log in. See /api/annotators.")
    return found
