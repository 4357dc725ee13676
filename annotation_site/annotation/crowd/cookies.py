"""The cookie by which a browser gets back to its participant's account, and to no other.

It is signed, and holds for each account a digest that changes when the account is erased. Copying
an address therefore hands over nothing.
"""

import hashlib
import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core import signing
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from annotation_site.annotation.crowd.models import CrowdParticipant, OpenLink

COOKIE = "open-link"
SALT = "annotation_site.open_link"
KEPT = timedelta(days=30)
MOST_ACCOUNTS = 10  # of one browser; the last ones


def participant_remember(
    request: HttpRequest, response: HttpResponseBase, participant: CrowdParticipant
) -> None:
    """Add the participant to the cookie of the response, and keep the others."""
    user = participant.membership.user
    entry = [participant.link.public_id.hex, user.public_id.hex, _digest(user)]
    others = [known for known in _known(request) if known[1] != entry[1]]
    response.set_cookie(
        COOKIE,
        signing.dumps([*others, entry][-MOST_ACCOUNTS:], salt=SALT),
        max_age=KEPT,
        path=settings.SESSION_COOKIE_PATH,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def participants_known(request: HttpRequest, link: OpenLink) -> list[CrowdParticipant]:
    """The link's participants to whom this browser may return, the last one first."""
    own = [known for known in reversed(_known(request)) if known[0] == link.public_id.hex]
    rows = CrowdParticipant.objects.filter(
        link=link, membership__user__public_id__in=[uuid.UUID(known[1]) for known in own]
    ).select_related("link__study", "membership__user", "membership__study")
    found = {row.membership.user.public_id.hex: row for row in rows if own}
    return [
        found[person]
        for _link, person, digest in own
        if person in found
        and found[person].membership.user.is_active
        and _digest(found[person].membership.user) == digest
    ]


def _known(request: HttpRequest) -> list[list[str]]:
    try:
        known: list[list[str]] = signing.loads(
            request.COOKIES.get(COOKIE, ""), salt=SALT, max_age=KEPT
        )
    except signing.BadSignature:
        return []
    return known


def _digest(user: Any) -> str:
    """Of the unusable password, which is random and which erasing replaces."""
    return hashlib.sha256(user.password.encode()).hexdigest()[:32]
