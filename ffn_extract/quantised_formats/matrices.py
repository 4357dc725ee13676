"""Quantised matrices among the tensors of a file, dequantised by rows and columns."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ffn_extract.checkpoints.tensor_files import FLOAT_TYPES, StoredFiles

Settings = Mapping[str, Any]
Numbers = Callable[[slice, slice, int | None], torch.Tensor]
"""Rows, columns and, of a stack, the matrix's place; the numbers there, in float32."""


@dataclass(frozen=True)
class QuantisedMatrix:
    """A matrix of shape (rows, columns), or a stack of them, made from the file's `parts`.

    `title` names the format and its variant, for the bundle.
    """

    title: str
    shape: tuple[int, ...]
    parts: tuple[str, ...]
    numbers: Numbers


def stems(files: StoredFiles, mark: str) -> Iterator[str]:
    """Prefixes of the names that end in `mark`, in order."""
    return (name.removesuffix(mark) for name in sorted(files.names) if name.endswith(mark))


def present(files: StoredFiles, stem: str, *endings: str) -> tuple[str, ...]:
    """Those of a layer's tensors that the file has."""
    return tuple(stem + ending for ending in endings if stem + ending in files.names)


def are_words(files: StoredFiles, stem: str) -> bool:
    """Whether codes and zero points are 32-bit words, and the scales floating-point numbers."""
    words = {files.dtype(stem + part) for part in ("qweight", "qzeros")}
    return words == {"int32"} and files.dtype(stem + "scales") in FLOAT_TYPES


def unpacked(words: torch.Tensor, bits: int, axis: int) -> torch.Tensor:
    """The numbers in 32-bit words along an axis of a matrix, those of the lowest bits first."""
    words = words.movedim(axis, -1)
    shifts = torch.arange(0, 32, bits, dtype=torch.int32)
    numbers: torch.Tensor = (words[..., None] >> shifts) & (2**bits - 1)
    return numbers.flatten(-2).movedim(-1, axis)


def enclosing(places: slice, size: int) -> tuple[slice, slice]:
    """The blocks of `size` that enclose `places`, and where these stand in them."""
    first = places.start // size
    blocks = slice(first, -(-places.stop // size))
    return blocks, slice(places.start - first * size, places.stop - first * size)
