"""A person's own work: the queue, drafts, submissions, skips."""

import uuid
from contextlib import suppress

from django.http import Http404, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext
from rest_framework.response import Response

from annotation_site.accounts.models import Scope
from annotation_site.annotation import selectors
from annotation_site.annotation.lists.page import (
    assignments_of,
    list_page,
    needs_consent,
    next_assignment,
    own_draft,
    own_list,
    page_after,
    page_instead,
)
from annotation_site.annotation.models import Assignment, ConsentText, Guidelines, Item
from annotation_site.annotation.people import consent as consents
from annotation_site.annotation.people.members import membership_back
from annotation_site.annotation.review import training
from annotation_site.annotation.review.adjudicated_annotations import (
    adjudicated_annotation_open_first,
    lists_without_reference,
)
from annotation_site.annotation.studies import made_up
from annotation_site.annotation.work import own_work, submissions
from annotation_site.api.calls import ApiView, PageQuery, PersonRequest, call
from annotation_site.api.serializers import lists as fields
from annotation_site.downloads import attachment
from annotation_site.errors import NotAllowed, NotFound
from annotation_site.exports import EXPORT_FORMATS
from annotation_site.results.pages.disagreement import undecided_after


class DraftView(ApiView):
    """GET the stored draft; PUT another: 409 with the newer draft if another tab saved first."""

    @call(Scope.ANNOTATE, gives=fields.ShownDraft)
    def get(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        return self.answer(own_draft(request.user, public_id))

    @call(Scope.ANNOTATE, takes=fields.Draft, gives=fields.Saved, errors=(409,))
    def put(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        version = submissions.draft_save(user=request.user, public_id=public_id, **self.body)
        return self.answer({"version": version})


class SubmitView(ApiView):
    """POST an annotation; the response holds the next list, so that one round trip does both."""

    @call(Scope.ANNOTATE, takes=fields.Submission, gives=fields.Next, errors=(409,))
    def post(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        assignment = submissions.assignment_submit(
            user=request.user, public_id=public_id, **self.body
        )
        made_up.about(self.request._request, assignment.item.study)
        return _after(assignment)


class SkipView(ApiView):
    """POST a reason to skip a list; it goes to somebody who has not had it, if there is one."""

    @call(Scope.ANNOTATE, takes=fields.Skip, gives=fields.Next, errors=(409,))
    def post(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        assignment = submissions.assignment_skip(
            user=request.user, public_id=public_id, **self.body
        )
        made_up.about(self.request._request, assignment.item.study)
        return _after(assignment)


class ListView(ApiView):
    """GET one of your lists as its annotator sees it. The first GET starts its lease."""

    @call(Scope.ANNOTATE, gives=fields.ListPage)
    def get(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        assignment = own_list(request.user, public_id)
        elsewhere = page_instead(assignment)
        if elsewhere is not None:
            raise NotAllowed(
                gettext(
                    "This list is not open to you now. Finish your training first. If you "
                    "submitted this list as training, read the feedback on it."
                ),
                page=elsewhere,
            )
        submissions.assignment_open(assignment)
        return Response(list_page(assignment))


class FeedbackView(ApiView):
    """GET your annotation of a training list beside the reference annotation."""

    @call(Scope.READ, gives=fields.Feedback)
    def get(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        submitted = assignments_of(request.user).filter(
            purpose=Assignment.Purpose.TRAINING, state=Assignment.State.SUBMITTED
        )
        assignment = get_object_or_404(submitted, public_id=public_id)
        return self.answer(training.feedback_of(assignment))


class WorkView(ApiView):
    """GET the studies that you annotate."""

    @call(Scope.READ, query=PageQuery, gives=fields.Work, paged=True)
    def get(self, request: PersonRequest) -> Response:
        return self.paged(own_work.own_studies(request.user))


class WorkDetailView(ApiView):
    """GET one of them with its guidelines and consent text; DELETE withdraws for good.

    What was not submitted goes to others; `on_withdrawal` says what becomes of the rest.
    """

    @call(Scope.READ, gives=fields.WorkDetail)
    def get(self, request: PersonRequest, slug: str) -> Response:
        own = own_work.own_studies(request.user)
        found = next((one for one in own if one.membership.study.slug == slug), None)
        if found is None:
            raise Http404
        for name, kind in (("consent", ConsentText), ("guidelines", Guidelines)):
            newest = selectors.newest_text(kind, found.membership.study)  # type: ignore[type-var]
            setattr(found.membership, name, newest.text if newest else "")
        return self.answer(found)

    @call(Scope.ANNOTATE, status=204)
    def delete(self, request: PersonRequest, slug: str) -> Response:
        consents.study_withdraw(membership=selectors.membership_of(request.user, slug))
        return Response(status=204)


class ConsentView(ApiView):
    """POST the version of the consent text that you agree to."""

    @call(Scope.ANNOTATE, takes=fields.Consent, status=204)
    def post(self, request: PersonRequest, slug: str) -> Response:
        consents.consent_give(membership=selectors.membership_of(request.user, slug), **self.body)
        return Response(status=204)


class NextView(ApiView):
    """POST to open your next list; null if none is left, or if consent is needed first."""

    @call(Scope.ANNOTATE, gives=fields.Next)
    def post(self, request: PersonRequest, slug: str) -> Response:
        membership = membership_back(user=request.user, slug=slug)
        if needs_consent(membership, membership.study):
            return Response({"next": None, "next_url": reverse("annotation:consent", args=[slug])})
        return _next(membership.pk, slug)


class OwnListsView(ApiView):
    """GET your lists of a study that are no longer waiting."""

    @call(Scope.READ, query=fields.OwnListsQuery, gives=fields.OwnList, paged=True)
    def get(self, request: PersonRequest, slug: str) -> Response:
        membership = selectors.membership_of(request.user, slug)
        if self.query["state"] == "set aside":
            found, around = self.page(own_work.set_aside_lists(membership))
            changed: set[int] = set()
        else:
            found, around = self.page(own_work.submitted_lists(membership))
            shown = own_work.with_unsubmitted_changes(list(found))
            changed = {row.pk for row, is_changed in shown if is_changed}
        rows = fields.OwnList(found, many=True, context={"changed": changed})
        return Response({**around, "results": rows.data})


class HoursView(ApiView):
    """GET your active time, by day and study."""

    @call(Scope.READ, query=PageQuery, gives=fields.WorkDay, paged=True)
    def get(self, request: PersonRequest) -> Response:
        return self.paged(own_work.work_days(request.user))


class HoursFileView(ApiView):
    """GET your active time as a file."""

    @call(
        Scope.READ,
        media=tuple(sorted({export.media_type for export in EXPORT_FORMATS.values()})),
    )
    def get(self, request: PersonRequest, extension: str) -> HttpResponseBase:
        return attachment(own_work.work_days_file(request.user, extension))


def _after(done: Assignment) -> Response:
    """The rest of the response after a submission or a skip."""
    if done.purpose == Assignment.Purpose.ADJUDICATION:
        return Response({"next": None, "next_url": _after_adjudicated(done)})
    elsewhere = page_after(done)
    if elsewhere is not None:
        return Response({"next": None, "next_url": elsewhere})
    return _next(done.membership_id, done.item.study.slug, after=done)


def _after_adjudicated(done: Assignment) -> str | None:
    """The next list to adjudicate, or to write a reference annotation of; else the page of them."""
    study, by = done.item.study, done.membership.user
    if done.item.use == Item.Use.STUDY:
        page, items = "annotation:adjudication", undecided_after(study, done.item_id, by=by)
    else:
        page, items = "annotation:list", list(lists_without_reference(study))
    following = adjudicated_annotation_open_first(items=items, by=by)
    return reverse(page, args=[following.public_id]) if following else page_after(done)


def _next(membership_id: int, slug: str, *, after: Assignment | None = None) -> Response:
    while True:
        following = next_assignment(membership_id, after=after)
        if following is None:
            return Response({"next": None, "next_url": reverse("annotation:study", args=[slug])})
        with suppress(NotFound):  # it went to somebody else at this moment
            submissions.assignment_open(following)
            break
    page = list_page(following)
    return Response({"next": page, "next_url": page["urls"]["page"]})
