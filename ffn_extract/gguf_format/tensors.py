"""GGUF's tensors, dequantised by rows and columns as the library `gguf` does it."""

import mmap
from math import prod

import numpy as np
import torch
from gguf.constants import GGMLQuantizationType
from gguf.quants import dequantize
from numpy.typing import NDArray

from ffn_extract.errors import CheckpointError
from ffn_extract.gguf_format.head import READABLE, TYPES, StoredTensor
from ffn_extract.gguf_format.model import GGUFModel

_BLOCKS = {title: (block, size) for title, block, size in TYPES.values()}
_PLAIN = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


class GGUFFiles:
    """The tensors of one model's GGUF files; `TensorFiles` for extraction.

    What is quantised becomes float32, which holds every number of these types as the library gives
    it; what is not stays as it is stored.
    """

    def __init__(self, model: GGUFModel) -> None:
        self._tensors = model.tensors
        self._names = frozenset(model.tensors)

    @property
    def names(self) -> frozenset[str]:
        return self._names

    def shape(self, name: str) -> tuple[int, ...]:
        return self._tensors[name].shape

    def dtype(self, name: str) -> str:
        stored = self._tensors[name].type
        return str(_PLAIN[stored]).removeprefix("torch.") if stored in _PLAIN else stored

    def rows(self, name: str, start: int, stop: int, place: int | None = None) -> torch.Tensor:
        """Rows start to stop, dequantised, of the matrix at `place` of a stack: (rows, width)."""
        tensor = self._tensors[name]
        if len(tensor.shape) == 1:
            return _floats(name, tensor, _bytes(tensor, 0, 1))[0, start:stop]
        if place is None and len(tensor.shape) > 2:  # whole matrices of a stack
            each = prod(tensor.shape[1:-1])
            stored = _bytes(tensor, start * each, stop * each)
            return _floats(name, tensor, stored).reshape(stop - start, *tensor.shape[1:])
        first = (place or 0) * tensor.shape[-2]
        return _floats(name, tensor, _bytes(tensor, first + start, first + stop))

    def columns(self, name: str, start: int, stop: int, place: int | None = None) -> torch.Tensor:
        """Columns start to stop, likewise: (height, columns). Reads whole blocks of numbers."""
        tensor = self._tensors[name]
        first, n_rows = (place or 0) * tensor.shape[-2], tensor.shape[-2]
        block, size = _BLOCKS[tensor.type]
        begin, end = start // block, -(-stop // block)
        stored = _bytes(tensor, first, first + n_rows, begin * size, end * size)
        return _floats(name, tensor, stored)[:, start - begin * block : stop - begin * block]


def _bytes(
    tensor: StoredTensor, start: int, stop: int, begin: int = 0, end: int | None = None
) -> NDArray[np.uint8]:
    """Bytes begin..end of rows start..stop, shape (rows, bytes).

    The file is mapped for this alone, so that what was read counts as memory no longer.
    """
    offset = tensor.start + start * tensor.row_bytes
    aligned = offset // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
    length = offset - aligned + (stop - start) * tensor.row_bytes
    try:
        with (
            tensor.path.open("rb") as file,
            mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ, offset=aligned) as content,
        ):
            rows = np.frombuffer(content, np.uint8, offset=offset - aligned)
            copy = rows.reshape(stop - start, tensor.row_bytes)[:, begin:end].copy()
            del rows
            return copy
    except (OSError, ValueError) as error:  # a file that became shorter
        raise CheckpointError(f"{tensor.path.name} cannot be read: {error}.") from error


def _floats(name: str, tensor: StoredTensor, stored: NDArray[np.uint8]) -> torch.Tensor:
    if tensor.type in _PLAIN:
        return torch.from_numpy(stored).view(_PLAIN[tensor.type])
    if tensor.type not in READABLE:
        raise CheckpointError(
            f"{name} is stored as {tensor.type}, which cannot be read. The readable types of GGUF "
            f"are {', '.join(sorted(READABLE))}. Give a file in one of them."
        )
    if not stored.size:
        return torch.empty((len(stored), 0))
    with np.errstate(all="ignore"):  # numbers that are not finite are refused where they are used
        numbers = dequantize(stored, GGMLQuantizationType[tensor.type])
    return torch.from_numpy(np.ascontiguousarray(numbers, dtype=np.float32))
