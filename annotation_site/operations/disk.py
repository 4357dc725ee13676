"""Disk space per kind of thing, measured with a bound on the time and kept for some minutes.

Walking through a model cache can take longer than a page may: a walk that is cut short says so,
and its number is a lower bound.
"""

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from huggingface_hub.constants import HF_HUB_CACHE

from annotation_site.corpus.models import Extraction
from annotation_site.data_sets.services import files_folder
from annotation_site.measurements.files import work_root
from annotation_site.operations.databases import database_file

KEPT_SECONDS = 600
WALK_SECONDS = 0.4  # for all kinds together
KEY = "disk-use"
KINDS: dict[str, str | Promise] = {
    "models": _("Model files"),
    "bundles": _("Bundles"),
    "measurements": _("Measurements at work"),
    "uploads": _("Uploads that are coming in"),
    "exports": _("Archives and exports"),
    "figures": _("Figures"),
    "database": _("Database"),
    "queue": _("Queue of files"),
}


@dataclass(frozen=True)
class DiskUse:
    """Bytes by kind, a key of KINDS; `cut` are the kinds whose number is a lower bound.

    `total` and `free` are of the disk of the bundles. `unused_models` are the folders and files of
    MODELS_DIR that no extraction names, `unused_bytes` their size.
    """

    sizes: dict[str, int]
    cut: list[str]
    total: int
    free: int
    unused_models: list[str]
    unused_bytes: int
    measured_at: datetime

    @property
    def used(self) -> int:
        return self.total - self.free


def disk_use() -> DiskUse:
    """The disk use, at most KEPT_SECONDS old."""
    kept = cache.get(KEY)
    if kept is None:
        kept = asdict(_measure())
        cache.set(KEY, kept, KEPT_SECONDS)
    return DiskUse(**kept)


def _measure() -> DiskUse:
    until = time.monotonic() + WALK_SECONDS
    exports, bundles = Path(settings.EXPORTS_DIR), Path(settings.BUNDLES_DIR)
    data_sets = files_folder()
    models = {path: _walk([path], until) for path in _entries(Path(settings.MODELS_DIR))}
    others = (bundles / ".incoming", work_root())
    found = {
        "uploads": _walk([others[0]], until),
        "exports": _walk(
            [path for path in _entries(exports) if not path.is_dir() or path == data_sets], until
        ),
        "figures": _walk(
            [path for path in _entries(exports) if path.is_dir() and path != data_sets], until
        ),
        "queue": _walk([settings.VAR_DIR / "queue"], until),
        "measurements": _walk([work_root()], until),
        "bundles": _walk([path for path in _entries(bundles) if path not in others], until),
        "models": _sum([*models.values(), _walk([Path(HF_HUB_CACHE)], until)]),
        "database": (_database_bytes(), False),
    }
    used = set(Extraction.objects.values_list("model_source", flat=True).distinct())
    unused = {path.name: size for path, (size, _) in models.items() if path.name not in used}
    there = next(path for path in (bundles, *bundles.parents) if path.exists())
    disk = shutil.disk_usage(there)
    return DiskUse(
        sizes={kind: found[kind][0] for kind in KINDS},
        cut=[kind for kind in KINDS if found[kind][1]],
        total=disk.total,
        free=disk.free,
        unused_models=sorted(unused),
        unused_bytes=sum(unused.values()),
        measured_at=timezone.now(),
    )


Measured = tuple[int, bool]  # bytes, and whether the walk was cut short


def _sum(parts: list[Measured]) -> Measured:
    return sum(size for size, _ in parts), any(cut for _, cut in parts)


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _walk(paths: list[Path], until: float) -> Measured:
    """Bytes on disk below some paths; no link is followed, and nothing is counted twice."""
    size = 0
    for path in paths:
        for entry in _files(path):
            if time.monotonic() > until:
                return size, True
            size += entry
    return size, False


def _files(path: Path) -> Iterator[int]:
    """The bytes of each file below a path; what is taken away meanwhile is passed over."""
    try:
        if path.is_symlink() or not path.is_dir():
            yield path.lstat().st_blocks * 512
            return
        with os.scandir(path) as entries:
            children = [Path(entry.path) for entry in entries]
    except OSError:
        return
    for child in children:
        yield from _files(child)


def _database_bytes() -> int:
    file = database_file()
    if file is not None:
        return sum(path.stat().st_size for path in file.parent.glob(f"{file.name}*"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        row = cursor.fetchone()
    return int(row[0]) if row else 0
