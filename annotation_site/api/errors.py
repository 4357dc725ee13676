"""One JSON shape for every error: {"error": {"code", "message", "details"}}."""

import math
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404
from django.utils.translation import gettext
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from annotation_site.api.parsers import TooLarge
from annotation_site.errors import SiteError


def error_response(error: Exception, context: dict[str, Any]) -> Response | None:
    """The response to an error that a person can act on; None lets a bug propagate."""
    set_rollback()
    if isinstance(error, SiteError):
        return _response(error.status, error.code, error.message, error.details)
    if isinstance(error, Http404):
        return _response(
            404, "not_found", gettext("This does not exist, or you may not see it."), {}
        )
    if isinstance(error, RequestDataTooBig):
        return _response(413, TooLarge.default_code, str(TooLarge.default_detail), {})
    if isinstance(error, PermissionDenied):
        return _response(403, "not_allowed", gettext("You may not do this."), {})
    if isinstance(error, exceptions.ValidationError):
        return _response(
            400,
            "invalid_request",
            gettext("The request is malformed. See the details."),
            error.detail,
        )
    if isinstance(error, exceptions.APIException):
        code = error.get_codes()
        response = _response(
            error.status_code, code if isinstance(code, str) else "error", str(error.detail), {}
        )
        if error.status_code == 401:
            response["WWW-Authenticate"] = "Bearer"
        if wait := getattr(error, "wait", None):
            response["Retry-After"] = str(math.ceil(wait))
        return response
    return None


def _response(status: int, code: str, message: str, details: Any) -> Response:
    body = {"error": {"code": code, "message": message, "details": details}}
    return Response(body, status=status)
