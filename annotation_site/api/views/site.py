"""The API's description, and the response for unknown addresses."""

from typing import Any, NoReturn

from django.http import Http404
from rest_framework import serializers
from rest_framework.response import Response

from annotation_site.api.calls import ApiView, Call, PersonRequest, call


class Description(serializers.Serializer):
    """An OpenAPI 3 document."""

    openapi = serializers.CharField()
    paths = serializers.JSONField()


class SchemaView(ApiView):
    """GET this description."""

    @call(None, None, gives=Description)
    def get(self, request: PersonRequest) -> Response:
        # Here, because its generator loads a test client: for one address of many.
        from annotation_site.api.schema import openapi

        return Response(openapi())


class NowhereView(ApiView):
    """Any other address: 404 in the usual error shape."""

    schema = None

    def call_of(self, method: str | None) -> Call:
        return Call(None, None)

    def initial(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise Http404
