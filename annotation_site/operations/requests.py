"""Request ids in responses and log lines, and counts of requests."""

import logging
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from annotation_site.logs import request_id
from annotation_site.operations import metrics

HEADER = "X-Request-ID"
WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,64}")
log = logging.getLogger("annotation_site.requests")


class NoFiles(FileUploadHandler):
    """Upload handler of addresses that take no files: it reads past them and keeps nothing."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Refuse each before its first byte."""
        raise SkipFile


class RequestMiddleware:
    """Middleware that gives a request its id: the proxy's if it is well-formed, else a new one.

    Without a proxy the sender is a stranger, who could hide among another request's lines.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        sent = request.headers.get(HEADER, "") if settings.BEHIND_PROXY else ""
        identifier = sent if WELL_FORMED.fullmatch(sent) else uuid.uuid4().hex
        # Not reset afterwards: Django logs a refused request once the middleware is through.
        request_id.set(identifier)
        started = time.perf_counter()
        response = self.get_response(request)
        seconds = time.perf_counter() - started
        response[HEADER] = identifier
        if request.method == "HEAD":
            _without_body(response)
        match = request.resolver_match
        view = (match.view_name or "unnamed") if match else "unknown"
        metrics.request_count(request.method or "", view, response.status_code, seconds)
        log.info(
            "%s %s %s", request.method, view, response.status_code,
            extra={"fields": {"milliseconds": round(seconds * 1000)}},
        )  # fmt: skip
        return response


class NothingKept:
    """Middleware that forbids browsers and proxies to store responses, which hold names.

    Static files say themselves that they are public and may be kept.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if "public" not in response.get("Cache-Control", ""):
            response["Cache-Control"] = "private, no-store"
        return response


def _without_body(response: HttpResponseBase) -> None:
    """GET's headers, length included, and no more: a server warns of each body it must drop."""
    if isinstance(response, StreamingHttpResponse):
        response.streaming_content = ()
    elif isinstance(response, HttpResponse):
        length = response.get("Content-Length")
        response.content = b""
        if length is not None:
            response["Content-Length"] = length
