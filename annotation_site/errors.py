"""Errors that a person can act on: one base class, one sentence, the same in pages and API.

Services raise them; pages render the sentence, the API returns it as JSON and commands print
it. Anything else that is raised is a bug and propagates.
"""

import errno
import sys
from collections.abc import Callable
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.translation import gettext_lazy, gettext_noop
from django.views.defaults import server_error

from annotation_site.sentences import Sentence

# What the database raises when it restarts, is locked for too long, or has no room left. It passes
# by itself or by an operator's hand, so it ends no work for good.
DATABASE_AWAY = (OperationalError, InterfaceError)
UNAVAILABLE = gettext_lazy(
    "The database does not answer at the moment: it may be restarting, busy or out of disk space. "
    "What you saved before is kept. Go back and try again in a minute. If it happens again, tell "
    "the person who runs this site."
)
RETRY_AFTER_SECONDS = 5
_STORAGE = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO,
    errno.EMFILE, errno.ENFILE,
}  # fmt: skip


class SiteError(Exception):
    """Base class of errors with a sentence. `code` is stable for programs, `status` is the HTTP
    status.

    What a worker may raise, and then keeps, is a Sentence, not yet in any language.
    """

    code = "error"
    status = 400

    def __init__(self, sentence: str | Sentence, **details: Any) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.details = details

    @property
    def message(self) -> str:
        """The sentence, in the language of the moment."""
        return str(self.sentence)


class NotAllowed(SiteError):
    """The person may not do this, or not now."""

    code = "not_allowed"
    status = 403


class ConsentNeeded(NotAllowed):
    """The person has not agreed to the study's consent text as it is now."""

    code = "consent_needed"


class NotFound(SiteError):
    """The object does not exist, or is not this person's: both look alike."""

    code = "not_found"
    status = 404


class TooManyRequests(SiteError):
    """Too many attempts in too short a time."""

    code = "too_many_requests"
    status = 429


class Invalid(SiteError):
    """The input breaks a rule; the sentence says which."""

    code = "invalid"
    status = 422


class InvalidAnnotation(Invalid):
    """An annotation that breaks the study's rules."""

    code = "invalid_annotation"


class DraftConflict(SiteError):
    """A newer draft was saved elsewhere; `details` has it with its version."""

    code = "draft_conflict"
    status = 409


def storage_sentence(error: OSError) -> Sentence | None:
    """The sentence for a full or read-only disk, with a remedy; None for any other error."""
    if error.errno not in _STORAGE:
        return None
    return Sentence(
        gettext_noop(
            "The server cannot write its files: %(reason)s. Free disk space there or make its "
            "folders writable, then try again. Nothing half-written is kept."
        ),
        reason=error.strerror or str(error),
    )


def fault(request: HttpRequest) -> HttpResponse:
    """The response to an unhandled exception: 503 while the database is down, else 500.

    Django calls this inside its `except`, also for errors of middleware. The page knows no request:
    with one it would ask the database who is logged in.
    """
    if not isinstance(sys.exception(), DATABASE_AWAY):
        return server_error(request)
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    if request.path_info.startswith("/api/"):  # also below a path of its host
        body = {"error": {"code": "unavailable", "message": UNAVAILABLE, "details": {}}}
        return JsonResponse(body, status=503, headers=headers)
    page = render_to_string("503.html", {"message": UNAVAILABLE})  # no request: no context of it
    return HttpResponse(page, status=503, headers=headers)


def refusal_response(request: HttpRequest, error: SiteError) -> HttpResponse:
    """The response to a SiteError: JSON for the API, else a page."""
    if request.path_info.startswith("/api/"):
        body = {"error": {"code": error.code, "message": error.message, "details": error.details}}
        return JsonResponse(body, status=error.status)
    return render(request, "error.html", {"message": error.message}, status=error.status)


class SiteErrorMiddleware:
    """Middleware that turns a SiteError of a page into a page with its sentence."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return refusal_response(request, error) if isinstance(error, SiteError) else None
