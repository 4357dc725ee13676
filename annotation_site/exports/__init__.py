"""Tables as files. A format is a class with `write` and one line in `EXPORT_FORMATS`."""

from collections.abc import Iterator
from typing import Protocol

from annotation_site.exports.csv_format import CsvFormat
from annotation_site.exports.json_format import JsonFormat
from annotation_site.exports.latex_format import LatexFormat
from annotation_site.exports.markdown_format import MarkdownFormat
from annotation_site.exports.parquet_format import ParquetFormat
from annotation_site.exports.table import Column, Table, table_from_frame
from annotation_site.exports.xlsx_format import XlsxFormat

__all__ = ["EXPORT_FORMATS", "Column", "ExportFormat", "Table", "table_from_frame"]


class ExportFormat(Protocol):
    """Protocol of a table format."""

    @property
    def media_type(self) -> str:
        """The Content-Type of the file."""

    @property
    def extension(self) -> str:
        """The file's extension without the dot, and the format's name in the registry."""

    def write(self, table: Table) -> Iterator[bytes]:
        """Yield the file piece by piece, reading the table's rows once."""


EXPORT_FORMATS: dict[str, ExportFormat] = {
    "csv": CsvFormat(),
    "json": JsonFormat(),
    "md": MarkdownFormat(),
    "tex": LatexFormat(),
    "xlsx": XlsxFormat(),
    "parquet": ParquetFormat(),
}
