"""GPTQ: whole numbers of 4 or 8 bits in 32-bit words along the inputs, a scale and a zero point for
each group of inputs and each output. Version 1 stores zero points less 1.

The numbers are exact in float32: a 16-bit scale times a whole number.
"""

from functools import partial

import torch

from ffn_extract.checkpoints.tensor_files import StoredFiles
from ffn_extract.quantised_formats.declared import refusal
from ffn_extract.quantised_formats.matrices import (
    QuantisedMatrix,
    Settings,
    are_words,
    enclosing,
    present,
    stems,
    unpacked,
)

_LESS_ONE = {"gptq": 1, "gptq_v2": 0}
_ALL = slice(None)


def matrices(files: StoredFiles, settings: Settings) -> dict[str, QuantisedMatrix]:
    """The quantised matrices by name. Raises CheckpointError where one has unknown parameters."""
    bits = settings.get("bits")
    said = settings.get("checkpoint_format") or settings.get("format") or "gptq"
    found = {}
    for stem in stems(files, "qweight"):
        name = stem + "weight"
        if bits not in (4, 8) or said not in _LESS_ONE or settings.get("pack_dtype") not in (
            None, "int32",
        ):  # fmt: skip
            raise refusal(
                "GPTQ", name, f"has {bits!r} bits in the form {said!r}, and 4 or 8 bits in the "
                "forms gptq and gptq_v2 are read"
            )  # fmt: skip
        shape = _shape(files, stem, bits, settings)
        parts = present(files, stem, "qweight", "qzeros", "scales", "g_idx")
        read = partial(_numbers, files, stem, bits, _LESS_ONE[said], _groups(files, stem, shape[1]))
        version = "v1" if _LESS_ONE[said] else "v2"
        found[name] = QuantisedMatrix(f"GPTQ {version} {bits}-bit", shape, parts, read)
    return found


def _shape(files: StoredFiles, stem: str, bits: int, settings: Settings) -> tuple[int, int]:
    """Outputs and inputs, where all parts agree about them."""
    per = 32 // bits
    try:
        words, outputs = files.shape(stem + "qweight")
        (n_groups, zero_words), scales = files.shape(stem + "qzeros"), files.shape(stem + "scales")
    except (KeyError, ValueError) as error:
        raise refusal("GPTQ", stem + "weight", "lacks its scales or its zero points") from error
    inputs = words * per
    fits = scales == (n_groups, outputs) and zero_words * per == outputs
    if not fits or not are_words(files, stem) or 0 in (inputs, outputs, n_groups):
        raise refusal("GPTQ", stem + "weight", "has parts whose sizes do not fit together")
    if stem + "g_idx" in files.names:
        if files.shape(stem + "g_idx") != (inputs,):
            raise refusal("GPTQ", stem + "weight", "has a g_idx of another size than its inputs")
        return outputs, inputs
    size = settings.get("group_size")
    size = inputs if size == -1 else size
    if settings.get("desc_act") or type(size) is not int or size < 1 or size * n_groups != inputs:
        raise refusal("GPTQ", stem + "weight", "has no g_idx, and config.json does not replace it")
    return outputs, inputs


def _groups(files: StoredFiles, stem: str, inputs: int) -> torch.Tensor:
    """The group of each input."""
    n_groups = files.shape(stem + "scales")[0]
    if stem + "g_idx" not in files.names:
        return torch.arange(inputs) // (inputs // n_groups)
    groups = files.part(stem + "g_idx", _ALL).long()
    if not 0 <= int(groups.min()) <= int(groups.max()) < n_groups:
        raise refusal("GPTQ", stem + "weight", "has a g_idx that names groups without a scale")
    return groups


def _numbers(
    files: StoredFiles, stem: str, bits: int, less: int, groups: torch.Tensor,
    rows: slice, columns: slice, _place: int | None,
) -> torch.Tensor:  # fmt: skip
    blocks, inside = enclosing(columns, 32 // bits)
    codes = unpacked(files.part(stem + "qweight", blocks, rows), bits, 0)[inside]
    blocks, inside = enclosing(rows, 32 // bits)
    zeros = unpacked(files.part(stem + "qzeros", _ALL, blocks), bits, 1)[:, inside]
    zeros = (zeros + less) & (2**bits - 1)
    scales = files.part(stem + "scales", _ALL, rows).to(torch.float32)
    own = groups[columns]
    numbers: torch.Tensor = (codes - zeros[own]) * scales[own]
    return numbers.T
