"""Tables as files. A format is a class with `write` and one line in `EXPORT_FORMATS`."""

from collections.abc import Iterator
from typing import Protocol

from annotation_site.exports.csv_format import CsvFormat
from annotation_site.exports.table import Column, Table, table_from_frame

__all__ = ["EXPORT_FORMATS", "Column", "ExportFormat", "Table", "table_from_frame"]


class ExportFormat(Protocol):
    """Knows how to write a table, and nothing about what is in it."""

    @property
    def media_type(self) -> str:
        """The Content-Type of the file."""

    @property
    def extension(self) -> str:
        """The end of the file's name, without the dot."""

    def write(self, table: Table) -> Iterator[bytes]:
        """Yield the file piece by piece, reading the table's rows once."""


EXPORT_FORMATS: dict[str, ExportFormat] = {
    "csv": CsvFormat(),
}
