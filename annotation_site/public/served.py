"""Public pages for everybody, without a login: files of a folder, and the list of them.

No query, no session and no cookie: who may read is decided by what stands in the folder. A browser
asks again each time whether a file is still there, so that a page that is switched off is gone.
"""

import os
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseNotFound
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header
from django.utils.translation import gettext, override
from django.views.decorators.http import require_safe

from annotation_site.public import files

MADE_UP = "X-Made-Up-Annotations"  # as on every response about such a study
CACHE = "public, no-cache"  # may be kept, and is asked for each time
MOST_LISTED = 1000
MOST_AT_ONCE = 1_000_000  # bytes; larger files are sent in pieces
View = Callable[..., HttpResponseBase]


def _public(view: View) -> View:
    """A view of everybody's pages: in the site's language, and asked for each time."""

    @require_safe
    @wraps(view)
    def served(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with override(settings.LANGUAGE_CODE):
            response = view(request, *args, **kwargs)
        response["Cache-Control"] = CACHE
        response["Content-Language"] = settings.LANGUAGE_CODE
        if response.status_code >= 400:
            response["X-Robots-Tag"] = "noindex"
        return response

    return served


@_public
def listed(request: HttpRequest) -> HttpResponseBase:
    """The studies that are published."""
    found = sorted(files.pages(), key=lambda page: (str(page[1].get("title")).casefold(), page[0]))
    context = {
        "pages": [{"slug": slug, **said} for slug, said in found[:MOST_LISTED]],
        "language": settings.LANGUAGE_CODE,
    }
    response = HttpResponse(render_to_string("public/listed.html", context))
    response["X-Robots-Tag"] = "noindex"
    return response


@_public
def page(request: HttpRequest, published: str) -> HttpResponseBase:
    """A study's public page."""
    return _file(request, published, files.INDEX)


@_public
def file(request: HttpRequest, published: str, name: str) -> HttpResponseBase:
    """A file of a study's public page: a page of lists, a table, a figure, its style."""
    return _file(request, published, name)


def _file(request: HttpRequest, published: str, name: str) -> HttpResponseBase:
    folder = files.page_folder(published)
    said = files.about(folder) if files.SLUG.match(published) else None
    if said is None:
        return _nowhere()
    response = file_response(request, folder, name)
    if response is None:
        return _nowhere()
    if not said.get("is_indexed"):
        response["X-Robots-Tag"] = "noindex"
    if said.get("made_up"):
        response[MADE_UP] = "true"
    return response


def file_response(request: HttpRequest, folder: Any, name: str) -> HttpResponseBase | None:
    """A file of a public page or of its draft; None where there is no such file."""
    path = files.file_found(folder, name)
    if path is None:
        return None
    try:
        content = path.open("rb")
    except OSError:  # switched off just now
        return None
    stat = os.fstat(content.fileno())
    etag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
    unchanged = get_conditional_response(request, etag=etag)
    if unchanged is not None:
        content.close()
        unchanged["ETag"] = etag
        return unchanged
    extension = name.rpartition(".")[2]
    response: HttpResponseBase
    if stat.st_size <= MOST_AT_ONCE:
        with content:
            response = HttpResponse(content.read(), content_type=files.TYPES[extension])
    else:
        response = FileResponse(content, content_type=files.TYPES[extension])
    response["ETag"] = etag
    response["Content-Length"] = str(stat.st_size)
    if extension in files.SAVED:
        saved = f"{folder.name}-{name}"
        response["Content-Disposition"] = content_disposition_header(True, saved) or ""
    elif "Content-Disposition" in response:
        del response["Content-Disposition"]
    return response


def _nowhere() -> HttpResponse:
    said = gettext("There is no such public page. It may have been switched off.")
    context = {"language": settings.LANGUAGE_CODE, "said": said}
    return HttpResponseNotFound(render_to_string("public/nowhere.html", context))
