"""Known devices: browsers in which a person has logged in, exempt from limits on guesses by others.

The browser keeps a signed cookie with a number of its own and digests of the names. Wrong passwords
from it are counted for it alone. Who takes the cookie away guesses as often as anybody else could,
and no more often with copies of it.
"""

import secrets
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core import signing
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.crypto import salted_hmac

COOKIE = "known-device"
SALT = "annotation_site.known_device"
KEPT = timedelta(days=180)
MOST_PEOPLE = 10  # of one browser; the last ones


def known_device(request: HttpRequest, name: str) -> str | None:
    """The device number of a browser in which this person has logged in before, else None."""
    device = _device_of(request)
    return device["id"] if device and _digest(name, device["id"]) in device["names"] else None


def device_remember(request: HttpRequest, response: HttpResponseBase, name: str) -> None:
    """Add the name to the device cookie of the response, and keep the others."""
    device = _device_of(request) or {"id": secrets.token_hex(16), "names": []}
    digest = _digest(name, device["id"])
    names = [known for known in device["names"] if known != digest]
    device["names"] = [*names, digest][-MOST_PEOPLE:]
    response.set_cookie(
        COOKIE,
        signing.dumps(device, salt=SALT),
        max_age=KEPT,
        path=settings.SESSION_COOKIE_PATH,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _device_of(request: HttpRequest) -> dict[str, Any] | None:
    try:
        return signing.loads(request.COOKIES.get(COOKIE, ""), salt=SALT, max_age=KEPT)
    except signing.BadSignature:
        return None


def _digest(name: str, device: str) -> str:
    return salted_hmac(SALT, f"{device}:{name.casefold()}", algorithm="sha256").hexdigest()[:32]
