"""Errors that a person can act on: one base class, one sentence, shown wherever they surface.

Services raise them; pages render the sentence, the API returns it as JSON and commands print
it. Anything else that is raised is a bug and propagates.
"""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


class SiteError(Exception):
    """Base class. `code` is stable for programs, `status` is the HTTP status."""

    code = "error"
    status = 400

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class NotAllowed(SiteError):
    """The person may not do this, or not now."""

    code = "not_allowed"
    status = 403


class ConsentNeeded(NotAllowed):
    """The person has not agreed to the study's consent text as it is now."""

    code = "consent_needed"


class NotFound(SiteError):
    """There is no such thing, or not for this person: the two look alike."""

    code = "not_found"
    status = 404


class TooManyRequests(SiteError):
    """Somebody tries too much in too short a time."""

    code = "too_many_requests"
    status = 429


class Invalid(SiteError):
    """What was sent breaks a rule; the sentence says which."""

    code = "invalid"
    status = 422


class InvalidAnswer(Invalid):
    """An answer that the study's rules do not allow."""

    code = "invalid_answer"


class DraftConflict(SiteError):
    """Somebody saved a newer draft; `details` carries it with its version."""

    code = "draft_conflict"
    status = 409


class SiteErrorMiddleware:
    """Turns a SiteError that a page raised into a page with its sentence."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, SiteError):
            return None
        return render(request, "error.html", {"message": error.message}, status=error.status)
