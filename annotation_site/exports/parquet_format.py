"""Parquet with plain types: text is string, a column of whole numbers int64, others float64."""

import io
from collections.abc import Iterator
from typing import Any

from annotation_site.exports.cells import number_of, text_of
from annotation_site.exports.pieces import PIECE_BYTES
from annotation_site.exports.table import Table

_INT64 = range(-(2**63), 2**63)


class ParquetFormat:
    """One row group per 64 Ki rows; missing and undefined values are null."""

    media_type = "application/vnd.apache.parquet"
    extension = "parquet"

    def write(self, table: Table) -> Iterator[bytes]:
        """Yield the file, which is whole before its first piece.

        Raises ValueError and TypeError as the CSV format does.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        values: list[list[Any]] = [[] for _ in table.columns]
        for row in table.checked_rows():
            for column, cells, cell in zip(table.columns, values, row, strict=True):
                cells.append(text_of(cell) if column.kind == "text" else number_of(cell))
        arrays = [
            pa.array(cells, pa.string()) if column.kind == "text" else _numbers(pa, cells)
            for column, cells in zip(table.columns, values, strict=True)
        ]
        file = io.BytesIO()
        names = [column.name for column in table.columns]
        pq.write_table(pa.table(arrays, names=names), file, row_group_size=2**16)
        file.seek(0)
        while piece := file.read(PIECE_BYTES):
            yield piece


def _numbers(pa: Any, cells: list[Any]) -> Any:
    """int64 where every value is whole and fits; a column without any value is float64."""
    present = [cell for cell in cells if cell is not None]
    if present and all(isinstance(cell, int) and cell in _INT64 for cell in present):
        return pa.array(cells, pa.int64())
    return pa.array([None if cell is None else float(cell) for cell in cells], pa.float64())
