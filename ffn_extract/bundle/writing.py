"""Write a bundle into a temporary folder beside the target, then rename it."""

import hashlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ffn_extract.bundle.columns import VECTORS_SCHEMA
from ffn_extract.bundle.contents import CONTENTS
from ffn_extract.bundle.manifest import MANIFEST_FILE, Counts, FileRecord, Manifest, ModelInfo
from ffn_extract.bundle.reading import open_bundle
from ffn_extract.bundle.rows import (
    LONGEST_TEXTS,
    SHOWN_PREFIXES,
    SIDES,
    Row,
    TokenRow,
    TriggerPrefixRow,
    ValueStatisticsRow,
    VectorRow,
    fitting,
)
from ffn_extract.errors import BundleError, reason_of
from ffn_extract.glosses.gloss import Sense
from ffn_extract.options import KEY_KINDS

ROWS_PER_GROUP = 4_000
_FEW_TEXTS = ["kind", "gloss_source", "gloss_part", "senses.list.element.part", "side"]
"""The columns with few different texts, which are written as dictionaries."""


def require_target(out: Path, model_name: str, parameters: Mapping[str, Any]) -> None:
    """Refuse a folder that has anything but a bundle of the same model and parameters.

    Asked before the work starts, so that nobody waits for an extraction that has no place to go.
    Raises BundleError.
    """
    if not out.exists() and not out.is_symlink():
        return
    if not out.is_dir():
        raise BundleError(f"{out} is not a folder; give another one.")
    if not any(out.iterdir()):
        return
    if not (out / MANIFEST_FILE).is_file():
        raise BundleError(f"{out} holds other files; give a new or empty folder.")
    present = open_bundle(out).manifest
    if present.model.name != model_name or present.parameters != parameters:
        raise BundleError(
            f"{out} already holds another extraction, of {present.model.name}; give another "
            "folder, or remove that one first."
        )


@dataclass(frozen=True)
class Tables:
    """Rows that were written before, as tables of ROWS_PER_GROUP rows; the last may be shorter."""

    groups: Iterable[pa.Table]


def grouped(batches: Iterable[pa.RecordBatch]) -> Tables:
    """The rows of batches of any size."""
    return Tables(_groups_of(batches))


def write_bundle(
    out: Path,
    *,
    model: ModelInfo,
    parameters: Mapping[str, Any],
    vectors: Iterable[VectorRow] | Tables,
    tokens: Iterable[TokenRow],
    environment: Mapping[str, Any],
    value_statistics: Iterable[ValueStatisticsRow] | Tables | None = None,
    trigger_prefixes: Iterable[TriggerPrefixRow] | None = None,
) -> Manifest:
    """Write a bundle to `out` and return its manifest.

    Nothing half-written is ever seen at `out`, whatever is raised on the way. The vectors must
    come in the order of layer, kind (as in `VECTOR_KINDS`) and index, the tokens in the order of
    their id, the statistics in the order of layer and index, the prefixes in the order of layer,
    kind, index, side (positive first) and rank. The bundle has a file of the last two where they
    are given.

    Raises
    ------
    BundleError
        When `out` holds something other than this very bundle, when it cannot be written, or when
        the rows given would make a bundle that `open_bundle` refuses.
    """
    with _folder_beside(out) as folder:
        files, counts = _write_content(
            folder,
            {
                "vectors": vectors,
                "tokens": tokens,
                "value_statistics": value_statistics,
                "trigger_prefixes": trigger_prefixes,
            },
        )
        manifest = Manifest(
            model=model,
            parameters=dict(parameters),
            counts=counts,
            files=files,
            environment=dict(environment),
        )
        (folder / MANIFEST_FILE).write_bytes(manifest.to_bytes())
        open_bundle(folder)
        return _move(folder, out, manifest)


@contextmanager
def _folder_beside(out: Path) -> Iterator[Path]:
    """A new folder on the same file system as `out`, gone afterwards unless it was moved."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    except OSError as error:
        raise BundleError(f"Cannot write to {out.parent}: {reason_of(error)}.") from error
    try:
        folder.chmod(0o777 & ~_umask())  # mkdtemp's 0700 would hide the bundle from the site
        yield folder
    except OSError as error:
        raise BundleError(f"Cannot write the bundle to {out}: {reason_of(error)}.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0o077)  # what another thread makes at this moment is nobody else's
    os.umask(mask)
    return mask


def _write_content(
    folder: Path, given: Mapping[str, Iterable[Any] | Tables | None]
) -> tuple[dict[str, FileRecord], Counts]:
    """Write the contents that are given, by their names in `CONTENTS`."""
    kinds: Counter[str] = Counter()
    active: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    glossed = 0

    def counted(rows: Iterable[Any] | Tables) -> Iterable[Any] | Tables:
        return Tables(counted_tables(rows.groups)) if isinstance(rows, Tables) else each(rows)

    def counted_tables(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        for table in tables:
            if table.schema == VECTORS_SCHEMA:
                kinds.update(table["kind"].to_pylist())
            yield table

    def each(rows: Iterable[Any]) -> Iterator[Any]:
        nonlocal glossed
        for row in rows:
            if isinstance(row, VectorRow):
                kinds[row.kind] += 1
            elif isinstance(row, TokenRow):
                glossed += row.gloss is not None
            elif isinstance(row, TriggerPrefixRow) and row.side == SIDES[0]:
                active[row.kind] += row.rank == 1
                whole[row.kind] += row.rank == SHOWN_PREFIXES
            yield row

    files, numbers = {}, {}
    for name, rows in given.items():
        if rows is None:
            continue
        content = CONTENTS[name]
        numbers[name] = write_rows(folder / content.file, content.schema, counted(rows))
        files[content.file] = _record(folder / content.file)
    keys = None
    if given["trigger_prefixes"] is not None:
        keys = {
            kind: {"never_active": kinds[kind] - active[kind], "short": active[kind] - whole[kind]}
            for kind in KEY_KINDS
            if kinds[kind]
        }
    return files, Counts(glossed=glossed, kinds=dict(kinds), keys=keys, **numbers)


def _groups_of(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        while sum(map(len, waiting)) >= ROWS_PER_GROUP:
            table = pa.Table.from_batches(waiting)
            yield table.slice(0, ROWS_PER_GROUP).combine_chunks()
            waiting = table.slice(ROWS_PER_GROUP).to_batches()
    if waiting:
        yield pa.Table.from_batches(waiting).combine_chunks()


def write_rows(file: Path | IO[bytes], schema: pa.Schema, rows: Iterable[Row] | Tables) -> int:
    """Write rows in groups of a fixed size, because the layout is part of the bytes.

    Texts longer than a reader takes are cut, with a sign at their end.
    """
    total = 0
    with pq.ParquetWriter(
        file,
        schema,
        version="2.6",
        data_page_version="1.0",
        compression="zstd",
        compression_level=3,
        use_dictionary=_FEW_TEXTS,
    ) as writer:
        for table in rows.groups if isinstance(rows, Tables) else _tables(rows, schema):
            writer.write_table(table, ROWS_PER_GROUP)
            total += len(table)
    return total


def _tables(rows: Iterable[Row], schema: pa.Schema) -> Iterator[pa.Table]:
    for group in _groups(rows):
        columns = [_column(group, name) for name in schema.names]
        arrays = [pa.array(c, field.type) for c, field in zip(columns, schema, strict=True)]
        yield pa.Table.from_arrays(arrays, schema=schema)


def _column(rows: Iterable[Row], name: str) -> list[Any]:
    values = [getattr(row, name) for row in rows]
    if name == "senses":
        return [[_fitting_sense(sense) for sense in senses] or None for senses in values]
    if name not in LONGEST_TEXTS:
        return values
    return [None if text is None else fitting(text, name) for text in values]


def _fitting_sense(sense: Sense) -> dict[str, str | int]:
    return {
        name: fitting(value, f"senses.{name}") if isinstance(value, str) else value
        for name, value in asdict(sense).items()
    }


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    for row in rows:
        group.append(row)
        if len(group) == ROWS_PER_GROUP:
            yield group
            group = []
    if group:
        yield group


def _record(path: Path) -> FileRecord:
    with path.open("rb") as file:
        return FileRecord(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def _move(folder: Path, out: Path, manifest: Manifest) -> Manifest:
    """Rename the finished folder to `out`; an equal bundle that is already there stays."""
    try:
        folder.rename(out)  # replaces an empty folder, fails on one that holds something
        return manifest
    except OSError:
        if not (out / MANIFEST_FILE).is_file():
            raise
    present = open_bundle(out).manifest
    if present.digest != manifest.digest:
        raise BundleError(
            f"{out} already holds a bundle with another digest; give another folder, or remove "
            "that one first."
        )
    return present
