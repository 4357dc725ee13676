"""Labels as JSON lines: UTF-8, one record a line, keys in the documented order."""

import json
from collections.abc import Iterator
from typing import IO, Any

from annotation_site.exports.labels import LabelFileError, LabelRecord, moment_text, record_of

LONGEST_LINE = 4_000_000  # bytes; a list has 100 tokens at most and an answer 30 patterns


class JsonlWriter:
    """Writes records to a file that is open for bytes; `close` leaves that file open."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, record: LabelRecord) -> None:
        """Add a line."""
        self._file.write(line_of(record))

    def close(self) -> None:
        """Nothing is left to write."""


def line_of(record: LabelRecord) -> bytes:
    """The record's line, with its end."""
    values: dict[str, Any] = record.values()
    for name in ("opened_at", "submitted_at"):
        values[name] = moment_text(values[name]) if values[name] else None
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode() + b"\n"


def read(file: IO[bytes]) -> Iterator[LabelRecord]:
    """Yield the records one by one. Raises LabelFileError with the number of the line."""
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        where = f"Line {number}"
        if not line.endswith(b"\n"):
            raise LabelFileError(f"{where} breaks off: the file is not whole.")
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise LabelFileError(f"{where} is not JSON.") from error
        yield record_of(values, where)
