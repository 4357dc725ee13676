"""Read a bundle: everything is validated before the first row is returned."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ffn_extract.bundle.contents import CONTENTS
from ffn_extract.bundle.manifest import (
    MANIFEST_FILE,
    MAX_MANIFEST_BYTES,
    FileRecord,
    Manifest,
    parse_manifest,
)
from ffn_extract.bundle.optional_checks import PrefixCheck, StatisticsCheck
from ffn_extract.bundle.parquet import batches, footer, unpacked_bytes
from ffn_extract.bundle.rows import (
    BUNDLE_FILES,
    MOST_SENSES,
    OPTIONAL_FILES,
    TokenRow,
    TriggerPrefixRow,
    ValueStatisticsRow,
    VectorRow,
)
from ffn_extract.bundle.validation import TokenCheck, VectorCheck, top_k_of
from ffn_extract.errors import BundleError

BATCH = 1_000


@dataclass(frozen=True)
class Bundle:
    """A validated bundle on disk."""

    path: Path
    manifest: Manifest

    def iter_tokens(self, batch_size: int = BATCH) -> Iterator[list[TokenRow]]:
        """Rows of tokens.parquet by ascending id, in lists of at most `batch_size`."""
        return self.iter_rows("tokens", batch_size)

    def iter_vectors(self, batch_size: int = BATCH) -> Iterator[list[VectorRow]]:
        """Rows of vectors.parquet by layer, kind and index, in lists of at most `batch_size`."""
        return self.iter_rows("vectors", batch_size)

    def iter_value_statistics(self, batch_size: int = BATCH) -> Iterator[list[ValueStatisticsRow]]:
        """Rows of value_statistics.parquet by layer and index; none where the bundle lacks it."""
        return self.iter_rows("value_statistics", batch_size)

    def iter_trigger_prefixes(self, batch_size: int = BATCH) -> Iterator[list[TriggerPrefixRow]]:
        """Rows of trigger_prefixes.parquet by layer, kind, index, side and rank; none where the
        bundle lacks it.
        """
        return self.iter_rows("trigger_prefixes", batch_size)

    def iter_rows(self, what: str, batch_size: int = BATCH) -> Iterator[list[Any]]:
        """Rows of one of `CONTENTS` in its order, in lists of at most `batch_size`."""
        for batch in _batches(self.path, self.manifest, what, batch_size):
            yield [CONTENTS[what].row(values) for values in _values(batch)]


def open_bundle(path: str | os.PathLike[str], max_bytes: int | None = None) -> Bundle:
    """Validate the bundle in the folder `path` and open it.

    Checked are the set of files, the format version, sizes and digests, row counts (from the
    Parquet metadata, before anything is read), columns and types, and every row. With `max_bytes`,
    the rows must not be larger than that when they are unpacked.

    Raises
    ------
    BundleError
        With one sentence that says what is wrong. Damage never raises anything else.
    """
    folder = Path(path)
    manifest = read_heads(folder, max_bytes)
    with _faults(folder):
        require_digests(folder, manifest)
        _check_rows(folder, manifest, max_bytes)
    return Bundle(folder, manifest)


def read_heads(folder: Path, max_bytes: int | None = None) -> Manifest:
    """The manifest of a bundle, after checks of manifest, sizes and Parquet footers.

    Quick whatever the size: no row is read and no digest computed, which `open_bundle` does. With
    `max_bytes`, the rows must not be larger than that when they are unpacked.

    Raises
    ------
    BundleError
        As `open_bundle`.
    """
    with _faults(folder):
        _require_files(folder)
        manifest = manifest_of(folder)
        _require_listed(folder, manifest)
        for name, record in manifest.files.items():
            _require_size(folder / name, record)
        unpacked = 0
        for name, rows in _counted(manifest).items():
            content = CONTENTS[name]
            schema = content.columns(manifest.format_version)
            unpacked += unpacked_bytes(footer(folder / content.file, schema, rows))
    _require_small(unpacked, max_bytes)
    return manifest


@contextmanager
def _faults(folder: Path) -> Iterator[None]:
    """Turn what reading a damaged or hostile bundle raises into a BundleError."""
    try:
        yield
    except OSError as error:
        raise BundleError(f"Cannot read {folder}: {error.strerror or error}.") from error
    except MemoryError as error:  # pyarrow's own is one too
        raise BundleError(
            f"The rows of {folder} need more memory than is available. Make the bundle again."
        ) from error
    except (pa.ArrowException, ValueError) as error:
        raise BundleError(f"The Parquet files of {folder} cannot be read: {error}.") from error


def _require_small(unpacked: int, max_bytes: int | None) -> None:
    if max_bytes is not None and unpacked > max_bytes:
        raise BundleError(
            f"The bundle's rows take {unpacked:,} bytes or more when they are unpacked; at most "
            f"{max_bytes:,} are read here."
        )


def _require_files(folder: Path) -> None:
    if not folder.is_dir():
        raise BundleError(f"{folder} is not a folder; a bundle is a folder.")
    present = {entry.name for entry in folder.iterdir()}
    missing = sorted(BUNDLE_FILES - present)
    extra = sorted(present - BUNDLE_FILES - OPTIONAL_FILES)
    if missing:
        raise BundleError(f"{folder} is not a complete bundle: it lacks {', '.join(missing)}.")
    if extra:
        raise BundleError(
            f"{folder} holds files that do not belong to a bundle: {', '.join(extra)}."
        )
    odd = sorted(name for name in present if not (folder / name).is_file())
    if odd:
        raise BundleError(f"{', '.join(odd)} in {folder} is not a file.")


def _require_listed(folder: Path, manifest: Manifest) -> None:
    """Compare the files that are there, those with a digest, and those with a number of rows."""
    counted = {CONTENTS[name].file for name in _counted(manifest)}
    if set(manifest.files) != counted:
        raise BundleError(
            f"{MANIFEST_FILE} must list exactly the files {', '.join(sorted(counted))}, of which "
            "it counts rows."
        )
    present = {entry.name for entry in folder.iterdir()} - {MANIFEST_FILE}
    if missing := sorted(counted - present):
        raise BundleError(f"{folder} is not a complete bundle: it lacks {', '.join(missing)}.")
    if extra := sorted(present - counted):
        raise BundleError(
            f"{folder} holds files that its manifest does not list: {', '.join(extra)}. Copy the "
            "bundle again."
        )


def _counted(manifest: Manifest) -> dict[str, int]:
    """The number of rows of each content that the bundle has."""
    numbers = {name: getattr(manifest.counts, name) for name in CONTENTS}
    return {name: rows for name, rows in numbers.items() if rows is not None}


def manifest_of(folder: Path) -> Manifest:
    """The manifest alone, with its form, types and digests checked. Raises BundleError."""
    path = folder / MANIFEST_FILE
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise BundleError(f"{MANIFEST_FILE} is larger than {MAX_MANIFEST_BYTES} bytes.")
    return parse_manifest(path.read_bytes())


def _require_size(path: Path, record: FileRecord) -> None:
    size = path.stat().st_size
    if size != record.bytes:
        raise BundleError(f"{path.name} has {size} bytes; the manifest says {record.bytes}.")


def require_digests(folder: Path, manifest: Manifest) -> None:
    """Refuse content that is not what the manifest says. Raises BundleError."""
    for name, record in manifest.files.items():
        with (folder / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != record.sha256:
                raise BundleError(f"The content of {name} does not match its digest.")


def _check_rows(folder: Path, manifest: Manifest, max_bytes: int | None) -> None:
    unpacked = 0  # counted, because no footer says how often a text or a number is repeated

    def rows(what: str) -> Iterator[pa.RecordBatch]:
        nonlocal unpacked
        for batch in _batches(folder, manifest, what, BATCH):
            yield batch
            _require_small(unpacked := unpacked + batch.nbytes, max_bytes)

    tokens = TokenCheck(manifest)
    for batch in rows("tokens"):
        tokens.add(batch)
    token_ids = tokens.finish()
    vectors = VectorCheck(manifest)
    for batch in rows("vectors"):
        vectors.add(batch, token_ids)
    keys = vectors.finish()
    statistics = StatisticsCheck(manifest)
    for batch in rows("value_statistics"):
        statistics.add(batch)
    prefixes = PrefixCheck(manifest, keys)
    for batch in rows("trigger_prefixes"):
        prefixes.add(batch)
    prefixes.finish()


def _batches(folder: Path, manifest: Manifest, what: str, most: int) -> Iterator[pa.RecordBatch]:
    """The rows of a content; none where the bundle lacks it."""
    content, rows = CONTENTS[what], _counted(manifest).get(what)
    if rows is None:
        return iter(())
    entries = {"tokens": MOST_SENSES, "vectors": top_k_of(manifest)}.get(what, 1)
    schema = content.columns(manifest.format_version)
    return batches(folder / content.file, schema, rows, most, entries)


def _values(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in batch.columns), strict=True)
