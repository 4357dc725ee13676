"""How many requests one person may make in a minute, counted for all processes together."""

import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from annotation_site.accounts.models import User
from annotation_site.errors import TooManyRequests, refusal_response

WINDOW = 60  # seconds
READS = ("GET", "HEAD", "OPTIONS", "TRACE")


def seconds_to_wait(counter: str, *, most: int) -> int | None:
    """Count one; beyond `most` in this minute, the seconds until the next one begins.

    Counted in the cache that all processes share, whose counters lose nothing.
    """
    now = int(time.time())
    key = f"{counter}:{now // WINDOW}"
    try:
        count = cache.incr(key)
    except ValueError:  # the first of its minute
        cache.add(key, 0, WINDOW * 2)
        try:
            count = cache.incr(key)
        except ValueError:  # the counter was cleared away between the two calls
            return None
    return WINDOW - now % WINDOW if count > most else None


def counted(view: Callable[..., Any]) -> Callable[..., Any]:
    """Count a view's GET as a write: the log keeps a row of each."""
    view.counts_as_write = True  # type: ignore[attr-defined]
    return view


class WriteThrottle:
    """WRITES_PER_MINUTE for what one person's sessions change, by pages and API together.

    Requests with a token are counted by `api.throttling`; what strangers may do, by allauth.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        """Answer 429 before the body is read and anything is done."""
        writes = request.method not in READS
        if not writes and not hasattr(getattr(view, "cls", view), "counts_as_write"):
            return None
        if not isinstance(request.user, User):
            return None
        wait = seconds_to_wait(f"writes:{request.user.pk}", most=settings.WRITES_PER_MINUTE)
        if wait is None:
            return None
        sentence = _(
            "You changed things more than {most} times within a minute, so this was not done. "
            "Wait {wait} seconds, then try again."
        ).format(most=settings.WRITES_PER_MINUTE, wait=wait)
        response = refusal_response(request, TooManyRequests(sentence, retry_after=wait))
        response["Retry-After"] = str(wait)
        return response
