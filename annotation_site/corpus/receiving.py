"""Upload handlers: files go straight to disk, counted, and are removed unless taken."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.http import HttpRequest
from django.utils.translation import gettext

from ffn_extract.bundle import BUNDLE_FILES, OPTIONAL_FILES

MOST_FILES = len(BUNDLE_FILES | OPTIONAL_FILES)
KEEP_SECONDS = 24 * 3600  # of files whose process was killed while they came in


def incoming_folder() -> Path:
    """The folder of unfinished uploads, on the disk of the bundles so that none is copied."""
    folder = Path(settings.BUNDLES_DIR) / ".incoming"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def old_files() -> list[Path]:
    """Files that killed processes left."""
    found = []
    for path in (Path(settings.BUNDLES_DIR) / ".incoming").glob("*"):
        with contextlib.suppress(FileNotFoundError):  # taken meanwhile
            if path.stat().st_mtime < time.time() - KEEP_SECONDS:
                found.append(path)
    return found


def old_files_remove() -> None:
    """Remove files that killed processes left."""
    for path in old_files():
        path_remove(path)


def path_remove(path: Path) -> None:
    """Remove a file or a folder; a concurrent removal is no error."""
    with contextlib.suppress(OSError):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


class DiskUploadHandler(FileUploadHandler):
    """Upload handler that writes to disk and stops at the limits, with a sentence in `refused`.

    Nothing is kept in memory. The caller calls `discard` at the end, whatever happened.
    """

    chunk_size = 1 << 20
    most_files = 1

    def __init__(self, request: HttpRequest, *, most_bytes: int) -> None:
        super().__init__(request)
        self.refused = ""
        self.most_bytes = most_bytes
        self._paths: list[Path] = []
        self._bytes = 0
        self._file: Any = None

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Open a file for the next bytes."""
        super().new_file(*args, **kwargs)
        if len(self._paths) == self.most_files:
            self._refuse(self.too_many())
        with self._on_disk():
            handle, name = tempfile.mkstemp(dir=incoming_folder())
            self._paths.append(Path(name))
            self._file = os.fdopen(handle, "wb")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Write the next bytes."""
        self._bytes += len(raw_data)
        if self._bytes > self.most_bytes:
            self._refuse(self.too_large())
        with self._on_disk():
            self._file.write(raw_data)

    def too_many(self) -> str:
        """The sentence about more files than `most_files`."""
        return gettext("Choose one file.")

    def too_large(self) -> str:
        """The sentence about more than `most_bytes`."""
        return gettext("The upload is larger than the limit of %(most)s bytes.") % {
            "most": f"{self.most_bytes:,}"
        }

    def file_complete(self, file_size: int) -> UploadedFile | None:
        """Return the closed file's path and the name that the browser gave."""
        with self._on_disk():  # what was buffered is written now
            self._file.close()
        self._file = None
        return ReceivedFile(self._paths[-1], str(self.file_name), file_size)

    def discard(self) -> None:
        """Remove all files that were not moved."""
        self._close()
        for path in self._paths:
            path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # the disk may be full
                self._file.close()
            self._file = None

    @contextlib.contextmanager
    def _on_disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._refuse(
                gettext(
                    "The server cannot store the upload: %(reason)s. Free disk space there, then "
                    "try again."
                )
                % {"reason": error.strerror}
            )

    def _refuse(self, sentence: str) -> None:
        self.refused = sentence
        # The rest is read and thrown away: a browser that is cut off shows no sentence.
        raise StopUpload(connection_reset=False)


class BundleUploadHandler(DiskUploadHandler):
    """Upload handler of the files of a bundle."""

    most_files = MOST_FILES

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request, most_bytes=settings.MAX_BUNDLE_BYTES)

    def too_many(self) -> str:
        return gettext("A bundle has at most %(most)s files. Choose those, or one .zip.") % {
            "most": MOST_FILES
        }

    def too_large(self) -> str:
        there = gettext("Copy the bundle to the server and run `manage.py import_bundle` there.")
        return f"{super().too_large()} {there}"


class ReceivedFile(UploadedFile):
    """An uploaded file, on disk and closed."""

    def __init__(self, path: Path, name: str, size: int) -> None:
        super().__init__(file=None, name=name, size=size)
        self.path = path

    def close(self) -> None:
        """No-op: the file is closed already."""
