"""Labels as Parquet: the documented fields as columns of plain types, patterns as a list of
structs. Rows are written and read in groups, so memory does not grow with their number."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any

from annotation_site.exports.annotation_records import (
    FIELDS_OF,
    FURTHER_FIELDS,
    MADE_UP_FIELD,
    PATTERN_FIELDS,
    SCHEMA_VERSION,
    AnnotationRecord,
    Field,
    LabelsFileError,
    record_of,
)

ROWS = 1000  # of a row group


class ParquetWriter:
    """Writes records to a file that is open for bytes; `close` ends the Parquet file in it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._schema: Any = None
        self._writer: Any = None
        self._waiting: list[dict[str, Any]] = []

    def write(self, record: AnnotationRecord) -> None:
        """Add a row."""
        self._waiting.append(record.values())
        if len(self._waiting) == ROWS:
            self._flush()

    def close(self) -> None:
        """Write the remaining rows and the footer."""
        if self._waiting or self._writer is None:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._writer is None:
            further = {field.name for field in FURTHER_FIELDS}
            further = {name for values in self._waiting for name in further & values.keys()}
            self._schema = schema(further=further)
            self._writer = pq.ParquetWriter(self._file, self._schema, compression="zstd")
        self._writer.write_table(pa.Table.from_pylist(self._waiting, schema=self._schema))
        self._waiting = []


def schema(*, further: Collection[str] = (), version: int = SCHEMA_VERSION) -> Any:
    """The file's pyarrow schema; made-up annotations have a column and metadata that say so.

    `further` are the names of those of `FURTHER_FIELDS` that the records have.
    `version` is the records' schema, a key of `FIELDS_OF`.
    """
    import pyarrow as pa

    known = FIELDS_OF[version]
    fields = (*known, *(field for field in FURTHER_FIELDS if field.name in further))
    metadata = {MADE_UP_FIELD.name: "true"} if MADE_UP_FIELD.name in further else None
    return pa.schema([_column(pa, field) for field in fields], metadata=metadata)


def read(path: Path | IO[bytes]) -> Iterator[AnnotationRecord]:
    """Yield the records one by one. Raises LabelsFileError with the number of the row."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            version = SCHEMA_VERSION if "looked_before" in names else 1
            expected = schema(further=names, version=version)
            if not file.schema_arrow.equals(expected):
                raise LabelsFileError(_difference(file.schema_arrow, expected))
            number = 0
            for batch in file.iter_batches(batch_size=ROWS, use_threads=False):
                for values in batch.to_pylist():
                    number += 1
                    yield record_of(values, f"Row {number}")
    except (pa.ArrowException, OSError) as error:
        raise LabelsFileError("The file is damaged, or no Parquet file.") from error


def _column(pa: Any, field: Field) -> Any:
    types = {
        "string": pa.string(),
        "int32": pa.int32(),
        "float64": pa.float64(),
        "bool": pa.bool_(),
        "timestamp": pa.timestamp("us", tz="UTC"),
        "list<int32>": pa.list_(pa.int32()),
        "list<string>": pa.list_(pa.string()),
    }
    if field.type == "patterns":
        inner = pa.struct([_column(pa, one) for one in PATTERN_FIELDS])
        return pa.field(field.name, pa.list_(inner), nullable=False)
    return pa.field(field.name, types[field.type], nullable=field.nullable)


def _difference(found: Any, expected: Any) -> str:
    for field in expected:
        place = found.get_field_index(field.name)
        if place < 0:
            return f"The file has no column {field.name}. docs/exports.md lists the columns."
        if found.field(place).type != field.type:
            return f"The column {field.name} is {found.field(place).type}, not {field.type}."
    return "The file has other columns than docs/exports.md lists, or in another order."
