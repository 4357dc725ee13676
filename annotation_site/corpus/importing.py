"""Import bundles from elsewhere: by a command, or from an upload by a worker."""

import os
import shutil
import struct
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy

from annotation_site.accounts import audit
from annotation_site.accounts.models import User
from annotation_site.corpus import loading, services
from annotation_site.corpus.log import log_add
from annotation_site.corpus.models import Extraction
from annotation_site.corpus.receiving import incoming_folder
from annotation_site.corpus.titles import extraction_create
from annotation_site.errors import Invalid, SiteError, storage_sentence
from annotation_site.workers.claims import DEAD_AFTER, heartbeat, wake
from annotation_site.workers.clocks import silent_for
from annotation_site.workers.queues import EXTRACTION_QUEUE
from ffn_extract.bundle import BUNDLE_FILES, OPTIONAL_FILES, BundleError, Manifest

State = Extraction.State
_UNPACKED_BY = 8
"""How much larger than MAX_BUNDLE_BYTES the rows may be when they are unpacked."""
_COPIED_AT_ONCE = 1 << 20
_ZIP_TAIL = 22 + 65_535  # the end of a .zip with its longest comment
_MOST_DIRECTORY_BYTES = 10_000
_LEAST_HEADER_BYTES = 30  # in front of a member
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others take dictionaries of any size
_ENCRYPTED = 0x1 | 0x40  # flag bits: a password, or one for the whole
_DAMAGED = gettext_lazy("The .zip is damaged. Pack the folder again and send it again.")
_WHAT_TO_CHOOSE = gettext_lazy(
    "Choose all files of a bundle (manifest.json, tokens.parquet, vectors.parquet and what else is "
    "in its folder), or one .zip of their folder."
)
_OTHER_FILES = gettext_lazy(
    "The .zip holds files that are not a bundle's. Choose all files of a bundle (manifest.json, "
    "tokens.parquet, vectors.parquet and what else is in its folder), or one .zip of their folder."
)


def bundle_import(
    *, path: Path, report: Callable[[str, int, int], None] = lambda *_: None
) -> tuple[Extraction, bool]:
    """Load a bundle from elsewhere; returns the extraction and whether it is new.

    Idempotent by the bundle's digest. The bundle is validated before anything is written, and
    what is loaded becomes visible at the end, in one step. Raises FFNExtractError for a bundle
    that is damaged or foreign, SiteError when the same one is being loaded at this moment.
    """
    bundle = services.open_storable(path)
    _release_stale_imports()
    existing = Extraction.objects.filter(
        bundle_digest=bundle.manifest.digest, restored__isnull=True
    ).first()
    if existing is not None:
        if existing.state == State.READY:
            return existing, False
        raise SiteError(gettext("This bundle is being loaded now. Wait until that has ended."))
    extraction = extraction_create(
        model_source=bundle.manifest.model.name,
        parameters=bundle.manifest.parameters,
        state=State.RUNNING,
        claim=uuid.uuid4(),
        imported=True,
        started_at=timezone.now(),
        heartbeat_at=timezone.now(),
    )
    log_add(extraction.pk, "Import of a bundle, by command.")
    try:
        with heartbeat(extraction):
            services.bundle_load(extraction=extraction, bundle=bundle, show=report)
    except BaseException:
        loading.rows_delete(extraction.pk)
        extraction.delete()
        raise
    extraction.refresh_from_db()
    return extraction, True


def _release_stale_imports() -> None:
    """Give up imports whose process died, so that the same bundle can be loaded again."""
    stale = Extraction.objects.filter(
        silent_for(DEAD_AFTER),
        imported=True,
        state__in=(State.RUNNING, State.LOADING),
    )
    for extraction in stale:
        services.extraction_fail(extraction=extraction, reason=services.INTERRUPTED)


def most_unpacked() -> int:
    """The most bytes that the rows of an upload may take when unpacked."""
    return _UNPACKED_BY * int(settings.MAX_BUNDLE_BYTES)


@dataclass(frozen=True)
class Upload:
    """An uploaded bundle, unpacked and checked, in a folder of its own."""

    folder: Path
    manifest: Manifest


@contextmanager
def upload_staged(*, files: Mapping[str, Path]) -> Iterator[Upload]:
    """The received files of a bundle by name; files that `upload_take` does not take are removed.

    What can be seen without reading rows is checked here, the rest by a worker. It can take as
    long as unpacking does, so no transaction should wait for it. Raises Invalid.
    """
    # Here, because reading Parquet takes pyarrow, which no page needs but this one.
    from ffn_extract.bundle.apart import read_heads_apart

    staged = incoming_folder() / f"{uuid.uuid4()}.bundle"
    try:
        try:
            staged.mkdir(mode=0o700)
            _stage(files, staged)
            manifest = read_heads_apart(staged, most_unpacked())
            loading.require_storable(manifest)
        except BundleError as error:
            # The folder's name means nothing to who sent the files.
            said = str(error).replace(str(staged), gettext("the upload"))
            raise Invalid(
                gettext("%(problem)s Send the bundle again, or make it again.") % {"problem": said}
            ) from error
        except OSError as error:
            if (sentence := storage_sentence(error)) is None:
                raise
            raise Invalid(sentence) from error
        yield Upload(staged, manifest)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def upload_take(*, upload: Upload, by: User | None = None) -> tuple[Extraction, bool]:
    """Enqueue an uploaded bundle for a worker, which loads it.

    Returns the extraction and whether it is new: lists that are here already are not taken twice.
    """
    digest = upload.manifest.digest
    ready = Extraction.objects.filter(
        bundle_digest=digest, restored__isnull=True, state=State.READY
    ).first()
    if ready is not None:
        return ready, False
    services.require_turn(by)
    return _upload_queue(upload.folder, upload.manifest, by), True


def _upload_queue(staged: Path, manifest: Manifest, by: User | None) -> Extraction:
    public_id = uuid.uuid4()
    place = Path(settings.BUNDLES_DIR) / str(public_id)
    os.rename(staged, place)
    try:
        with transaction.atomic():
            extraction = extraction_create(
                public_id=public_id,
                model_source=manifest.model.name,
                parameters=manifest.parameters,
                uploaded=True,
                requested_by=by,
            )
            log_add(extraction.pk, "Uploaded, and queued to be checked and loaded.", person=by)
            audit.record("model_uploaded", target=extraction, actor=by)
            wake(EXTRACTION_QUEUE)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    return extraction


def _stage(files: Mapping[str, Path], folder: Path) -> None:
    """Put a bundle's files into a folder, out of a .zip where that is what came."""
    if len(files) == 1 and (name := next(iter(files))).lower().endswith(".zip"):
        _unpack(files[name], folder)
    elif _are_a_bundles(set(files)):
        for name, path in files.items():
            os.rename(path, folder / name)
    else:
        raise Invalid(str(_WHAT_TO_CHOOSE))


def _are_a_bundles(names: set[str]) -> bool:
    """Whether these are all files of a bundle, with or without the optional ones."""
    return BUNDLE_FILES <= names <= BUNDLE_FILES | OPTIONAL_FILES


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack exactly a bundle's files. Names are compared and never used as paths."""
    _require_short_directory(archive)
    try:
        with zipfile.ZipFile(archive) as opened:
            members = {entry.filename: entry for entry in opened.infolist()}
            folders = [name for name in members if name.endswith("/")]
            names = sorted(set(members) - set(folders))
            within = names[0].rpartition("/")[0] if names else ""
            start = f"{within}/" if within else ""
            wanted = {f"{start}{name}": name for name in BUNDLE_FILES | OPTIONAL_FILES}
            wanted = {member: wanted[member] for member in names if member in wanted}
            # One folder at most: `zip -r` writes the bundle's own, with an entry for it.
            whole = len(wanted) == len(names) and _are_a_bundles(set(wanted.values()))
            if "/" in within or not whole or len(folders) > 1:
                raise Invalid(str(_OTHER_FILES))
            if len(opened.infolist()) != len(members):
                raise Invalid(gettext("The .zip names a file twice. Pack the folder again."))
            _require_plain([members[member] for member in wanted], archive.stat().st_size)
            left = settings.MAX_BUNDLE_BYTES
            for member, name in wanted.items():
                left -= _unpack_member(opened, members[member], folder / name, left)
    # Its reader raises ValueError, OverflowError and struct.error for what no program writes.
    except (
        zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error, ValueError, OverflowError,
        struct.error,
    ) as error:  # fmt: skip
        raise Invalid(str(_DAMAGED)) from error


def _require_plain(entries: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse members that only other programs can read, or that share bytes; nothing is opened."""
    if any(entry.flag_bits & _ENCRYPTED for entry in entries):
        raise Invalid(gettext("The .zip is encrypted. Pack the folder without a password."))
    if any(entry.compress_type not in _METHODS for entry in entries):
        raise Invalid(
            gettext(
                "The .zip is packed with a method other than Deflate. Pack the folder again with "
                "the usual method."
            )
        )
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < end:
            raise Invalid(str(_DAMAGED))
        end = entry.header_offset + _LEAST_HEADER_BYTES + entry.compress_size
    if end > size:
        raise Invalid(str(_DAMAGED))


def _require_short_directory(archive: Path) -> None:
    """Refuse an archive whose directory is long, before it is read into memory."""
    with archive.open("rb") as file:
        file.seek(max(0, archive.stat().st_size - _ZIP_TAIL))
        tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) < end + 22:
        raise Invalid(gettext("The .zip is incomplete. Pack the folder again and send it again."))
    size = int.from_bytes(tail[end + 12 : end + 16], "little")
    if size > _MOST_DIRECTORY_BYTES or tail[max(0, end - 20) : end].startswith(b"PK\x06\x07"):
        raise Invalid(str(_OTHER_FILES))


def _unpack_member(
    opened: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, most: int
) -> int:
    """Write one member, of at most so many bytes whatever its head says; returns its size."""
    written = 0
    with opened.open(member) as source, target.open("xb") as file:
        while chunk := source.read(_COPIED_AT_ONCE):
            written += len(chunk)
            if written > most:
                raise Invalid(
                    gettext(
                        "The unpacked .zip is larger than the limit of %(most)s bytes. Copy the "
                        "bundle to the server and run `manage.py import_bundle` there."
                    )
                    % {"most": f"{settings.MAX_BUNDLE_BYTES:,}"}
                )
            file.write(chunk)
    return written
