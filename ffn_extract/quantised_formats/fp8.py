"""fp8 as DeepSeek-V3 has it: 8-bit floating-point numbers with a scale (`weight_scale_inv`) for
each block of rows and columns, or one for a whole matrix.

A number is its code times the scale, rounded to float32.
"""

from functools import partial

import torch

from ffn_extract.checkpoints.tensor_files import FLOAT_TYPES, StoredFiles
from ffn_extract.quantised_formats.declared import refusal
from ffn_extract.quantised_formats.matrices import QuantisedMatrix, Settings, present, stems
from ffn_extract.quantised_formats.scaled import Blocks, scaled

_CODES = ("float8_e4m3fn", "float8_e5m2")


def matrices(files: StoredFiles, settings: Settings) -> dict[str, QuantisedMatrix]:
    """The quantised matrices by name. Raises CheckpointError where one has unknown parameters."""
    size = settings.get("weight_block_size")
    found = {}
    for stem in stems(files, "weight_scale_inv"):
        name = stem + "weight"
        scale = stem + "weight_scale_inv"
        if name not in files.names or files.dtype(name) not in _CODES:
            raise refusal("fp8", scale, "has no fp8 matrix beside it")
        shape = files.shape(name)
        blocks = _blocks(shape, size)
        if blocks is None or files.dtype(scale) not in FLOAT_TYPES:
            raise refusal("fp8", name, f"has scales for blocks of the size {size!r}, not known")
        if files.shape(scale) not in blocks.shapes:
            raise refusal("fp8", name, f"has no scale for each block of the size {size!r}")
        parts = present(
            files, stem, "weight", "weight_scale_inv", "activation_scale", "input_scale"
        )
        read = partial(_numbers, files, name, scale, blocks)
        found[name] = QuantisedMatrix(f"{files.dtype(name)} {blocks.title}", shape, parts, read)
    return found


def _blocks(shape: tuple[int, ...], size: object) -> Blocks | None:
    if len(shape) != 2:
        return None
    match size:
        case None:
            return Blocks(shape[0], shape[1], *shape)
        case [int(height), int(width)] if height > 0 and width > 0:
            return Blocks(height, width, *shape)
    return None


def _numbers(
    files: StoredFiles, name: str, scale: str, blocks: Blocks,
    rows: slice, columns: slice, _place: int | None,
) -> torch.Tensor:  # fmt: skip
    codes = files.part(name, rows, columns).to(torch.float32)
    return scaled(codes, files.part(scale), blocks, rows, columns)
