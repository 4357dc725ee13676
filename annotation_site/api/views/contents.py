"""Contents of a person's own studies: people, lists, assignments, annotations."""

import uuid
from typing import Any

from django.shortcuts import get_object_or_404
from rest_framework.response import Response

from annotation_site.annotation import selectors
from annotation_site.annotation.monitoring import records as study_records
from annotation_site.annotation.people import members
from annotation_site.api.calls import ApiView, PageQuery, PersonRequest, call
from annotation_site.api.once import once
from annotation_site.api.serializers import contents as fields
from annotation_site.api.views.studies import MANAGE, READ, people_of, study_of


class StudyPeopleView(ApiView):
    """GET the people of a study with their progress; POST an annotator to add."""

    @call(*READ, query=PageQuery, gives=fields.Member, paged=True)
    def get(self, request: PersonRequest, slug: str) -> Response:
        return self.paged(study_records.study_people(study_of(request, slug)))

    @call(*MANAGE, takes=fields.NewMember, gives=fields.Member, status=201)
    @once()
    def post(self, request: PersonRequest, slug: str) -> Response:
        study = study_of(request, slug)
        (person,) = people_of(request, [self.body["person"]])
        added = members.annotator_add(study=study, user=person)
        return self.answer(study_records.study_people(study).get(pk=added.pk))


class StudyPersonView(ApiView):
    """DELETE an annotator: unopened lists go to others, opened ones stay with the person."""

    @call(*MANAGE, gives=fields.Count)
    def delete(self, request: PersonRequest, slug: str, public_id: uuid.UUID) -> Response:
        membership = annotator_of(request, slug, public_id)
        return self.answer(
            {"count": members.annotator_remove(membership=membership, by=request.user)}
        )


class ReleaseView(ApiView):
    """POST to release an annotator's unopened lists to others; returns their number."""

    @call(*MANAGE, gives=fields.Count)
    def post(self, request: PersonRequest, slug: str, public_id: uuid.UUID) -> Response:
        membership = annotator_of(request, slug, public_id)
        return self.answer(
            {"count": members.assignments_release(membership=membership, by=request.user)}
        )


class ItemsView(ApiView):
    """GET the lists of a study, with their origin."""

    @call(*READ, query=fields.ItemsQuery, gives=fields.ItemFields, paged=True)
    def get(self, request: PersonRequest, slug: str) -> Response:
        study = study_of(request, slug)
        found, around = self.page(
            study_records.study_items(
                study,
                kind=self.query["kind"],
                layer=self.query["layer"],
                use=self.query["use"],
            )
        )
        items = list(found)
        context = {"entries": study_records.item_entries(study, items), "study": study}
        return Response(
            {**around, "results": fields.ItemFields(items, many=True, context=context).data}
        )


class AssignmentsView(ApiView):
    """GET the assignments of a study, with their states."""

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
    """GET the submitted annotations of a study, oldest first."""

    @call(*READ, query=fields.AnnotationsQuery, gives=fields.Annotation, paged=True)
    def get(self, request: PersonRequest, slug: str) -> Response:
        found = study_records.study_annotations(
            study_of(request, slug), purpose=self.query["purpose"], person=self.query["person"]
        )
        return self.paged(found)


def annotator_of(request: PersonRequest, slug: str, public_id: uuid.UUID) -> Any:
    """An annotator of a study that the person runs."""
    people = selectors.annotators(study_of(request, slug))
    return get_object_or_404(people, user__public_id=public_id)
