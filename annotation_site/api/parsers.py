"""Reading request bodies."""

import io
from typing import IO, Any

from django.conf import settings
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import JSONParser

MOST_DEPTH = 20


class TooLarge(APIException):
    """As Django's own limit, which does not hold for bodies that are read as a stream."""

    status_code = 413
    default_code = "too_large"
    default_detail = "The request is too large. Send less at a time."


class ShallowJSONParser(JSONParser):
    """JSON that is nested as deep as the page ever sends, and no deeper; no larger than allowed."""

    def parse(self, stream: IO[bytes], media_type: Any = None, parser_context: Any = None) -> Any:
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(most + 1)
        if len(body) > most:
            raise TooLarge
        try:
            value = super().parse(io.BytesIO(body), media_type, parser_context)
        except RecursionError:
            value = None
            too_deep = True
        else:
            too_deep = _deeper_than(value, MOST_DEPTH)
        if too_deep:
            raise ParseError(f"The request is nested deeper than {MOST_DEPTH} levels.")
        return value


def _deeper_than(value: Any, levels: int) -> bool:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_deeper_than(item, levels - 1) for item in items)
