"""Who calls the API."""

from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request


class PageSession(SessionAuthentication):
    """The session of the pages, with its CSRF check; a stranger gets 401 rather than 403."""

    def authenticate_header(self, request: Request) -> str:
        return "Session"
