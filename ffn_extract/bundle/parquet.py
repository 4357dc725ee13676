"""Read the Parquet files of a bundle in bounded memory.

A dictionary or a run length makes gigabytes of a file of kilobytes, and no footer says so. So texts
are read as the dictionaries that they are stored as, measured there, and only then written out.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ffn_extract.bundle.rows import LONGEST_TEXTS
from ffn_extract.errors import BundleError

MAX_GROUP_ROWS = 65_536
MAX_GROUP_BYTES = 1 << 30
MAX_FOOTER_BYTES = 16 << 20
_MAGIC = b"PAR1"
_FOOTER_TAIL = 8  # the footer's length and the magic number
_READ_AT_ONCE = 1 << 20
_MOST_ENTRIES = 200_000  # of lists in one batch


def footer(path: Path, schema: pa.Schema, rows: int) -> pq.FileMetaData:
    """The footer of a Parquet file, checked against the schema and the manifest.

    Raises BundleError. Errors of pyarrow go to the caller.
    """
    _require_short_footer(path)
    with pq.ParquetFile(path, thrift_string_size_limit=MAX_FOOTER_BYTES) as file:
        _require_fitting(file, path.name, schema, rows)
        return file.metadata


def batches(
    path: Path, schema: pa.Schema, rows: int, most: int, entries: int = 1
) -> Iterator[pa.RecordBatch]:
    """Rows of a file in batches of limited size, with limited lengths of texts.

    `entries` is how many a list has. Raises BundleError for a longer text, before it is repeated
    in memory.
    """
    most = max(1, min(most, _MOST_ENTRIES // entries))
    metadata = footer(path, schema, rows)
    with pq.ParquetFile(
        path,
        metadata=metadata,
        read_dictionary=_columns_of_texts(metadata),
        pre_buffer=False,
        buffer_size=_READ_AT_ONCE,
    ) as file:
        for group in range(metadata.num_row_groups):  # a reader keeps the texts of all its groups
            for batch in file.iter_batches(most, row_groups=[group], use_threads=False):
                for column, name in zip(batch.columns, schema.names, strict=True):
                    _require_short_texts(column, name)
                columns = [
                    column.cast(field.type)
                    for column, field in zip(batch.columns, schema, strict=True)
                ]
                yield pa.RecordBatch.from_arrays(columns, names=schema.names)


def unpacked_bytes(metadata: pq.FileMetaData) -> int:
    """The unpacked size of the rows by the footer, without repetition."""
    return sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))


def _columns_of_texts(metadata: pq.FileMetaData) -> list[str]:
    """The columns of texts as the file names them, also those within lists."""
    columns = map(metadata.schema.column, range(len(metadata.schema)))
    return [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]


def _require_short_texts(column: pa.Array, name: str) -> None:
    """Refuse texts that are too long or no Unicode, in dictionaries that are not written out."""
    if pa.types.is_list(column.type):
        _require_short_texts(column.values, name)
    if pa.types.is_struct(column.type):
        for i, field in enumerate(column.type):
            _require_short_texts(column.field(i), f"{name}.{field.name}")
    if not pa.types.is_dictionary(column.type):
        return
    texts = column.dictionary
    longest = pc.max(pc.binary_length(texts)).as_py() or 0
    if longest > LONGEST_TEXTS[name]:
        raise BundleError(
            f"A text in column {name} has {longest:,} bytes; at most {LONGEST_TEXTS[name]:,} are "
            "read."
        )
    texts.validate(full=True)  # Parquet readers take any bytes for text


def _require_short_footer(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _FOOTER_TAIL))
        tail = file.read(_FOOTER_TAIL)
    if tail[4:] != _MAGIC:
        raise BundleError(f"{path.name} is not a complete Parquet file. Copy the bundle again.")
    length = int.from_bytes(tail[:4], "little")
    if length > min(MAX_FOOTER_BYTES, size):
        raise BundleError(
            f"The footer of {path.name} has {length:,} bytes; at most {MAX_FOOTER_BYTES:,} are "
            "read."
        )


def _require_fitting(file: pq.ParquetFile, name: str, schema: pa.Schema, rows: int) -> None:
    """Refuse a file by its footer alone: row count, columns, types, sizes of groups."""
    metadata = file.metadata
    if metadata.num_rows != rows:
        raise BundleError(f"{name} has {metadata.num_rows} rows; the manifest says {rows}.")
    found = file.schema_arrow
    if found.names != schema.names:
        raise BundleError(f"{name} has the columns {_shortened(found.names)}.")
    for expected, actual in zip(schema, found, strict=True):
        if not _same_type(expected.type, actual.type):
            raise BundleError(
                f"Column {expected.name} of {name} has the type {actual.type}, not {expected.type}."
            )
    for i in range(metadata.num_row_groups):
        group = metadata.row_group(i)
        if group.num_rows > MAX_GROUP_ROWS or group.total_byte_size > MAX_GROUP_BYTES:
            raise BundleError(f"{name} has a row group too large to be read safely.")


def _shortened(names: list[str]) -> str:
    shown = ", ".join(name[:40] for name in names[:20])
    return shown if len(names) <= 20 else f"{shown} and {len(names) - 20:,} more"


def _same_type(expected: pa.DataType, actual: pa.DataType) -> bool:
    """Whether types are equal, whatever the entries of lists are called."""
    if pa.types.is_list(expected) and pa.types.is_list(actual):
        return _same_type(expected.value_type, actual.value_type)
    return bool(expected == actual)
