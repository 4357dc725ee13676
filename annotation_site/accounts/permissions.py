"""View decorators by role. Selectors scope the objects inside a page."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import activate, gettext
from django_htmx.middleware import HtmxDetails

from annotation_site.accounts.models import User
from annotation_site.errors import NotAllowed

View = Callable[..., HttpResponseBase]


class PersonRequest(HttpRequest):
    """A request of a logged-in person, for the types of views."""

    user: User
    htmx: HtmxDetails


def speak_english() -> None:
    """Show the rest of this request in English, for pages of researchers.

    Catalogues cover what annotators see: without this, such a page would be in two languages.
    """
    activate(settings.LANGUAGE_CODE)


def admin_required(view: View) -> View:
    """Allow only admins, and in English; others get a sentence, strangers the login page."""

    @login_required
    @wraps(view)
    def guarded(request: PersonRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_admin:
            raise NotAllowed(gettext("This page is for admins. Ask an admin to give you the role."))
        speak_english()
        return view(request, *args, **kwargs)

    return guarded


def researcher_required(view: View) -> View:
    """Allow only researchers and admins, and in English."""

    @login_required
    @wraps(view)
    def guarded(request: PersonRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_researcher:
            raise NotAllowed(
                gettext("This page is for researchers. Ask an admin to give you the role.")
            )
        speak_english()
        return view(request, *args, **kwargs)

    return guarded
