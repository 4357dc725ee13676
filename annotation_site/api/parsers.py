"""Parsers of request bodies."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import UnreadablePostError
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.utils.translation import gettext, gettext_lazy
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser, JSONParser
from rest_framework.request import Request

from annotation_site.corpus.receiving import DiskUploadHandler, ReceivedFile
from annotation_site.errors import Invalid

MOST_DEPTH = 20


class TooLarge(APIException):
    """Django's size limit, for bodies that are read as a stream."""

    status_code = 413
    default_code = "too_large"
    default_detail = gettext_lazy("The request is too large. Send less at a time.")


class ShallowJSONParser(JSONParser):
    """JSON parser with limits on nesting and size."""

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
            raise ParseError(
                gettext("The request is nested deeper than %(most)s levels. Send flatter data.")
                % {"most": MOST_DEPTH}
            )
        return value


class FilesLater(BaseParser):
    """Parser that leaves files unread until the sender is authorised: `form_received` reads them.

    The request's data is the body's length, which is what an Idempotency-Key is compared with.
    """

    media_type = "multipart/form-data"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        return {"bytes": stream.META["CONTENT_LENGTH"]}


@dataclass(frozen=True)
class Received:
    """A form with files, which lie on disk: `files` by the names that the sender gave them."""

    fields: dict[str, str]
    files: dict[str, Path]


@contextmanager
def form_received(
    request: Request, handler: DiskUploadHandler, *, name: str = "files"
) -> Iterator[Received]:
    """The fields of a request and the files of its field `name`; unmoved files are deleted.

    No file is held in memory. Raises Invalid beyond the limits, ParseError for what is no form.
    """
    try:
        try:
            parser = MultiPartParser(request.META, request._request, [handler])
            fields, files = parser.parse()
        except RequestDataTooBig:
            raise
        except (MultiPartParserError, UnreadablePostError, SuspiciousOperation) as error:
            raise ParseError(
                gettext("The files cannot be read. Send them whole, as multipart/form-data.")
            ) from error
        if handler.refused:
            raise Invalid(handler.refused)
        received = [f for f in files.getlist(name) if isinstance(f, ReceivedFile)]
        yield Received(
            {key: str(fields[key]) for key in fields},
            {str(file.name): file.path for file in received},
        )
    finally:
        handler.discard()


def _deeper_than(value: Any, levels: int) -> bool:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_deeper_than(item, levels - 1) for item in items)
