"""MXFP4 as gpt-oss has it: 4-bit floating-point numbers, 32 of which share a power of two.

A stack of experts is stored transposed, `_blocks` of shape (experts, columns, rows / 32, 16 bytes).
The numbers are exact in float32.
"""

from functools import partial

import torch

from ffn_extract.checkpoints.tensor_files import StoredFiles
from ffn_extract.quantised_formats.declared import refusal
from ffn_extract.quantised_formats.matrices import QuantisedMatrix, Settings, enclosing, stems

_BLOCK = 32
_VALUES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
_BIAS = 127


def matrices(files: StoredFiles, settings: Settings) -> dict[str, QuantisedMatrix]:
    """The quantised stacks by name. Raises CheckpointError where one lacks a part."""
    found = {}
    for stem in stems(files, "_blocks"):
        blocks, scales = stem + "_blocks", stem + "_scales"
        shape = files.shape(blocks)
        known = len(shape) == 4 and shape[3] == _BLOCK // 2
        if not known or scales not in files.names or files.shape(scales) != shape[:3]:
            raise refusal("MXFP4", stem, "is no stack of experts with a scale for 32 numbers each")
        if {files.dtype(blocks), files.dtype(scales)} != {"uint8"}:
            raise refusal("MXFP4", stem, "is not stored as bytes")
        whole = (shape[0], shape[2] * _BLOCK, shape[1])
        read = partial(_numbers, files, blocks, scales)
        found[stem] = QuantisedMatrix("MXFP4", whole, (blocks, scales), read)
    return found


def _numbers(
    files: StoredFiles, blocks: str, scales: str, rows: slice, columns: slice, place: int | None
) -> torch.Tensor:
    groups, inside = enclosing(rows, _BLOCK)
    stored = files.part(blocks, place or 0, columns, groups).int()
    table = torch.tensor([*_VALUES, *(-value for value in _VALUES)])
    codes = table[torch.stack((stored & 15, stored >> 4), -1).flatten(-2)]
    exponents = files.part(scales, place or 0, columns, groups).int() - _BIAS
    return torch.ldexp(codes, exponents[..., None]).flatten(1)[:, inside].T
