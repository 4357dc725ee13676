"""Rate limits: a person's requests per minute, counted for all processes together."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.utils.translation import ngettext

from annotation_site.accounts.models import User
from annotation_site.errors import TooManyRequests, refusal_response

WINDOW = 60  # seconds
READS = ("GET", "HEAD", "OPTIONS", "TRACE")


# One statement: it locks the row, counts and tells, so that of requests at once each gets a number
# of its own, and nobody waits for a transaction. The cache takes eight queries for it.
_COUNT = """
INSERT INTO accounts_requestcount (counter, "window", count) VALUES (%s, %s, 1)
ON CONFLICT (counter) DO UPDATE SET
    count = CASE WHEN accounts_requestcount."window" = excluded."window"
                 THEN accounts_requestcount.count + 1 ELSE 1 END,
    "window" = excluded."window"
RETURNING count
"""


def seconds_to_wait(counter: str, *, most: int) -> int | None:
    """Count a request; beyond `most` in this minute, return the seconds until the next.

    Counted in the database, which all processes share.
    """
    now = int(time.time())
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [counter, now // WINDOW])
        (count,) = cursor.fetchone()
    return WINDOW - now % WINDOW if count > most else None


Counted = TypeVar("Counted")


def counted(view: Counted) -> Counted:
    """Count a view's GET as a write, because the log stores a row for each."""
    view.counts_as_write = True  # type: ignore[attr-defined]
    return view


class WriteThrottle:
    """Limit the changes by one person's sessions, pages and API together (WRITES_PER_MINUTE).

    Requests with a token are counted by `api.throttling`; what strangers may do, by allauth.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        """Return 429 before the body is read and anything is done."""
        writes = request.method not in READS
        if not writes and not hasattr(getattr(view, "cls", view), "counts_as_write"):
            return None
        if not isinstance(request.user, User):
            return None
        wait = seconds_to_wait(f"writes:{request.user.pk}", most=settings.WRITES_PER_MINUTE)
        if wait is None:
            return None
        sentence = ngettext(
            "You made more than %(most)s changes within a minute, so this one was not saved. Wait "
            "%(wait)s second, then try again.",
            "You made more than %(most)s changes within a minute, so this one was not saved. Wait "
            "%(wait)s seconds, then try again.",
            wait,
        ) % {"most": settings.WRITES_PER_MINUTE, "wait": wait}
        response = refusal_response(request, TooManyRequests(sentence, retry_after=wait))
        response["Retry-After"] = str(wait)
        return response
