"""Archives for replication, opened, changed and packed again."""

import io
import zipfile
from pathlib import Path

from annotation_site.exports.archive import CHECKSUMS, ArchiveWriter
from annotation_site.results.files import archive


def packed(study, **options) -> bytes:
    file = io.BytesIO()
    archive.archive_write(
        study, file, **{"with_names": False, "report": lambda done, total: None, **options}
    )
    return file.getvalue()


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def repacked(data: bytes, **changes: bytes | None) -> bytes:
    """The archive with other members and checksums that are right."""
    found = {**members(data), **changes}
    file = io.BytesIO()
    with ArchiveWriter(file) as writer:
        for name, content in found.items():
            if name != CHECKSUMS and content is not None:
                writer.add(name, [content])
    return file.getvalue()


def stored(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "archive.zip"
    path.write_bytes(data)
    return path


def packed_as_made_up(study) -> bytes:
    """The archive of a study whose annotations are those of no people."""
    study.made_up = True  # of the archive alone: the row stays what it is
    return packed(study)
