"""The mark of studies with made-up annotations, in every response about one of them.

A study has the mark from its creation for good; the database refuses any change of it.
"""

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.functional import SimpleLazyObject

from annotation_site.accounts.models import User
from annotation_site.annotation.models import Study
from annotation_site.errors import DATABASE_AWAY
from annotation_site.prepared import Prepared

HEADER = "X-Made-Up-Annotations"
SUFFIX = "-made-up"
"""End of the short name of such a study, with which the name of each of its files begins."""
_LISTS = ("lists/<uuid:public_id>", "adjudication/<uuid:public_id>")


class MadeUpMiddleware:
    """Middleware that marks every response about a study with made-up annotations.

    The study is the one that the address names, by its short name or by one of its lists. So a new
    address of a study has the header, the line on its page and the field of its JSON without a line
    of its own. A person who may not see the study is told nothing about it.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request.made_up = SimpleLazyObject(lambda: is_made_up(request))  # type: ignore[attr-defined]
        response = self.get_response(request)
        if is_made_up(request):
            response[HEADER] = "true"
        return response


def about(request: HttpRequest, study: Study) -> None:
    """Say which study a request is about where that is known, so that nobody looks it up again."""
    request._made_up_study = study if study.made_up else None  # type: ignore[attr-defined]


def is_made_up(request: HttpRequest) -> bool:
    """Whether the request's study has made-up annotations and its person may know the study.

    The study is looked up once per request.
    """
    if not hasattr(request, "_made_up_study"):
        request._made_up_study = _study_of(request)  # type: ignore[attr-defined]
    study: Study | None = request._made_up_study  # type: ignore[attr-defined]
    user = getattr(request, "user", None)
    if study is None or not isinstance(user, User):
        return False
    if not hasattr(request, "_may_know"):
        known = user.is_admin or study.memberships.filter(user=user).exists()
        request._may_know = known  # type: ignore[attr-defined]
    return bool(request._may_know)  # type: ignore[attr-defined]


def _made_up(**found: Any) -> QuerySet[Study]:
    return Study.objects.filter(made_up=True, **found).only("pk")[:1]


_BY_SLUG = Prepared(lambda slug: _made_up(slug=slug))
_BY_LIST = Prepared(lambda public_id: _made_up(items__assignments__public_id=public_id))


def _study_of(request: HttpRequest) -> Study | None:
    """The study that the address names, if its annotations are made up."""
    match = request.resolver_match
    if match is None:
        return None
    try:
        if "slug" in match.kwargs:
            return _BY_SLUG.first(slug=match.kwargs["slug"])
        if any(place in match.route for place in _LISTS):
            return _BY_LIST.first(public_id=match.kwargs["public_id"])
    except DATABASE_AWAY:  # the response says so already
        pass
    return None
