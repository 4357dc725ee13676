"""The OpenAPI description, generated from the declared calls."""

import re
from functools import lru_cache
from typing import Any, cast

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, inline_serializer
from rest_framework import serializers

from annotation_site.api.calls import ApiView, Call
from annotation_site.api.once import HEADER, MOST_LETTERS


class ErrorDetail(serializers.Serializer):
    """An error: a code for programs, a sentence for people, and details."""

    code = serializers.CharField()
    message = serializers.CharField()
    details = serializers.JSONField()


class Error(serializers.Serializer):
    """Every error."""

    error = ErrorDetail()


SAID = {
    400: "Malformed: no JSON, or a field or parameter that is missing, unknown or out of range.",
    401: "No token, or one that does not work.",
    403: "The role or the token's scope does not allow it, or not now.",
    404: "There is no such thing, or it is not yours.",
    409: "A newer draft exists; it is in the details.",
    413: "The body is too large.",
    415: "The body is of another type than this address takes.",
    422: "A rule forbids it; the message says which.",
    429: "Too many requests; Retry-After says how long to wait.",
}

JSON = "application/json"  # a file of this type holds one object


class CallSchema(AutoSchema):
    """Describes a method by its Call."""

    def _call(self) -> Call:
        found = cast(ApiView, self.view).call_of(self.method)
        assert found is not None  # noqa: S101  # only declared methods are routed
        return found

    def get_operation_id(self) -> str:
        name = type(self.view).__name__.removesuffix("View")
        return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() + "_" + self.method.lower()

    def get_tags(self) -> list[str]:
        return [type(self.view).__module__.rsplit(".", 1)[-1]]

    def get_description(self) -> str:  # type: ignore[override]
        said = super().get_description()
        call = self._call()
        needs = f"Needs the scope `{call.scope}`." if call.scope else ""
        return "\n\n".join(part for part in (said, needs) if part)

    def get_auth(self) -> list[dict[str, list[str]]]:
        return [] if self._call().role is None else [{"token": []}]

    def get_override_parameters(self) -> list[Any]:
        call = self._call()
        found: list[Any] = [call.query] if call.query().fields else []
        if getattr(getattr(self.view, self.method.lower()), "is_repeatable", False):
            found.append(
                OpenApiParameter(
                    HEADER,
                    {"type": "string", "minLength": 1, "maxLength": MOST_LETTERS},
                    OpenApiParameter.HEADER,
                    description="The same request under the same key happens once in 24 hours.",
                )
            )
        return found

    def get_request_serializer(self) -> Any:
        return self._call().takes

    def get_response_serializers(self) -> Any:
        call = self._call()
        good: Any = call.gives
        if call.media:
            found: dict[Any, Any] = {
                (call.status, kind): OpenApiTypes.OBJECT if kind == JSON else OpenApiTypes.BINARY
                for kind in call.media
            }
        else:
            if call.paged and good is not None:
                good = _page_of(good)
            good = good or OpenApiResponse(description="Done; nothing to say.")
            found = dict.fromkeys((call.status, *call.also), good)
        for status in sorted(self._errors(call)):
            found[status] = OpenApiResponse(Error, description=SAID[status])
        return found

    def _errors(self, call: Call) -> set[int]:
        errors = {400, *call.errors}
        if call.role is not None:
            errors |= {401, 403, 429}
        if "{" in self.path:
            errors.add(404)
        if call.takes is not None:
            errors |= {413, 415, 422}
        return errors


@lru_cache(maxsize=1)
def openapi() -> dict[str, Any]:
    """The whole description; made once per process."""
    return SchemaGenerator().get_schema(request=None, public=True)


@lru_cache
def _page_of(kind: type[serializers.Serializer]) -> Any:
    """`limit` and `offset` of PageQuery choose the results."""
    return inline_serializer(
        name=f"{kind.__name__}Page",
        fields={
            "count": serializers.IntegerField(),
            "next": serializers.URLField(allow_null=True),
            "previous": serializers.URLField(allow_null=True),
            "results": kind(many=True),
        },
    )
