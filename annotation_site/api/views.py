"""Endpoints of the annotation page. Each parses, calls one service and renders."""

import uuid
from typing import Any

from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from annotation_site.accounts.models import User
from annotation_site.annotation import selectors, submissions
from annotation_site.annotation.models import Assignment
from annotation_site.api.serializers import DraftSerializer, SkipSerializer, SubmitSerializer
from annotation_site.results.services import snapshot_refresh_soon


class PersonRequest(Request):
    """A request of somebody who is logged in: the default permission of this API."""

    user: User


class DraftView(APIView):
    """PUT an unfinished answer; 409 with the newer draft when another tab was faster."""

    def put(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        version = submissions.draft_save(
            user=request.user, public_id=public_id, **_parsed(DraftSerializer, request)
        )
        return Response({"version": version})


class SubmitView(APIView):
    """POST an answer; the reply holds the next list, so that one round trip does both."""

    def post(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        assignment = submissions.assignment_submit(
            user=request.user, public_id=public_id, **_parsed(SubmitSerializer, request)
        )
        snapshot_refresh_soon(study_id=assignment.item.study_id)
        return _next(assignment)


class SkipView(APIView):
    """POST a reason; the list goes to another person."""

    def post(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        assignment = submissions.assignment_skip(
            user=request.user, public_id=public_id, **_parsed(SkipSerializer, request)
        )
        snapshot_refresh_soon(study_id=assignment.item.study_id)
        return _next(assignment)


def _parsed(serializer_class: type[Serializer], request: PersonRequest) -> dict[str, Any]:
    serializer = serializer_class(data=request.data)
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


def _next(done: Assignment) -> Response:
    elsewhere = selectors.page_after(done)
    if elsewhere is not None:
        return Response({"next": None, "next_url": elsewhere})
    following = selectors.next_assignment(done.membership_id)
    if following is None:
        own = reverse("annotation:study", args=[done.item.study.slug])
        return Response({"next": None, "next_url": own})
    submissions.assignment_open(following)
    page = selectors.list_page(following)
    return Response({"next": page, "next_url": page["urls"]["page"]})
