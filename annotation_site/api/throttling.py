"""How many requests a person's tokens may make."""

import time
from typing import Any

from django.conf import settings
from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

WINDOW = 60  # seconds


class TokenThrottle(BaseThrottle):
    """API_REQUESTS_PER_MINUTE for all tokens of one person together; 429 says how long to wait.

    Counted in the cache that all processes share. Requests of the pages' own session are not
    counted: an autosave must not wait for a script.
    """

    def allow_request(self, request: Request, view: Any) -> bool:
        if request.auth is None:
            return True
        self.now = int(time.time())
        key = f"api:{request.user.pk}:{self.now // WINDOW}"
        cache.add(key, 0, WINDOW * 2)
        try:
            return cache.incr(key) <= settings.API_REQUESTS_PER_MINUTE
        except ValueError:  # the counter was cleared away between the two calls
            return True

    def wait(self) -> float:
        return WINDOW - self.now % WINDOW
