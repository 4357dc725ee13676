"""Addresses open to accounts of open links: their own work and nothing else."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from annotation_site.accounts.models import User
from annotation_site.errors import NotAllowed, refusal_response

# By the names of addresses; whatever is not among them is refused, also what comes later.
ALLOWED = frozenset(
    {
        "home", "healthz", "readyz", "metrics", "login", "account_login", "logout",
        "account_logout", "public:listed", "public:page", "public:file",
        *(
            f"annotation:{name}"
            for name in (
                "study", "next", "consent", "withdraw", "list", "feedback", "dialogs",
                "script_words", "tutorial", "comparison", "open_link", "check", "done", "ended",
                "leave",
            )
        ),
        *(f"api:{name}" for name in ("list", "draft", "submit", "skip", "feedback")),
    }
)  # fmt: skip


class CrowdGuard:
    """Middleware that keeps accounts of open links to the addresses in ALLOWED."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        """Refuse before the view runs."""
        match = request.resolver_match
        if match is None or match.view_name in ALLOWED:
            return None
        if not isinstance(request.user, User) or not request.user.is_crowd:
            return None
        return refusal_response(
            request,
            NotAllowed(
                _(
                    "You take part by an open link, and its account is for that study alone. Go "
                    "back to your lists, or log out first."
                )
            ),
        )
