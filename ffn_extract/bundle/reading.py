"""Reading a bundle: everything is validated before the first row is handed out."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ffn_extract.bundle.manifest import (
    MANIFEST_FILE,
    MAX_MANIFEST_BYTES,
    FileRecord,
    Manifest,
    parse_manifest,
)
from ffn_extract.bundle.rows import (
    TOKENS_FILE,
    TOKENS_SCHEMA,
    VECTORS_FILE,
    VECTORS_SCHEMA,
    TokenRow,
    VectorRow,
)
from ffn_extract.bundle.validation import (
    TokenCheck,
    VectorCheck,
    require_columns,
    unpacked_bytes,
)
from ffn_extract.errors import BundleError

BUNDLE_FILES = frozenset({MANIFEST_FILE, VECTORS_FILE, TOKENS_FILE})
_BATCH = 4_000


@dataclass(frozen=True)
class Bundle:
    """A validated bundle on disk."""

    path: Path
    manifest: Manifest

    def iter_tokens(self, batch_size: int = _BATCH) -> Iterator[list[TokenRow]]:
        """Rows of tokens.parquet by ascending id, in lists of at most `batch_size`."""
        for batch in _batches(self.path / TOKENS_FILE, batch_size):
            yield [TokenRow(*values) for values in _values(batch)]

    def iter_vectors(self, batch_size: int = _BATCH) -> Iterator[list[VectorRow]]:
        """Rows of vectors.parquet by layer, kind and index, in lists of at most `batch_size`."""
        for batch in _batches(self.path / VECTORS_FILE, batch_size):
            yield [VectorRow(*values) for values in _values(batch)]


def open_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Validate the bundle in the folder `path` and open it.

    Checked are the set of files, the format version, sizes and digests, row counts (from the
    Parquet metadata, before anything is read), columns and types, and every row.

    Raises
    ------
    BundleError
        With one sentence that says what is wrong. Damage never raises anything else.
    """
    folder = Path(path)
    manifest = read_heads(folder)
    try:
        for name, record in manifest.files.items():
            _require_digest(folder / name, record)
        _check_rows(folder, manifest)
    except OSError as error:
        raise BundleError(f"Cannot read {folder}: {error.strerror or error}.") from error
    return Bundle(folder, manifest)


def read_heads(folder: Path, max_bytes: int | None = None) -> Manifest:
    """The manifest of a bundle of which the manifest, sizes and Parquet footers have been checked.

    Quick whatever the size: no row is read and no digest computed, which `open_bundle` does. With
    `max_bytes`, the rows must not be larger than that when they are unpacked.

    Raises
    ------
    BundleError
        As `open_bundle`.
    """
    try:
        _require_files(folder)
        manifest = parse_manifest(_manifest_bytes(folder))
        if set(manifest.files) != BUNDLE_FILES - {MANIFEST_FILE}:
            raise BundleError(f"{MANIFEST_FILE} does not list exactly the two content files.")
        for name, record in manifest.files.items():
            _require_size(folder / name, record)
        counts = manifest.counts
        unpacked = 0
        for name, schema, rows in (
            (TOKENS_FILE, TOKENS_SCHEMA, counts.tokens),
            (VECTORS_FILE, VECTORS_SCHEMA, counts.vectors),
        ):
            with pq.ParquetFile(folder / name) as file:
                require_columns(file, name, schema, rows)
                unpacked += unpacked_bytes(file)
    except OSError as error:
        raise BundleError(f"Cannot read {folder}: {error.strerror or error}.") from error
    except (pa.ArrowException, ValueError) as error:
        raise BundleError(f"The Parquet files of {folder} cannot be read: {error}.") from error
    if max_bytes is not None and unpacked > max_bytes:
        raise BundleError(
            f"The bundle's rows take {unpacked:,} bytes when they are unpacked; at most "
            f"{max_bytes:,} are read here."
        )
    return manifest


def _require_files(folder: Path) -> None:
    if not folder.is_dir():
        raise BundleError(f"{folder} is not a folder; a bundle is a folder.")
    present = {entry.name for entry in folder.iterdir()}
    missing, extra = sorted(BUNDLE_FILES - present), sorted(present - BUNDLE_FILES)
    if missing:
        raise BundleError(f"{folder} is no complete bundle: it lacks {', '.join(missing)}.")
    if extra:
        raise BundleError(f"{folder} holds files that are no part of a bundle: {', '.join(extra)}.")
    odd = sorted(name for name in BUNDLE_FILES if not (folder / name).is_file())
    if odd:
        raise BundleError(f"{', '.join(odd)} in {folder} is not a file.")


def _manifest_bytes(folder: Path) -> bytes:
    path = folder / MANIFEST_FILE
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise BundleError(f"{MANIFEST_FILE} is larger than {MAX_MANIFEST_BYTES} bytes.")
    return path.read_bytes()


def _require_size(path: Path, record: FileRecord) -> None:
    size = path.stat().st_size
    if size != record.bytes:
        raise BundleError(f"{path.name} has {size} bytes; the manifest says {record.bytes}.")


def _require_digest(path: Path, record: FileRecord) -> None:
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != record.sha256:
            raise BundleError(f"The content of {path.name} does not match its digest.")


def _check_rows(folder: Path, manifest: Manifest) -> None:
    tokens, vectors = TokenCheck(manifest), VectorCheck(manifest)
    counts = manifest.counts
    try:
        with pq.ParquetFile(folder / TOKENS_FILE) as file:
            require_columns(file, TOKENS_FILE, TOKENS_SCHEMA, counts.tokens)
            for batch in file.iter_batches(_BATCH):
                tokens.add(batch)
        token_ids = tokens.finish()
        with pq.ParquetFile(folder / VECTORS_FILE) as file:
            require_columns(file, VECTORS_FILE, VECTORS_SCHEMA, counts.vectors)
            for batch in file.iter_batches(_BATCH):
                vectors.add(batch, token_ids)
        vectors.finish()
    except (pa.ArrowException, ValueError) as error:
        raise BundleError(f"The Parquet files of {folder} cannot be read: {error}.") from error


def _batches(path: Path, batch_size: int) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(batch_size)


def _values(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in batch.columns), strict=True)
