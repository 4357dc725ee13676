"""Views of the search over all lists, for researchers and admins."""

from typing import Any

from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET

from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.corpus.models import Kind
from annotation_site.corpus.selectors import extractions_ready
from annotation_site.downloads import attachment
from annotation_site.errors import Invalid
from annotation_site.explorer.search.files import found_file
from annotation_site.explorer.search.finding import MOST_ROWS, VectorSearch, found_page
from annotation_site.explorer.search.forms import VectorSearchForm
from annotation_site.exports import EXPORT_FORMATS


@researcher_required
@require_GET
def search(request: PersonRequest) -> HttpResponse:
    """Lists of all models by tokens, descriptions, places and shares, page by page."""
    extractions = list(extractions_ready())
    asked_for = request.GET or {"kind": Kind.VALUE}  # a first look is at what people search most
    form = VectorSearchForm(asked_for, extractions=extractions)
    context: dict[str, Any] = {"form": form, "extractions": extractions, "most": MOST_ROWS}
    if form.is_valid():
        asked = form.search()
        context |= {"search": asked, "query": asked.query, "formats": tuple(EXPORT_FORMATS)}
        if request.GET and not asked.is_empty and extractions:
            try:
                number = form.cleaned_data["page"] or 1
                context["page"] = found_page(asked, request.user, number)
            except Invalid as refused:
                form.add_error(None, refused.message)
    status = 422 if form.errors else 200
    return render(request, "explorer/search.html", context, status=status)


@researcher_required
@require_GET
def search_file(request: PersonRequest, extension: str) -> HttpResponseBase:
    """The lists that a search finds, as a file. Raises Invalid where the page refuses."""
    return attachment(found_file(_search(request), request.user, extension))


def _search(request: PersonRequest) -> VectorSearch:
    form = VectorSearchForm(request.GET, extractions=list(extractions_ready()))
    if not form.is_valid():
        raise Invalid(str(next(iter(form.errors.values()))[0]))
    return form.search()
