"""Template variable with the number of unread notices, for the header of researchers' pages."""

from collections.abc import Callable

from django.http import HttpRequest

from annotation_site.accounts.models import User
from annotation_site.errors import DATABASE_AWAY
from annotation_site.notices.selectors import COUNTED, unread_count


def unread(request: HttpRequest) -> dict[str, Callable[[], str]]:
    """`unread_notices`: "", "3" or "99+". It is asked only where a template shows it."""

    def count() -> str:
        user = getattr(request, "user", None)
        if not isinstance(user, User) or not user.is_researcher:
            return ""
        try:
            found = unread_count(user)
        except DATABASE_AWAY:  # of a page that says so
            return ""
        return f"{COUNTED}+" if found > COUNTED else str(found or "")

    return {"unread_notices": count}
