"""Rate limit for API tokens."""

from typing import Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from annotation_site.accounts.throttling import seconds_to_wait


class TokenThrottle(BaseThrottle):
    """API_REQUESTS_PER_MINUTE for all tokens of one person together; 429 has the seconds to wait.

    Requests of the pages' own session are counted by `accounts.throttling`: an autosave must not
    wait for a script.
    """

    def allow_request(self, request: Request, view: Any) -> bool:
        if request.auth is None:
            return True
        self.seconds = seconds_to_wait(
            f"api:{request.user.pk}", most=settings.API_REQUESTS_PER_MINUTE
        )
        return self.seconds is None

    def wait(self) -> float | None:
        return self.seconds
