"""A quantised model's tensors as plain ones: its matrices are dequantised when they are read."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from ffn_extract.checkpoints.tensor_files import FLOAT_TYPES, StoredFiles, TensorFiles
from ffn_extract.quantised_formats import (
    awq,
    bitsandbytes,
    compressed_tensors,
    fp8,
    gptq,
    mxfp4,
)
from ffn_extract.quantised_formats.declared import declared
from ffn_extract.quantised_formats.matrices import QuantisedMatrix, Settings

FORMATS: dict[str, Callable[[StoredFiles, Settings], dict[str, QuantisedMatrix]]] = {
    "awq": awq.matrices,
    "bitsandbytes": bitsandbytes.matrices,
    "compressed-tensors": compressed_tensors.matrices,
    "fp8": fp8.matrices,
    "gptq": gptq.matrices,
    "mxfp4": mxfp4.matrices,
}
"""The formats that are read, by the quant_method of config.json."""


class DequantisedFiles:
    """The tensors of a file in which quantised matrices stand under the names of plain ones.

    Their numbers are float32, a few rows or columns at a time; other tensors stay as stored.
    """

    def __init__(self, files: TensorFiles, matrices: Mapping[str, QuantisedMatrix]) -> None:
        self._files = files
        self._matrices = matrices
        hidden = {part for matrix in matrices.values() for part in matrix.parts}
        self._names = frozenset((files.names - hidden) | matrices.keys())

    @property
    def names(self) -> frozenset[str]:
        return self._names

    def shape(self, name: str) -> tuple[int, ...]:
        found = self._matrices.get(name)
        return self._files.shape(name) if found is None else found.shape

    def dtype(self, name: str) -> str:
        return "float32" if name in self._matrices else self._files.dtype(name)

    def rows(self, name: str, start: int, stop: int, place: int | None = None) -> torch.Tensor:
        """Rows of a tensor, of one matrix of a stack, or whole matrices, dequantised to float32."""
        if name not in self._matrices:
            return self._files.rows(name, start, stop, place)
        matrix = self._matrices[name]
        if len(matrix.shape) == 3 and place is None:  # whole matrices of a stack
            height, width = matrix.shape[1:]
            all_ = (slice(0, height), slice(0, width))
            return torch.stack([matrix.numbers(*all_, one) for one in range(start, stop)])
        return matrix.numbers(slice(start, stop), slice(0, matrix.shape[-1]), place)

    def columns(self, name: str, start: int, stop: int, place: int | None = None) -> torch.Tensor:
        """Columns of a matrix, shape (rows, stop - start), dequantised to float32."""
        if name not in self._matrices:
            return self._files.columns(name, start, stop, place)
        matrix = self._matrices[name]
        return matrix.numbers(slice(0, matrix.shape[-2]), slice(start, stop), place)

    def in_memory(self) -> dict[str, torch.Tensor]:
        """All floating-point tensors, to run the model with."""
        names = [n for n in self._names if self.dtype(n) in FLOAT_TYPES and self.shape(n)]
        return {name: self.rows(name, 0, self.shape(name)[0]) for name in sorted(names)}

    def types_of(self, names: list[str]) -> dict[str, list[str]]:
        """Names of tensors by the format or type in which they are stored."""
        types: dict[str, list[str]] = {}
        for name in sorted(names):
            found = self._matrices.get(name)
            title = self._files.dtype(name) if found is None else found.title
            types.setdefault(title, []).append(name)
        return dict(sorted(types.items()))


def dequantised(files: StoredFiles, config: Mapping[str, Any]) -> TensorFiles:
    """The files with their quantised matrices dequantised, where config.json names a known format.

    Raises CheckpointError where a quantised matrix has parameters that are not known. Others stay
    as they are: they are refused by name where they are used.
    """
    settings = declared(config)
    read = FORMATS.get(str(settings.get("quant_method")))
    matrices = {} if read is None else read(files, settings)
    return DequantisedFiles(files, matrices) if matrices else files
