"""compressed-tensors: whole numbers packed into 32-bit words along a row (pack-quantized), or int8
and fp8 codes (int-, float- and naive-quantized), with scales for the tensor, each row, groups of a
row or blocks; without reordered groups, sparsity or rotations.

A number is (code − zero point) · scale, rounded to float32.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from ffn_extract.checkpoints.tensor_files import FLOAT_TYPES, StoredFiles
from ffn_extract.quantised_formats.declared import refusal
from ffn_extract.quantised_formats.matrices import (
    QuantisedMatrix,
    Settings,
    enclosing,
    present,
    stems,
    unpacked,
)
from ffn_extract.quantised_formats.scaled import Blocks, spread

_TITLE = "compressed-tensors"
_PACKED = "pack-quantized"
_WHOLE = {
    "int-quantized": ("int8",), "float-quantized": ("float8_e4m3fn",),
    "naive-quantized": ("int8", "float8_e4m3fn"),
}  # fmt: skip
_OF_ACTIVATIONS = ("input_scale", "input_zero_point", "output_scale", "output_zero_point")
"""They scale what the layer reads and gives while it runs, not its weights."""


def matrices(files: StoredFiles, settings: Settings) -> dict[str, QuantisedMatrix]:
    """The quantised matrices by name. Raises CheckpointError where one has unknown parameters."""
    form = settings.get("format")
    quantised = [stem + "weight" for stem in stems(files, "weight_scale")]
    if not quantised:
        return {}
    scheme = _scheme(settings, quantised[0])
    found = {}
    for name in quantised:
        stem = name.removesuffix("weight")
        if present(files, stem, "weight_g_idx", "weight_global_scale"):
            raise refusal(_TITLE, name, "has reordered groups or a scale over its scales")
        if form == _PACKED:
            found[name] = _packed(files, stem, scheme)
        elif form in _WHOLE:
            found[name] = _whole(files, stem, scheme, _WHOLE[form])
        else:
            raise refusal(_TITLE, name, f"has the form {form!r}, which is not read")
    return found


def _scheme(settings: Settings, name: str) -> Mapping[str, Any]:
    """How weights are quantised, where all groups of layers agree."""
    for key in ("transform_config", "sparsity_config"):
        other = settings.get(key)
        if other and (not isinstance(other, Mapping) or other.get("format") != "dense"):
            raise refusal(_TITLE, name, f"is changed by a {key}, which is not read")
    groups = settings.get("config_groups")
    of_groups = groups.values() if isinstance(groups, Mapping) else ()
    said = (one.get("weights") for one in of_groups if isinstance(one, Mapping))
    found = [one for one in said if isinstance(one, Mapping)]
    kinds = {(g.get("num_bits"), g.get("strategy"), g.get("symmetric", True)) for g in found}
    sizes = {(str(g.get("group_size")), str(g.get("block_structure"))) for g in found}
    if len(kinds) != 1 or len(sizes) != 1:
        raise refusal(_TITLE, name, "belongs to one of several groups of layers, or to none")
    return found[0]


def _blocks(
    files: StoredFiles, stem: str, shape: tuple[int, ...], scheme: Mapping[str, Any]
) -> Blocks:
    """The blocks that share a scale. Raises CheckpointError if the scales are not theirs."""
    name, scale = stem + "weight", stem + "weight_scale"
    height, width, size = 1, 1, scheme.get("group_size")
    match scheme.get("strategy"), scheme.get("block_structure"):
        case "tensor", _:
            height, width = shape
        case "channel", _:
            width = shape[1]
        case "group", _ if type(size) is int and size > 0 and shape[1] % size == 0:
            width = size
        case "block", [int(height), int(width)] if height > 0 and width > 0:
            pass
        case strategy, _:
            raise refusal(_TITLE, name, f"is quantised by {strategy!r}, which is not read")
    blocks = Blocks(height, width, *shape)
    if files.shape(scale) not in blocks.shapes or files.dtype(scale) not in FLOAT_TYPES:
        raise refusal(_TITLE, name, "has not the scales that config.json says")
    return blocks


def _packed(files: StoredFiles, stem: str, scheme: Mapping[str, Any]) -> QuantisedMatrix:
    name, bits = stem + "weight", scheme.get("num_bits")
    if bits not in (4, 8) or not present(files, stem, "weight_packed"):
        raise refusal(_TITLE, name, f"has {bits!r} bits, and 4 or 8 bits are read when packed")
    try:
        if files.shape(stem + "weight_shape") != (2,):
            raise ValueError("it is no pair of sizes")
        rows, columns = map(int, files.part(stem + "weight_shape").tolist())
        stored = files.shape(stem + "weight_packed")
    except (KeyError, ValueError, TypeError) as error:
        raise refusal(_TITLE, name, "does not give its shape") from error
    per = 32 // bits
    if stored != (rows, -(-columns // per)) or files.dtype(stem + "weight_packed") != "int32":
        raise refusal(_TITLE, name, "has parts whose sizes do not fit together")
    blocks = _blocks(files, stem, (rows, columns), scheme)
    parts = present(
        files, stem, "weight_packed", "weight_scale", "weight_shape", "weight_zero_point",
        *_OF_ACTIVATIONS,
    )  # fmt: skip
    shifted = None if scheme.get("symmetric", True) else bits
    if shifted:
        zeros = (-(-blocks.grid[0] // per), blocks.grid[1])
        zero = stem + "weight_zero_point"
        if zero not in parts or (files.shape(zero), files.dtype(zero)) != (zeros, "int32"):
            raise refusal(_TITLE, name, "has not the zero points that config.json says")
    read = partial(_packed_numbers, files, stem, bits, blocks, shifted is not None)
    return QuantisedMatrix(f"{_TITLE} int{bits} {blocks.title}", (rows, columns), parts, read)


def _packed_numbers(
    files: StoredFiles, stem: str, bits: int, blocks: Blocks, shifted: bool,
    rows: slice, columns: slice, _place: int | None,
) -> torch.Tensor:  # fmt: skip
    words, inside = enclosing(columns, 32 // bits)
    codes = unpacked(files.part(stem + "weight_packed", rows, words), bits, 1)[:, inside]
    middle: torch.Tensor | int = 2 ** (bits - 1)
    if shifted:
        zeros = unpacked(files.part(stem + "weight_zero_point"), bits, 0)[: blocks.grid[0]]
        middle = spread(zeros, blocks, rows, columns)
    scales = files.part(stem + "weight_scale").to(torch.float32)
    return (codes - middle) * spread(scales, blocks, rows, columns)


def _whole(
    files: StoredFiles, stem: str, scheme: Mapping[str, Any], types: tuple[str, ...]
) -> QuantisedMatrix:
    name = stem + "weight"
    shape = files.shape(name) if name in files.names else ()
    if len(shape) != 2 or files.dtype(name) not in types:
        raise refusal(_TITLE, name, f"is no matrix of {' or '.join(types)}")
    blocks = _blocks(files, stem, shape, scheme)
    zero = stem + "weight_zero_point"
    parts = present(files, stem, "weight", "weight_scale", "weight_zero_point", *_OF_ACTIVATIONS)
    if zero in parts and files.shape(zero) not in blocks.shapes:
        raise refusal(_TITLE, name, "has not the zero points that config.json says")

    def numbers(rows: slice, columns: slice, _place: int | None) -> torch.Tensor:
        codes = files.part(name, rows, columns).to(torch.float32)
        if zero in parts:
            codes -= spread(files.part(zero).to(torch.float32), blocks, rows, columns)
        scales = files.part(stem + "weight_scale").to(torch.float32)
        return codes * spread(scales, blocks, rows, columns)

    title = f"{_TITLE} {files.dtype(name)} {blocks.title}"
    return QuantisedMatrix(title, shape, parts, numbers)
