"""Finished layers of a long extraction, kept beside its target until the bundle is complete."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ffn_extract.atomic_file import atomic_file
from ffn_extract.bundle.columns import STATISTICS_SCHEMA, VECTORS_SCHEMA
from ffn_extract.bundle.rows import (
    ValueStatisticsRow,
    VectorRow,
)
from ffn_extract.bundle.writing import ROWS_PER_GROUP, Tables, grouped, write_rows
from ffn_extract.errors import BundleError, reason_of

_ID_COLUMNS = ("token_ids", "bottom_token_ids")


class Parts:
    """One file of rows per layer, and one of statistics where they are wanted.

    They are in a folder named after the target and `inputs`.

    `inputs` is everything that the rows depend on: only a run with equal inputs finds these parts.
    A part appears at once and whole, so a killed run leaves finished layers and nothing else that
    counts. Any number of processes may write parts at once: equal inputs give equal parts.
    """

    def __init__(self, out: Path, inputs: Mapping[str, Any]) -> None:
        text = json.dumps(inputs, sort_keys=True, ensure_ascii=False)
        key = hashlib.sha256(text.encode()).hexdigest()[:32]
        self.folder = out.parent / f".{out.name}.{key}.parts"

    def begin(self) -> None:
        """Make the folder. Raises BundleError if that fails."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BundleError(f"Cannot write to {self.folder}: {reason_of(error)}.") from error

    @property
    def begun(self) -> bool:
        """Whether a run with equal inputs began, on any machine that shares the folder."""
        return self.folder.is_dir()

    def finished(self, n_layers: int) -> list[int]:
        """The finished layers, ascending."""
        return [layer for layer in range(n_layers) if self._path(layer).is_file()]

    def write(
        self,
        layer: int,
        rows: Iterable[VectorRow],
        statistics: Iterable[ValueStatisticsRow] | None = None,
    ) -> None:
        """Write a layer's rows as they come. Raises BundleError if that fails.

        Also when the folder is gone: a run that others finished meanwhile must not make it again.
        """
        try:
            if statistics is not None:  # first, because the rows say that the layer is finished
                with atomic_file(self._statistics_path(layer)) as file:
                    write_rows(file, STATISTICS_SCHEMA, statistics)
            with atomic_file(self._path(layer)) as file:
                write_rows(file, VECTORS_SCHEMA, rows)
        except OSError as error:
            raise BundleError(f"Cannot write to {self.folder}: {reason_of(error)}.") from error

    def rows(self, n_layers: int) -> Tables:
        """Every row of every layer in the bundle's order."""
        paths = map(self._path, range(n_layers))
        return grouped(b for path in paths for b in self._batches(path, VECTORS_SCHEMA.names))

    def statistics(self, n_layers: int) -> Tables:
        """The statistics of every layer in the bundle's order."""
        paths = map(self._statistics_path, range(n_layers))
        return grouped(b for path in paths for b in self._batches(path, STATISTICS_SCHEMA.names))

    def token_ids(self, n_layers: int) -> list[int]:
        """The ids in all lists, ascending."""
        ids = np.empty(0, dtype=np.int64)
        for layer in range(n_layers):
            for batch in self._batches(self._path(layer), _ID_COLUMNS):
                found = [column.flatten().to_numpy() for column in batch.columns]
                ids = np.unique(np.concatenate([ids, *found]))
        listed: list[int] = ids.tolist()
        return listed

    def remove(self) -> None:
        """Remove all parts."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, layer: int) -> Path:
        return self.folder / f"layer-{layer:05}.parquet"

    def _statistics_path(self, layer: int) -> Path:
        return self.folder / f"statistics-{layer:05}.parquet"

    def _batches(self, path: Path, columns: Iterable[str]) -> Iterator[pa.RecordBatch]:
        try:
            with pq.ParquetFile(path) as file:
                yield from file.iter_batches(ROWS_PER_GROUP, columns=list(columns))
        except (OSError, pa.ArrowException) as error:
            raise BundleError(
                f"{path} cannot be read; remove the folder {self.folder} and run again."
            ) from error
