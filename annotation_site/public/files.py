"""Folders of public pages: one per study, by its short name, under PUBLIC_DIR.

`pages` is what everybody can read, `drafts` what is written and not switched on, and `writing` what
a worker writes just now. A folder appears and goes whole, by renaming.
"""

import json
import re
import shutil
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings

from ffn_extract.atomic_file import atomic_file

INDEX, ABOUT = "index.html", "about.json"
TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
    "svg": "image/svg+xml",
    "png": "image/png",
}
SAVED = ("csv", "json", "parquet")  # a browser that opens one saves it
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}\.(?:" + "|".join(TYPES) + r")\Z")
SLUG = re.compile(r"[-a-zA-Z0-9_]{1,80}\Z")


def page_folder(slug: str) -> Path:
    """The folder of a study's page that is switched on."""
    return _root() / "pages" / slug


def draft_folder(slug: str) -> Path:
    """The folder of a study's page that is written, and not switched on."""
    return _root() / "drafts" / slug


def writing_folder(claim: object) -> Path:
    """The folder in which the worker that holds a claim writes."""
    return _root() / "writing" / str(claim)


def file_found(folder: Path, name: str) -> Path | None:
    """A file of a folder; None for a name that no such file has, or where it is not there."""
    if not NAME.match(name):
        return None
    path = folder / name
    return path if path.is_file() else None


def about(folder: Path) -> dict[str, Any] | None:
    """A folder's facts about itself; None where it is gone, or is no page."""
    try:
        found = json.loads((folder / ABOUT).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def about_write(folder: Path, said: dict[str, Any]) -> None:
    """Write what a folder says of itself, whole or not at all."""
    with atomic_file(folder / ABOUT, mode=0o600) as file:
        file.write(json.dumps(said, ensure_ascii=False, sort_keys=True).encode())


def pages() -> Iterator[tuple[str, dict[str, Any]]]:
    """The short name of each page that is switched on, and what it says of itself."""
    for folder in _folders("pages"):
        said = about(folder)
        if said is not None:
            yield folder.name, said


def are_there(slug: str, *, public: bool) -> bool:
    """Whether a study's files are where they should be."""
    return ((page_folder if public else draft_folder)(slug) / INDEX).is_file()


def put_in_place(written: Path, *, slug: str, public: bool) -> None:
    """Put a written folder in the place of the study's page, or of its draft."""
    place = (page_folder if public else draft_folder)(slug)
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _throw_away(place)
    written.rename(place)
    if public and written != draft_folder(slug):
        _throw_away(draft_folder(slug))


def draft_switch_on(slug: str) -> None:
    """Make a draft the study's page; a no-op where it is gone by now."""
    if draft_folder(slug).is_dir():
        put_in_place(draft_folder(slug), slug=slug, public=True)


def files_remove(slug: str) -> None:
    """Remove a study's files: each folder at once, the draft first, so that none becomes a page."""
    _throw_away(draft_folder(slug))
    _throw_away(page_folder(slug))


def all_folders() -> list[Path]:
    """Every folder that stands here now."""
    return [folder for place in ("pages", "drafts", "writing") for folder in _folders(place)]


def folders_remove(folders: Collection[Path]) -> None:
    """Remove folders, and what killed processes left of others."""
    for folder in folders:
        _throw_away(folder)
    for folder in _folders("gone"):
        shutil.rmtree(folder, ignore_errors=True)


def _throw_away(folder: Path) -> None:
    gone = _root() / "gone" / uuid.uuid4().hex
    gone.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        folder.rename(gone)
    except FileNotFoundError:
        return
    shutil.rmtree(gone, ignore_errors=True)


def _folders(place: str) -> list[Path]:
    folder = _root() / place
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir())


def _root() -> Path:
    return Path(settings.PUBLIC_DIR)
