"""Backups that any of the two databases can be restored from, whichever they were made on.

A backup is a tar file: `manifest.json`, one compressed file of rows per table, and the bundles.
The rows are those of one moment, read in one transaction, so people may go on working. The tables
of the web framework that are made anew anyway are left out, and so are sessions: after a restore
people log in again.
"""

import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

from django.apps import apps
from django.conf import settings
from django.core.management.color import no_style
from django.db import connection, models, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from annotation_site.errors import Invalid
from annotation_site.operations.databases import database_described, require_database
from annotation_site.results.reading import one_moment

FORMAT = 1
ROWS_AT_ONCE = 1000
LEFT_OUT = {"contenttypes", "auth", "sessions", "usersessions"}
MANIFEST = "manifest.json"
FILES = "bundles/"


def backup_write(path: Path) -> dict[str, int]:
    """Write a backup to `path`; returns the number of rows of each table.

    The file appears when it is whole. Raises Invalid where it exists already, and for a database
    that is not the site's: with nobody in it, or tables that are missing or of another version.
    """
    require_database(with_people=True)
    if path.exists():
        raise Invalid(f"{path} exists. Choose another name; a backup is never overwritten.")
    part = path.with_name(path.name + ".part")
    counts: dict[str, int] = {}
    digests: dict[str, str] = {}
    try:
        with tarfile.open(part, "w") as archive:
            with one_moment():
                migrations = _migrations()
                for model in _models():
                    with _rows_file(model) as (file, count):
                        name = f"rows/{model._meta.label_lower}.jsonl.gz"
                        digests[name] = _add(archive, name, file)
                        counts[model._meta.label_lower] = count
            # After the rows: every bundle that they name is there, and none is ever changed.
            for found in _bundle_files():
                with found.open("rb") as file:
                    name = FILES + str(found.relative_to(settings.BUNDLES_DIR))
                    digests[name] = _add(archive, name, file)
            manifest = {
                "format": FORMAT,
                "made_at": timezone.now().isoformat(),
                "migrations": migrations,
                "rows": counts,
                "sha256": digests,
            }
            _add(archive, MANIFEST, io.BytesIO(json.dumps(manifest, indent=1).encode()))
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return counts


def backup_restore(path: Path) -> dict[str, int]:
    """Fill an empty, migrated database and the bundles' folder; returns the rows of each table.

    The whole file is checked before anything is written, and the rows come in one transaction.
    Raises Invalid for a file that is no whole backup or is of another version of the site, and for
    a database in which somebody is already.
    """
    require_database()
    try:
        archive = tarfile.open(path)  # noqa: SIM115 (closed below)
    except (OSError, tarfile.TarError) as error:
        raise Invalid(f"{path} cannot be read as a backup: {error}.") from error
    with archive:
        manifest = _checked_manifest(archive, path)
        _refuse_a_database_in_use()
        with tempfile.TemporaryDirectory(dir=_made(settings.BUNDLES_DIR.parent)) as folder:
            for name in manifest["sha256"]:
                if name.startswith(FILES):
                    _extract(archive, name, Path(folder))
            with transaction.atomic():
                for model in _models():
                    _rows_load(archive, model)
                _sequences_reset()
                _checked_counts(manifest)
            _bundles_move(Path(folder) / FILES)
    rows: dict[str, int] = manifest["rows"]
    return rows


def _models() -> list[type[models.Model]]:
    return [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.app_label not in LEFT_OUT and model._meta.managed
    ]


def _migrations() -> list[list[str]]:
    return sorted([app, name] for app, name in MigrationRecorder(connection).applied_migrations())


@contextmanager
def _rows_file(model: type[models.Model]) -> Iterator[tuple[IO[bytes], int]]:
    """A temporary file with a model's rows, one JSON list of field values a line."""
    fields = model._meta.concrete_fields
    count = 0
    with tempfile.TemporaryFile(dir=_made(settings.VAR_DIR)) as file:
        with gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed:
            packed.write(_line([field.attname for field in fields]))
            for row in model._default_manager.order_by("pk").iterator(ROWS_AT_ONCE):
                packed.write(_line([_plain(field, row) for field in fields]))
                count += 1
        file.seek(0)
        yield file, count


def _plain(field: "models.Field[Any, Any]", row: models.Model) -> Any:
    """A field's value as JSON has it; other types as the text that the field reads back."""
    value = field.value_from_object(row)
    if value is None or isinstance(value, (bool, int, float, str, list, dict)):
        return value
    return field.value_to_string(row)


def _line(values: list[Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _rows_load(archive: tarfile.TarFile, model: type[models.Model]) -> None:
    """Insert a model's rows as they were, times of creation included."""
    name = f"rows/{model._meta.label_lower}.jsonl.gz"
    member = archive.extractfile(name) or io.BytesIO()
    with member, gzip.GzipFile(fileobj=member) as lines:
        names = json.loads(next(lines))
        by_name = {field.attname: field for field in model._meta.concrete_fields}
        fields = [by_name[name] for name in names]
        size = max(1, connection.ops.bulk_batch_size(fields, range(ROWS_AT_ONCE)))  # type: ignore[arg-type]
        while batch := list(islice(lines, min(size, ROWS_AT_ONCE))):
            rows = [model(**_values(fields, json.loads(line))) for line in batch]
            # Not bulk_create: it would set "created at" to now. `raw` is what loaddata uses.
            insert = model._default_manager.all()._insert  # type: ignore[attr-defined]
            insert(rows, fields, using="default", raw=True)


def _values(fields: "list[models.Field[Any, Any]]", values: list[Any]) -> dict[str, Any]:
    return {
        field.attname: value
        if value is None or isinstance(field, models.JSONField)
        else field.to_python(value)
        if not field.is_relation
        else field.target_field.to_python(value)  # type: ignore[attr-defined]
        for field, value in zip(fields, values, strict=True)
    }


def _sequences_reset() -> None:
    with connection.cursor() as cursor:
        for sql in connection.ops.sequence_reset_sql(no_style(), _models()):
            cursor.execute(sql)


def _checked_counts(manifest: dict[str, Any]) -> None:
    for model in _models():
        name = model._meta.label_lower
        found = model._default_manager.count()
        if found != manifest["rows"][name]:
            raise Invalid(
                f"The backup has {manifest['rows'][name]} rows of {name}, and {found} were read. "
                "Nothing was restored."
            )


def _checked_manifest(archive: tarfile.TarFile, path: Path) -> dict[str, Any]:
    """The manifest, once every file that it names is there and has its digest."""
    try:
        members = {member.name: member for member in archive}
        if MANIFEST not in members:
            raise Invalid(f"{path} is no whole backup: it has no manifest.")
        manifest: dict[str, Any] = json.load(archive.extractfile(MANIFEST) or io.BytesIO())
        for name, expected in manifest["sha256"].items():
            file = archive.extractfile(members[name]) if name in members else None
            if file is None or _sha256(file) != expected:
                raise Invalid(f"{path} is damaged: {name} is not as it was written.")
    except (tarfile.TarError, OSError, ValueError, KeyError, EOFError) as error:
        raise Invalid(f"{path} is no whole backup: {error!r}.") from error
    if manifest["format"] != FORMAT:
        raise Invalid(
            f"{path} is a backup of format {manifest['format']}; this site reads {FORMAT}."
        )
    if manifest["migrations"] != _migrations():
        raise Invalid(
            f"{path} was made by another version of the site. Restore it with that version, then "
            "upgrade: `manage.py migrate`."
        )
    return manifest


def _refuse_a_database_in_use() -> None:
    from annotation_site.accounts.models import User

    if User.objects.exists():
        raise Invalid(
            f"There are people in this database already ({database_described()}), and a restore "
            "would mix two sites. Restore into a new one: set DATABASE_URL (or VAR_DIR), then "
            "`manage.py migrate`."
        )


def _bundle_files() -> Iterator[Path]:
    """Finished bundles; what begins with a dot is still being written."""
    root = settings.BUNDLES_DIR
    for found in sorted(root.rglob("*")) if root.exists() else ():
        parts = found.relative_to(root).parts
        if found.is_file() and not any(part.startswith(".") for part in parts):
            yield found


def _bundles_move(folder: Path) -> None:
    for found in sorted(folder.iterdir()) if folder.exists() else ():
        target = _made(settings.BUNDLES_DIR) / found.name
        if not target.exists():
            shutil.move(found, target)


def _extract(archive: tarfile.TarFile, name: str, folder: Path) -> None:
    archive.extract(name, folder, filter="data")  # no links, nothing outside the folder


def _add(archive: tarfile.TarFile, name: str, file: IO[bytes]) -> str:
    """Add a file's bytes; returns their digest."""
    digest = _sha256(file)
    info = tarfile.TarInfo(name)
    info.size = file.seek(0, io.SEEK_END)
    info.mode = 0o600
    info.mtime = int(timezone.now().timestamp())
    file.seek(0)
    archive.addfile(info, file)
    return digest


def _sha256(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while piece := file.read(1 << 20):
        digest.update(piece)
    return digest.hexdigest()


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
