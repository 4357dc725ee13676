"""Read a bundle: everything is validated before the first row is returned."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ffn_extract.bundle.manifest import (
    MANIFEST_FILE,
    MAX_MANIFEST_BYTES,
    FileRecord,
    Manifest,
    parse_manifest,
)
from ffn_extract.bundle.parquet import batches, footer, unpacked_bytes
from ffn_extract.bundle.rows import (
    MOST_SENSES,
    TOKENS_FILE,
    VECTORS_FILE,
    VECTORS_SCHEMA,
    TokenRow,
    VectorRow,
    token_row,
    tokens_schema,
)
from ffn_extract.bundle.validation import TokenCheck, VectorCheck, top_k_of
from ffn_extract.errors import BundleError

BUNDLE_FILES = frozenset({MANIFEST_FILE, VECTORS_FILE, TOKENS_FILE})
BATCH = 1_000


@dataclass(frozen=True)
class Bundle:
    """A validated bundle on disk."""

    path: Path
    manifest: Manifest

    def iter_tokens(self, batch_size: int = BATCH) -> Iterator[list[TokenRow]]:
        """Rows of tokens.parquet by ascending id, in lists of at most `batch_size`."""
        for batch in _token_batches(self.path, self.manifest, batch_size):
            yield [token_row(values) for values in _values(batch)]

    def iter_vectors(self, batch_size: int = BATCH) -> Iterator[list[VectorRow]]:
        """Rows of vectors.parquet by layer, kind and index, in lists of at most `batch_size`."""
        for batch in _vector_batches(self.path, self.manifest, batch_size):
            yield [VectorRow(*values) for values in _values(batch)]


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
        if set(manifest.files) != BUNDLE_FILES - {MANIFEST_FILE}:
            raise BundleError(f"{MANIFEST_FILE} does not list exactly the two content files.")
        for name, record in manifest.files.items():
            _require_size(folder / name, record)
        counts = manifest.counts
        unpacked = 0
        for name, schema, rows in (
            (TOKENS_FILE, tokens_schema(manifest.format_version), counts.tokens),
            (VECTORS_FILE, VECTORS_SCHEMA, counts.vectors),
        ):
            unpacked += unpacked_bytes(footer(folder / name, schema, rows))
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
    missing, extra = sorted(BUNDLE_FILES - present), sorted(present - BUNDLE_FILES)
    if missing:
        raise BundleError(f"{folder} is not a complete bundle: it lacks {', '.join(missing)}.")
    if extra:
        raise BundleError(
            f"{folder} holds files that do not belong to a bundle: {', '.join(extra)}."
        )
    odd = sorted(name for name in BUNDLE_FILES if not (folder / name).is_file())
    if odd:
        raise BundleError(f"{', '.join(odd)} in {folder} is not a file.")


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
    tokens, vectors = TokenCheck(manifest), VectorCheck(manifest)
    unpacked = 0  # counted, because no footer says how often a text or a number is repeated
    for batch in _token_batches(folder, manifest, BATCH):
        tokens.add(batch)
        _require_small(unpacked := unpacked + batch.nbytes, max_bytes)
    token_ids = tokens.finish()
    for batch in _vector_batches(folder, manifest, BATCH):
        vectors.add(batch, token_ids)
        _require_small(unpacked := unpacked + batch.nbytes, max_bytes)
    vectors.finish()


def _token_batches(folder: Path, manifest: Manifest, most: int) -> Iterator[pa.RecordBatch]:
    schema = tokens_schema(manifest.format_version)
    return batches(folder / TOKENS_FILE, schema, manifest.counts.tokens, most, MOST_SENSES)


def _vector_batches(folder: Path, manifest: Manifest, most: int) -> Iterator[pa.RecordBatch]:
    top_k = top_k_of(manifest)
    return batches(folder / VECTORS_FILE, VECTORS_SCHEMA, manifest.counts.vectors, most, top_k)


def _values(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in batch.columns), strict=True)
