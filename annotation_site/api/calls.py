"""API calls declared once: permissions, checks and the schema read the declaration.

Whatever is not declared is refused: a query parameter, a field of the body, a method.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from annotation_site.accounts.models import Role, Scope, User
from annotation_site.annotation.studies.made_up import is_made_up

MOST_ROWS = 200
MOST = 2**31 - 1  # the largest number that the database holds in an ordinary column


class Fields(serializers.Serializer):
    """Serializer of a query or a body; it refuses undeclared fields."""

    def to_internal_value(self, data: Any) -> Any:
        unknown = set(data) - set(self.fields) if isinstance(data, Mapping) else set()
        if unknown:
            known = ", ".join(self.fields) or "none"
            sentence = f"This is not known here. Known are: {known}."
            raise serializers.ValidationError({str(name): [sentence] for name in sorted(unknown)})
        return super().to_internal_value(data)


class PageQuery(Fields):
    """Paging of a long response."""

    limit = serializers.IntegerField(min_value=1, max_value=MOST_ROWS, default=50)
    offset = serializers.IntegerField(min_value=0, max_value=MOST, default=0)


@dataclass(frozen=True)
class Call:
    """Declaration of one method of a view. Without `gives` the response is empty; `scope` None: any
    token will do.

    `also` are other good statuses of an answer in the same shape. `media` is given where the answer
    is a file. Where the view `streams`, it reads the body itself, which `takes` only describes.
    """

    scope: Scope | None
    role: Role | None = Role.ANNOTATOR
    query: type[Fields] = Fields
    takes: type[Fields] | None = None
    gives: type[serializers.BaseSerializer] | None = None
    status: int = 200
    also: tuple[int, ...] = ()
    streams: bool = False
    paged: bool = False
    media: tuple[str, ...] = ()
    errors: tuple[int, ...] = ()


Method = TypeVar("Method", bound=Callable[..., Any])


def call(*args: Any, **kwargs: Any) -> Callable[[Method], Method]:
    """Declare a method of a view; the arguments are those of Call."""

    def declare(method: Method) -> Method:
        method.call = Call(*args, **kwargs)  # type: ignore[attr-defined]
        return method

    return declare


class PersonRequest(Request):
    """A request of a logged-in person, for the types of views."""

    user: User


class ApiView(APIView):
    """API view that checks a request against its call before the method runs: `self.query`,
    `self.body`.
    """

    query: dict[str, Any]
    body: dict[str, Any]

    def call_of(self, method: str | None) -> Call | None:
        """The call of a method, if there is one."""
        return getattr(getattr(self, (method or "").lower(), None), "call", None)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        call = self.call_of(request.method)
        if call is None:
            raise MethodNotAllowed(request.method or "")
        self.query = _checked(call.query, _flat(request))
        self.body = {}
        if call.takes is not None:
            sent = request.data  # refuses a body of another type also where the view streams
            self.body = {} if call.streams else _checked(call.takes, sent)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """The response; that of a study with made-up annotations says so in its body."""
        if isinstance(getattr(response, "data", None), dict) and is_made_up(request._request):
            response.data = {**response.data, "made_up": True}
        return super().finalize_response(request, response, *args, **kwargs)

    def page(self, found: "QuerySet[Any] | list[Any]") -> "tuple[Any, dict[str, Any]]":
        """The rows of the requested page, with the counts around them."""
        count = len(found) if isinstance(found, list) else found.count()
        limit, offset = self.query["limit"], self.query["offset"]
        around = {
            "count": count,
            "next": self._at(offset + limit) if offset + limit < count else None,
            "previous": self._at(max(0, offset - limit)) if offset else None,
        }
        return found[offset : offset + limit], around

    def paged(self, found: "QuerySet[Any] | list[Any]") -> Response:
        """A page of rows in the shape that the call declares."""
        rows, around = self.page(found)
        return Response({**around, "results": self.given(rows, many=True)})

    def given(self, value: Any, *, many: bool = False) -> Any:
        """The value in the shape that the call declares."""
        call = self.call_of(self.request.method)
        assert call is not None  # noqa: S101  # `initial` has looked
        assert call.gives is not None  # noqa: S101
        return call.gives(value, many=many, context=self.get_serializer_context()).data

    def get_serializer_context(self) -> dict[str, Any]:
        """Context for serializers."""
        return {"request": self.request}

    def answer(self, value: Any, *, status: int | None = None) -> Response:
        """A whole response of the value, with the call's status or another that it declares."""
        call = self.call_of(self.request.method)
        assert call is not None  # noqa: S101
        assert status is None or status in (call.status, *call.also)  # noqa: S101
        return Response(self.given(value), status=status or call.status)

    def _at(self, offset: int) -> str:
        return replace_query_param(self.request.build_absolute_uri(), "offset", offset)


def _flat(request: Request) -> dict[str, Any]:
    """The query's parameters; one that is given twice counts once, with its last value."""
    return request.query_params.dict()


def _checked(kind: type[Fields], data: Any) -> dict[str, Any]:
    serializer = kind(data=data)
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data
