"""Login by OpenID Connect: allauth's two views, without sessions of strangers.

allauth notes in a session what it asked the service for. Until somebody has come back and is logged
in, this note is in a signed cookie instead: anybody could begin logins without end, and each
session is a row for two weeks.
"""

from datetime import timedelta
from typing import Any

from allauth.decorators import rate_limit
from allauth.socialaccount.providers.openid_connect import views as openid_connect
from django.conf import settings
from django.core import signing
from django.http import HttpRequest
from django.http.response import HttpResponseBase

COOKIE = "login-service"
SALT = "annotation_site.login_service"
KEPT = timedelta(minutes=10)  # as long as allauth accepts an answer


@rate_limit(action="login")
def login(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """Send a person to the service."""
    has_session = bool(request.session.keys())
    response: HttpResponseBase = openid_connect.login(request, provider_id)
    note = dict(request.session.items())
    if note and not has_session:
        request.session.flush()
        response.set_cookie(
            COOKIE,
            signing.dumps(note, salt=SALT, compress=True),
            max_age=KEPT,
            path=settings.SESSION_COOKIE_PATH,
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )
    return response


def callback(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """Log a person in with the service's answer; a failed login leaves no session."""
    note = {} if request.session.keys() else _note_of(request)
    request.session.update(note)
    response: HttpResponseBase = openid_connect.callback(request, provider_id)
    if note and request.session.keys() <= note.keys():
        request.session.flush()
    response.delete_cookie(COOKIE, path=settings.SESSION_COOKIE_PATH, samesite="Lax")
    return response


def _note_of(request: HttpRequest) -> dict[str, Any]:
    try:
        note: dict[str, Any] = signing.loads(
            request.COOKIES.get(COOKIE, ""), salt=SALT, max_age=KEPT
        )
    except signing.BadSignature:
        return {}
    return note
