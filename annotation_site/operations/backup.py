"""Backup and restore, between SQLite and PostgreSQL too.

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
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, Any

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.color import no_style
from django.db import DatabaseError, connection, models, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from annotation_site.accounts.models import User
from annotation_site.errors import Invalid, storage_sentence
from annotation_site.operations.databases import database_described, plain, require_database
from annotation_site.results.tables.reading import one_moment
from ffn_extract.atomic_file import atomic_file

FORMAT = 1
ROWS_AT_ONCE = 1000
LEFT_OUT = {"contenttypes", "auth", "sessions", "usersessions"}
MANIFEST = "manifest.json"
FILES = "bundles/"
# What reading a file that is no backup raises.
_NO_BACKUP = (
    tarfile.TarError, OSError, EOFError, zlib.error, ValueError, LookupError, AttributeError,
    TypeError, RecursionError, StopIteration,
)  # fmt: skip


def backup_write(path: Path) -> dict[str, int]:
    """Write a backup to `path`; returns the number of rows of each table.

    The file appears when it is whole. Raises Invalid where it exists already, and for a database
    that is not the site's: with nobody in it, or tables that are missing or of another version.
    """
    require_database(with_people=True)
    if path.exists():
        raise Invalid(f"{path} exists. Choose another name; a backup is never overwritten.")
    counts: dict[str, int] = {}
    digests: dict[str, str] = {}
    with atomic_file(path) as out, tarfile.open(fileobj=out, mode="w") as archive:
        with one_moment():
            migrations = _migrations()
            for model in _models():
                with _rows_file(model, path.parent) as (file, count):
                    name = _rows_name(model)
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
    return counts


def backup_restore(path: Path) -> dict[str, int]:
    """Fill an empty, migrated database and the bundles' folder; returns the rows of each table.

    The whole file is checked before anything is written, and the rows come in one transaction.
    Raises Invalid for a file that is no whole backup or is of another version of the site, for a
    database in which somebody is already, and where other bundles have the names of these.
    """
    require_database()
    try:
        archive = tarfile.open(path)  # noqa: SIM115 (closed below)
    except (OSError, tarfile.TarError) as error:
        raise Invalid(f"{path} cannot be read as a backup: {error}.") from error
    with archive:
        manifest = _checked_manifest(archive, path)
        _refuse_a_database_in_use()
        bundles = [name for name in manifest["sha256"] if name.startswith(FILES)]
        for name in bundles:
            _refuse_another_bundle(name, manifest["sha256"][name])
        with tempfile.TemporaryDirectory(dir=_made(settings.BUNDLES_DIR), prefix=".") as folder:
            for name in bundles:
                archive.extract(name, folder, filter="data")
            with _all_or_nothing(path), _bundles_moved(Path(folder) / FILES):
                for model in _models():
                    _rows_load(archive, model)
                _sequences_reset()
                _checked_counts(manifest)
    rows: dict[str, int] = manifest["rows"]
    return rows


def _models() -> list[type[models.Model]]:
    return [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.app_label not in LEFT_OUT and model._meta.managed
    ]


def _rows_name(model: type[models.Model]) -> str:
    return f"rows/{model._meta.label_lower}.jsonl.gz"


def _migrations() -> list[list[str]]:
    return sorted([app, name] for app, name in MigrationRecorder(connection).applied_migrations())


@contextmanager
def _rows_file(model: type[models.Model], folder: Path) -> Iterator[tuple[IO[bytes], int]]:
    """A temporary file with a model's rows, one JSON list of field values a line."""
    fields = model._meta.concrete_fields
    count = 0
    with tempfile.TemporaryFile(dir=folder) as file:
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
    member = archive.extractfile(_rows_name(model)) or io.BytesIO()
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
    """The manifest, once every file that it names is there and has its digest.

    Somebody may have changed a backup and its digests: nothing but the files that `backup_write`
    writes is taken, each once, and none of another kind or place.
    """
    try:
        members = _members(archive, path)
        if MANIFEST not in members:
            raise Invalid(f"{path} is no whole backup: it has no manifest.")
        manifest: dict[str, Any] = json.load(archive.extractfile(MANIFEST) or io.BytesIO())
        if manifest["format"] != FORMAT:
            raise Invalid(
                f"{path} is a backup of format {manifest['format']}; this site reads {FORMAT}."
            )
        if manifest["migrations"] != _migrations():
            raise Invalid(
                f"{path} was made by another version of the site. Restore it with that version, "
                "then upgrade: `manage.py migrate`."
            )
        for name, expected in manifest["sha256"].items():
            file = archive.extractfile(members[name]) if name in members else None
            if file is None or _sha256(file) != expected:
                raise Invalid(f"{path} is damaged: {name} is not as it was written.")
        counts = {name: int(count) for name, count in manifest["rows"].items()}
        wanted = {_rows_name(model) for model in _models()}
        found = {name for name in members if not name.startswith(FILES)} - {MANIFEST}
        if set(members) - {MANIFEST} != set(manifest["sha256"]) or found != wanted:
            raise Invalid(f"{path} is no whole backup: its files are not those of a backup.")
        return manifest | {"rows": counts}
    except _NO_BACKUP as error:
        raise Invalid(f"{path} is no whole backup: {error!r}.") from error


def _members(archive: tarfile.TarFile, path: Path) -> dict[str, tarfile.TarInfo]:
    """The files of the archive. Raises Invalid for what no backup has."""
    members: dict[str, tarfile.TarInfo] = {}
    for member in archive:
        name = PurePosixPath(member.name)
        odd = name.is_absolute() or ".." in name.parts or str(name) != member.name
        # Not sparse: a few bytes could stand for terabytes.
        if not member.isreg() or member.issparse() or odd or member.name in members:
            raise Invalid(f"{path} is no backup of this site: {member.name!r} has no place in one.")
        members[member.name] = member
    return members


def _refuse_a_database_in_use() -> None:
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


def _refuse_another_bundle(name: str, digest: str) -> None:
    """A bundle that is there already stays, where it is the one of the backup."""
    there = settings.BUNDLES_DIR / name.removeprefix(FILES)
    if not there.exists():
        return
    with there.open("rb") as file:
        same = _sha256(file) == digest
    if not same:
        raise Invalid(
            f"{there} is another file than that of the backup. Move it away, or set BUNDLES_DIR to "
            "another folder; nothing was restored."
        )


@contextmanager
def _bundles_moved(folder: Path) -> Iterator[None]:
    """Put the bundles in `folder` in their place; they go again where the block fails."""
    moved: list[Path] = []
    try:
        for found in sorted(folder.iterdir()) if folder.exists() else ():
            target = settings.BUNDLES_DIR / found.name
            if not target.exists():
                os.replace(found, target)  # on one file system: `folder` is below BUNDLES_DIR
                moved.append(target)
        yield
    except BaseException:
        for target in moved:
            shutil.rmtree(target, ignore_errors=True)
            target.unlink(missing_ok=True)
        raise


@contextmanager
def _all_or_nothing(path: Path) -> Iterator[None]:
    """One transaction; a row that it refuses becomes an error sentence."""
    try:
        with transaction.atomic():
            yield
    except DatabaseError as error:
        raise Invalid(
            f"The database did not take the rows of {path}: {plain(error)} Nothing was restored."
        ) from error
    except (*_NO_BACKUP, ValidationError) as error:
        if isinstance(error, OSError) and storage_sentence(error):
            raise
        raise Invalid(f"{path} has rows that are none: {error!r}. Nothing was restored.") from error


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
