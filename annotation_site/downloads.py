"""Files that people save from pages and through the API."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import IO

from django.http import FileResponse, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header
from django.utils.translation import gettext

from annotation_site.errors import NotFound
from annotation_site.exports import EXPORT_FORMATS, Table


@dataclass(frozen=True)
class Download:
    """A file's name, type and content: bytes, an open file, or pieces that are made on the way."""

    name: str
    media_type: str
    content: bytes | Iterable[bytes]

    def write_to(self, file: IO[bytes]) -> None:
        """Write the content to a file of the server."""
        file.writelines([self.content] if isinstance(self.content, bytes) else self.content)


def attachment(download: Download) -> HttpResponseBase:
    """The response that a browser saves as a file."""
    headers = {"Content-Disposition": content_disposition_header(True, download.name)}
    if isinstance(download.content, bytes):
        return HttpResponse(download.content, content_type=download.media_type, headers=headers)
    return FileResponse(
        download.content,
        as_attachment=True,  # without it, an open file would get another header
        filename=download.name,
        content_type=download.media_type,
        headers=headers,
    )


def table_as_file(table: Table, *, name: str, extension: str) -> Download:
    """A table in one of the formats. Raises NotFound for another format."""
    require_format(EXPORT_FORMATS, extension)
    export = EXPORT_FORMATS[extension]
    return Download(f"{name}.{export.extension}", export.media_type, export.write(table))


def require_format(formats: Collection[str], extension: str) -> None:
    """Raises NotFound for an extension that is not among the formats."""
    if extension not in formats:
        raise NotFound(
            gettext("There is no such format. Choose one of these: %(formats)s.")
            % {"formats": ", ".join(formats)}
        )
