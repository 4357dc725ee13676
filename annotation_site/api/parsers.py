"""Reading request bodies."""

from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

MOST_DEPTH = 20


class ShallowJSONParser(JSONParser):
    """JSON that is nested as deep as the page ever sends, and no deeper."""

    def parse(self, stream: IO[bytes], media_type: Any = None, parser_context: Any = None) -> Any:
        try:
            value = super().parse(stream, media_type, parser_context)
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
