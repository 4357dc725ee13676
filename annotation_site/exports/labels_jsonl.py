"""Labels as JSON lines: UTF-8, one record a line, keys in the documented order."""

import codecs
import json
from collections.abc import Iterator
from typing import IO, Any

from annotation_site.exports.annotation_records import (
    AnnotationRecord,
    LabelsFileError,
    moment_text,
    record_of,
)

LONGEST_LINE = 4_000_000  # bytes; a list has 100 tokens at most and an answer 30 patterns


class JsonlWriter:
    """Writes records to a file that is open for bytes; `close` leaves that file open."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, record: AnnotationRecord) -> None:
        """Add a line."""
        self._file.write(line_of(record))

    def close(self) -> None:
        """No-op: the caller closes the file."""


def line_of(record: AnnotationRecord) -> bytes:
    """The record as a line, with its end."""
    values: dict[str, Any] = record.values()
    for name in ("opened_at", "submitted_at"):
        values[name] = moment_text(values[name]) if values[name] else None
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode() + b"\n"


def read(file: IO[bytes]) -> Iterator[AnnotationRecord]:
    """Yield the records one by one. Raises LabelsFileError with the number of the line.

    A byte-order mark, CRLF and empty lines at the end, which editors add, are no part of them.
    """
    number, empty = 0, 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        where = f"Line {number}"
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        if not line.strip(b" \t\r\n"):
            empty = empty or number
            continue
        if empty:
            raise LabelsFileError(f"Line {empty} is empty. Remove it, or add the record it had.")
        if not line.endswith(b"\n"):
            raise LabelsFileError(_unfinished(where, line))
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise LabelsFileError(f"{where} is not JSON.") from error
        yield record_of(values, where)


def _unfinished(where: str, line: bytes) -> str:
    if len(line) >= LONGEST_LINE:
        return f"{where} is longer than any record. Is it a file of labels?"
    return f"{where} breaks off: the file is not whole."
