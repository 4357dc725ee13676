"""AWQ in its form gemm: whole numbers of 4 bits in 32-bit words along the outputs, in an order of
their own, a scale and a zero point for each group of inputs and each output.

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

_PER_WORD = 8
_PLACES = (0, 4, 1, 5, 2, 6, 3, 7)
"""Where each of a word's eight numbers stands in it, counted from the lowest bits."""


def matrices(files: StoredFiles, settings: Settings) -> dict[str, QuantisedMatrix]:
    """The quantised matrices by name. Raises CheckpointError where one has unknown parameters."""
    bits = settings.get("bits", settings.get("w_bit"))
    version = str(settings.get("version", settings.get("format"))).lower()
    found = {}
    for stem in stems(files, "qweight"):
        name = stem + "weight"
        if bits != 4 or version != "gemm":
            raise refusal(
                "AWQ", name, f"has {bits!r} bits in the form {version!r}, and 4 bits in the form "
                "gemm are read"
            )  # fmt: skip
        parts = present(files, stem, "qweight", "qzeros", "scales")
        inputs, outputs, size = _sizes(files, stem)
        read = partial(_numbers, files, stem, size)
        found[name] = QuantisedMatrix("AWQ gemm 4-bit", (outputs, inputs), parts, read)
    return found


def _sizes(files: StoredFiles, stem: str) -> tuple[int, int, int]:
    """Inputs, outputs, and inputs in a group, where all parts agree about them."""
    try:
        inputs, words = files.shape(stem + "qweight")
        (n_groups, zero_words), scales = files.shape(stem + "qzeros"), files.shape(stem + "scales")
    except (KeyError, ValueError) as error:
        raise refusal("AWQ", stem + "weight", "lacks its scales or its zero points") from error
    outputs = words * _PER_WORD
    fits = zero_words == words and scales == (n_groups, outputs) and are_words(files, stem)
    if not fits or 0 in (inputs, outputs, n_groups) or inputs % n_groups:
        raise refusal("AWQ", stem + "weight", "has parts whose sizes do not fit together")
    return inputs, outputs, inputs // n_groups


def _numbers(
    files: StoredFiles, stem: str, size: int, rows: slice, columns: slice, _place: int | None
) -> torch.Tensor:
    words, inside = enclosing(rows, _PER_WORD)
    groups, own = enclosing(columns, size)
    codes = _in_order(files.part(stem + "qweight", columns, words))[:, inside]
    zeros = _in_order(files.part(stem + "qzeros", groups, words))[:, inside]
    scales = files.part(stem + "scales", groups, rows).to(torch.float32)
    zeros, scales = (one.repeat_interleave(size, 0)[own] for one in (zeros, scales))
    return ((codes - zeros) * scales).T


def _in_order(words: torch.Tensor) -> torch.Tensor:
    numbers = unpacked(words, 4, 1)
    of_words = numbers.reshape(*words.shape, _PER_WORD)
    return of_words[..., _PLACES].flatten(1)
