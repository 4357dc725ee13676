"""What is in one's own studies: people, lists, who has which, and the answers."""

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
    """GET who is in a study and how far they are; POST an annotator to add."""

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
    """DELETE an annotator: their unopened lists go to others, what they have begun stays theirs."""

    @call(*MANAGE, gives=fields.Count)
    def delete(self, request: PersonRequest, slug: str, public_id: uuid.UUID) -> Response:
        membership = annotator_of(request, slug, public_id)
        return self.answer(
            {"count": members.annotator_remove(membership=membership, by=request.user)}
        )


class ReleaseView(ApiView):
    """POST to free an annotator's unopened lists for others; the answer says how many."""

    @call(*MANAGE, gives=fields.Count)
    def post(self, request: PersonRequest, slug: str, public_id: uuid.UUID) -> Response:
        membership = annotator_of(request, slug, public_id)
        return self.answer(
            {"count": members.assignments_release(membership=membership, by=request.user)}
        )


class ItemsView(ApiView):
    """GET the lists of a study, with where they come from."""

    @call(*READ, query=fields.ItemsQuery, gives=fields.ItemFields, paged=True)
    def get(self, request: PersonRequest, slug: str) -> Response:
        found, around = self.page(
            study_records.study_items(
                study_of(request, slug),
                kind=self.query["kind"],
                layer=self.query["layer"],
                use=self.query["use"],
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


def annotator_of(request: PersonRequest, slug: str, public_id: uuid.UUID) -> Any:
    """An annotator of a study that the person runs."""
    people = selectors.annotators(study_of(request, slug))
    return get_object_or_404(people, user__public_id=public_id)
