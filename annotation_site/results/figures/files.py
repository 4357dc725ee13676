"""Where a snapshot's figures are: a folder each beside the files that researchers asked for."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from django.conf import settings

from annotation_site.results.models import Snapshot
from ffn_extract.atomic_file import atomic_file

TYPES = {"svg": "image/svg+xml", "pdf": "application/pdf", "png": "image/png"}
PRINTED = ("pdf", "png")
State = Snapshot.State


def figure_path(snapshot: Snapshot, name: str, extension: str) -> Path:
    """Where a figure's file is, or would be."""
    return _folder(snapshot) / f"{name}.{extension}"


def figures_write(snapshot: Snapshot, files: Mapping[tuple[str, str], bytes]) -> None:
    """Write files by name and extension; each appears whole."""
    folder = _folder(snapshot)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for part in folder.glob("*.part"):  # of a run that died: only who has the claim writes here
        part.unlink(missing_ok=True)
    for (name, extension), content in files.items():
        with atomic_file(figure_path(snapshot, name, extension), mode=0o600) as file:
            file.write(content)


def figures_remove(snapshot: Snapshot) -> None:
    """Remove all files of a snapshot."""
    shutil.rmtree(_folder(snapshot), ignore_errors=True)


def stray_figures() -> list[Path]:
    """Folders of figures whose snapshot is gone."""
    root = _root()
    if not root.is_dir():
        return []
    found = sorted(root.iterdir())  # before the rows: a folder that comes later has its row
    ready = Snapshot.objects.filter(state=State.READY).only("finished_at")
    kept = {_folder(snapshot).name for snapshot in ready}
    at_work = {str(pk) for pk in Snapshot.being_done().values_list("pk", flat=True)}
    return [
        path for path in found
        if path.name not in kept and path.name.partition("-")[0] not in at_work
    ]  # fmt: skip


def _root() -> Path:
    return Path(settings.EXPORTS_DIR) / "figures"


def _folder(snapshot: Snapshot) -> Path:
    """The folder of a snapshot's figures, named by its time too: a restored database reuses
    numbers.
    """
    assert snapshot.finished_at is not None  # noqa: S101  # only finished ones have figures
    return _root() / f"{snapshot.pk}-{snapshot.finished_at:%Y%m%dT%H%M%S%f}"
