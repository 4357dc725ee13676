"""A person's own studies in progress: progress, letting people in, adjudication."""

import uuid
from typing import Any

from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext
from rest_framework.response import Response

from annotation_site.accounts.throttling import counted
from annotation_site.annotation.crowd.payment import payments
from annotation_site.annotation.lists.page import assignments_of, list_page
from annotation_site.annotation.models import Assignment, Item
from annotation_site.annotation.monitoring import progress as monitoring
from annotation_site.annotation.review import adjudication, training
from annotation_site.annotation.review.adjudicated_annotations import (
    adjudicated_annotation_open,
    references_of,
)
from annotation_site.annotation.review.looks import look_is_asked, look_record
from annotation_site.annotation.work import submissions
from annotation_site.api.calls import ApiView, PageQuery, PersonRequest, call
from annotation_site.api.serializers import monitoring as fields
from annotation_site.api.views.contents import annotator_of
from annotation_site.api.views.studies import MANAGE, READ, study_of
from annotation_site.downloads import attachment
from annotation_site.errors import Invalid
from annotation_site.results.files.adjudicated_export import ADJUDICATED_FORMATS
from annotation_site.results.files.downloads import adjudicated_download
from annotation_site.results.pages import disagreement, one_list
from annotation_site.results.pages.list_search import ListFilters, list_rows, lists_found


class ProgressView(ApiView):
    """GET the progress of a study and of each of its annotators."""

    @call(*READ, gives=fields.Progress)
    def get(self, request: PersonRequest, slug: str) -> Response:
        return self.answer(monitoring.study_progress(study_of(request, slug)))


class FlagsView(ApiView):
    """GET hints at hurried work. They are hints only and reject nothing."""

    @call(*READ, query=PageQuery, gives=fields.PersonFlags, paged=True)
    def get(self, request: PersonRequest, slug: str) -> Response:
        found = monitoring.flags_by_person(study_of(request, slug))
        rows = [{"person": member.user.public_id, "flags": flags} for member, flags in found]
        return self.paged(rows)


class PaymentsView(ApiView):
    """GET the payment table: each person who joined by an open link, with the reason for the row's
    state. It pays nobody and rejects nothing.
    """

    @call(*READ, query=fields.PaymentsQuery, gives=fields.PaymentFields, paged=True)
    def get(self, request: PersonRequest, slug: str) -> Response:
        study = study_of(request, slug)
        wanted = self.query["link"]
        link = get_object_or_404(study.open_links, public_id=wanted) if wanted else None
        return self.paged(payments(study, link=link))


class LetInView(ApiView):
    """POST to let an annotator in who did not pass the training."""

    @call(*MANAGE, status=204, errors=(422,))
    def post(self, request: PersonRequest, slug: str, public_id: uuid.UUID) -> Response:
        membership = annotator_of(request, slug, public_id)
        training.training_waive(membership=membership, by=request.user)
        return Response(status=204)


class StudyListsView(ApiView):
    """GET a study's own lists, filtered, with annotations, skips and agreement, in an order."""

    @call(*READ, query=fields.RankedQuery, gives=fields.Ranked, paged=True)
    def get(self, request: PersonRequest, slug: str) -> Response:
        study = study_of(request, slug)
        ranking = disagreement.ranking_of(study)
        query = {name: self.query[name] for name in self.query if name not in PageQuery().fields}
        rows, around = self.page(lists_found(study, ListFilters(**query), ranking))
        shown = list_rows(study, rows, ranking)
        return Response({**around, "results": self.given(shown, many=True)})


class StudyListView(ApiView):
    """GET one of a study's own lists: entries with scores, and everybody's annotations by name.

    A person who can still adjudicate it blind is refused with 422 until a POST to `look`.
    """

    @call(*READ, gives=fields.WholeList, errors=(422,))
    def get(self, request: PersonRequest, slug: str, number: int) -> Response:
        item = own_list_of(request, slug, number)
        if look_is_asked(item=item, user=request.user):
            raise Invalid(
                gettext(
                    "You can still adjudicate this list blind. Adjudicate it first, or send a POST "
                    "to its “look” address: your adjudicated annotation of it will be marked as "
                    "not blind."
                )
            )
        look_record(item=item, by=request.user)
        return self.answer(one_list.list_of(item, disagreement.ranking_of(item.study)))


class LookView(ApiView):
    """POST before reading a list that you could adjudicate blind: yours is then not blind."""

    @call(*MANAGE, status=204)
    def post(self, request: PersonRequest, slug: str, number: int) -> Response:
        look_record(item=own_list_of(request, slug, number), by=request.user)
        return Response(status=204)


def own_list_of(request: PersonRequest, slug: str, number: int) -> Item:
    """One of the own lists of a study that the person runs."""
    study = study_of(request, slug)
    found = study.items.filter(use=Item.Use.STUDY).select_related("vector__extraction__model")
    item: Item = get_object_or_404(found, pk=number)
    item.study = study
    return item


class ReferencesView(ApiView):
    """GET the training and reference lists; a POST to `adjudicate` of one opens its reference
    annotation.
    """

    @call(*READ, query=PageQuery, gives=fields.ReferenceFields, paged=True)
    def get(self, request: PersonRequest, slug: str) -> Response:
        return self.paged(references_of(study_of(request, slug)))


class AdjudicationView(ApiView):
    """GET the lists that can be adjudicated, those with the lowest agreement first."""

    @call(*READ, query=fields.QueueQuery, gives=fields.Queued, paged=True)
    def get(self, request: PersonRequest, slug: str) -> Response:
        study = study_of(request, slug)
        queue = disagreement.adjudication_queue(study)
        shown = queue.decided if self.query["show"] == "decided" else queue.undecided
        rows, around = self.page(shown)
        found = disagreement.queue_rows(study, queue, rows)
        return Response({**around, "results": self.given(found, many=True)})


class AdjudicateView(ApiView):
    """POST to open a list for adjudication, with people's annotations as A, B and so on.

    Of a training or reference list this is the reference answer, given before anybody answers.
    """

    @call(*MANAGE, gives=fields.Adjudicated, errors=(422,))
    def post(self, request: PersonRequest, slug: str, item: int) -> Response:
        found = get_object_or_404(study_of(request, slug).items, pk=item)
        opened = adjudicated_annotation_open(item=found, by=request.user)
        final: Assignment = assignments_of(request.user).get(pk=opened.pk)
        submissions.assignment_open(final)
        if found.use != Item.Use.STUDY:  # the reference answer of a training or reference list
            return self.answer({"page": list_page(final), "annotations": []})
        said: dict[str, Any] = adjudication.side_by_side(found).annotations
        return self.answer(
            {
                "page": adjudication.adjudication_page(final),
                "annotations": [{"letter": letter, **answer} for letter, answer in said.items()],
            }
        )


@counted
class AdjudicatedFileView(ApiView):
    """GET a study's adjudicated annotations as a file of their own."""

    @call(
        *READ,
        media=tuple(sorted({export.media_type for export in ADJUDICATED_FORMATS.values()})),
    )
    def get(self, request: PersonRequest, slug: str, extension: str) -> HttpResponseBase:
        study = study_of(request, slug)
        return attachment(adjudicated_download(study=study, extension=extension))
