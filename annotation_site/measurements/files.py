"""Files of measurements: read from a worker's folder, kept in the database, read back.

What a model's process wrote is a stranger's: names, sizes and kinds are checked before anything is
stored.
"""

import hashlib
import re
import shutil
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from django.conf import settings
from django.db.models import Q
from django.utils.text import slugify
from django.utils.translation import gettext_noop

from annotation_site.errors import SiteError
from annotation_site.exports.archive import ArchiveWriter
from annotation_site.measurements.models import (
    UNFINISHED,
    Measurement,
    MeasurementContent,
    MeasurementFile,
)
from annotation_site.sentences import Sentence

MOST_BYTES = 100_000_000
"""Of all files of one measurement."""
MOST_FILES = 60
DAY = 24 * 3600
MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8", "json": "application/json",
    "jsonl": "application/x-ndjson", "md": "text/markdown; charset=utf-8",
    "parquet": "application/vnd.apache.parquet", "pdf": "application/pdf", "svg": "image/svg+xml",
}  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}\.(" + "|".join(MEDIA_TYPES) + ")")
TOO_LARGE = gettext_noop(
    "The measurement's files have more than %(most)s MB, which the site keeps of one. Enqueue it "
    "with fewer examples, or run `ffn-extract measure` on a machine of your own."
)
ODD_FILE = gettext_noop("The measurement left a file that has no place in its folder: %(name)s.")


@dataclass(frozen=True)
class ReadFile:
    """A file of the folder that a worker wrote."""

    name: str
    content: bytes


def folder_read(folder: Path) -> list[ReadFile]:
    """All files of a measurement's folder, by name. Raises SiteError for what none has."""
    found: list[ReadFile] = []
    left = MOST_BYTES
    for path in sorted(folder.iterdir()):
        is_odd = path.is_symlink() or not path.is_file() or not _NAME.fullmatch(path.name)
        if is_odd or len(found) == MOST_FILES:
            raise SiteError(Sentence(ODD_FILE, name=path.name[:100]))
        left -= path.stat().st_size
        if left < 0:
            raise SiteError(Sentence(TOO_LARGE, most=MOST_BYTES // 1_000_000))
        found.append(ReadFile(path.name, path.read_bytes()))
    return found


def files_store(measurement: Measurement, files: list[ReadFile]) -> None:
    """Keep files, in the caller's transaction."""
    for one in files:
        row = MeasurementFile.objects.create(
            measurement=measurement,
            name=one.name,
            media_type=MEDIA_TYPES[one.name.rpartition(".")[2]],
            size=len(one.content),
            sha256=hashlib.sha256(one.content).hexdigest(),
        )
        MeasurementContent.objects.create(file=row, compressed=zlib.compress(one.content))


def file_content(file: MeasurementFile) -> bytes:
    """The bytes of a file, as the measurement wrote them."""
    return zlib.decompress(file.content.compressed)


def download_name(measurement: Measurement, name: str) -> str:
    """The name of a saved file: "saturation-gpt2-saturation.csv"."""
    return f"{measurement.name}-{slugify(measurement.model.name)[:80]}-{name}"


def archive_write(measurement: Measurement, file: IO[bytes]) -> None:
    """All files as a zip, with their digests."""
    with ArchiveWriter(file) as archive:
        for one in measurement.files.select_related("content").iterator(chunk_size=1):
            archive.add(one.name, [file_content(one)])


def work_folder(measurement: Measurement) -> Path:
    """Where a measurement is at work: beside the bundles, so that all workers find the batches
    that one of them finished.
    """
    return work_root() / str(measurement.public_id)


def work_remove(measurement: Measurement) -> None:
    """Remove finished batches and what else a run left."""
    shutil.rmtree(work_folder(measurement), ignore_errors=True)


def stray_folders(before: datetime) -> Iterator[Path]:
    """Folders, a day old, of measurements that are gone, ready, or ended before some time."""
    root = work_root()
    found = sorted(root.iterdir()) if root.is_dir() else []
    # After the folders: of one that came meanwhile nothing is asked.
    ended = (Measurement.State.FAILED, Measurement.State.CANCELLED)
    kept = Measurement.objects.filter(
        Q(state__in=UNFINISHED) | Q(state__in=ended, finished_at__gte=before)
    )
    known = {str(public_id) for public_id in kept.values_list("public_id", flat=True)}
    for path in found:
        with suppress(FileNotFoundError):  # taken away meanwhile
            if path.name not in known and path.stat().st_mtime < time.time() - DAY:
                yield path


def work_root() -> Path:
    """The folder of all measurements at work; backups leave it out."""
    return Path(settings.BUNDLES_DIR) / ".measurements"
