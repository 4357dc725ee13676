"""The search over all lists, for researchers and admins."""

from django.http.response import HttpResponseBase
from rest_framework.response import Response

from annotation_site.accounts.models import Role, Scope
from annotation_site.api.calls import ApiView, PersonRequest, call
from annotation_site.api.serializers import vector_search as fields
from annotation_site.downloads import attachment
from annotation_site.errors import Invalid
from annotation_site.explorer.search.files import found_file
from annotation_site.explorer.search.finding import VectorSearch, found_page, search_of
from annotation_site.exports import EXPORT_FORMATS

TYPES = tuple(sorted({export.media_type for export in EXPORT_FORMATS.values()}))


class AllVectorsView(ApiView):
    """GET the lists of all models that a search finds, page by page.

    Nobody finds a list that they annotate in an unfinished study.
    """

    @call(Scope.READ, Role.RESEARCHER, query=fields.SearchQuery, gives=fields.Found, errors=(422,))
    def get(self, request: PersonRequest) -> Response:
        return self.answer(found_page(_search(self), request.user, self.query["page"]))


class AllVectorsFileView(ApiView):
    """GET the first 10,000 lists that a search finds as a file."""

    @call(
        Scope.READ,
        Role.RESEARCHER,
        query=fields.ConditionsQuery,
        media=TYPES,
        errors=(422,),
    )
    def get(self, request: PersonRequest, extension: str) -> HttpResponseBase:
        return attachment(found_file(_search(self), request.user, extension))


def _search(view: ApiView) -> VectorSearch:
    asked = search_of(view.query)
    for first, last in (("layer_from", "layer_to"), ("percent_from", "percent_to")):
        low, high = getattr(asked, first), getattr(asked, last)
        if low is not None and high is not None and low > high:
            raise Invalid(f"{first} is larger than {last}. Swap them.")
    return asked
