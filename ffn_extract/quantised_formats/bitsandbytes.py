"""bitsandbytes: LLM.int8 (a scale for each row, `SCB`) and 4-bit (nf4, fp4), whose numbers stand
one after the other in blocks with a scale each; the scales can be quantised again.

4-bit: the code's value times the scale, in float32, before any rounding to the model's type.
int8: code · scale · (1/127), rounded to float32 after each product.
"""

import json
from dataclasses import dataclass
from math import prod

import torch

from ffn_extract.checkpoints.tensor_files import FLOAT_TYPES, StoredFiles
from ffn_extract.quantised_formats.declared import refusal
from ffn_extract.quantised_formats.matrices import (
    QuantisedMatrix,
    Settings,
    enclosing,
    present,
    stems,
)

_TITLE = "bitsandbytes"
_OF_127 = 7.874015718698502e-3
_ROWS_FORMAT = 0
_BLOCK_NUMBERS = 1 << 22
_MOST_STATE_BYTES = 4096
_4_BIT = (".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map")


def matrices(files: StoredFiles, settings: Settings) -> dict[str, QuantisedMatrix]:
    """The quantised matrices by name. Raises CheckpointError where one has unknown parameters."""
    found = {stem + "weight": _int8(files, stem) for stem in stems(files, "SCB")}
    for kind in ("nf4", "fp4"):
        mark = f".quant_state.bitsandbytes__{kind}"
        found |= {name: _four_bit(files, name, kind, name + mark) for name in stems(files, mark)}
    return found


def _int8(files: StoredFiles, stem: str) -> QuantisedMatrix:
    name, scale = stem + "weight", stem + "SCB"
    shape = files.shape(name) if name in files.names else ()
    if len(shape) != 2 or files.dtype(name) != "int8" or files.shape(scale) != shape[:1]:
        raise refusal(_TITLE, name, "is no int8 matrix with a scale for each row")
    parts = present(files, stem, "weight", "SCB", "weight_format")
    if files.dtype(scale) not in FLOAT_TYPES:
        raise refusal(_TITLE, name, "has scales that are no floating-point numbers")
    if len(parts) == 3 and (
        prod(files.shape(parts[2])) != 1 or int(files.part(parts[2])) != _ROWS_FORMAT
    ):
        raise refusal(_TITLE, name, "is not stored row by row")

    def numbers(rows: slice, columns: slice, _place: int | None) -> torch.Tensor:
        codes = files.part(name, rows, columns).to(torch.float32)
        return codes * files.part(scale, rows).to(torch.float32)[:, None] * _OF_127

    return QuantisedMatrix("bitsandbytes int8", shape, parts, numbers)


def _four_bit(files: StoredFiles, name: str, kind: str, state: str) -> QuantisedMatrix:
    said = _state(files, state)
    parts = (*present(files, name, "", *_4_BIT), state)
    shape, size = (said.rows, said.columns), said.size
    if not _fits(files, name, kind, said):
        raise refusal(_TITLE, name, "has parts whose sizes do not fit together")
    title = f"bitsandbytes {kind}{' with double quantisation' if said.nested else ''}"

    def numbers(rows: slice, columns: slice, _place: int | None) -> torch.Tensor:
        scales = _nested(files, name, said) if said.nested else _plain(files, name)
        step = max(1, _BLOCK_NUMBERS // shape[1])
        starts = range(rows.start, rows.stop, step)
        some = (slice(start, min(start + step, rows.stop)) for start in starts)
        pieces = [_rows(files, name, one, shape[1], size, scales)[:, columns] for one in some]
        return torch.cat(pieces) if pieces else torch.empty(0, columns.stop - columns.start)

    return QuantisedMatrix(title, shape, parts, numbers)


@dataclass(frozen=True)
class _State:
    """Sizes of a 4-bit matrix, its blocks and the blocks of its scales, and their offset."""

    kind: str
    rows: int
    columns: int
    size: int
    nested: bool
    outer_size: int
    offset: float


def _state(files: StoredFiles, name: str) -> _State:
    try:
        if prod(files.shape(name)) > _MOST_STATE_BYTES:
            raise ValueError("it is too long")
        said = json.loads(bytes(files.part(name).tolist()))
        rows, columns = said["shape"]
        sizes = (rows, columns, said["blocksize"], said.get("nested_blocksize", 1))
        offset = float(said.get("nested_offset", 0))
        if not all(type(n) is int and 0 < n < 1 << 31 for n in sizes):
            raise ValueError("a size is no whole number")
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise refusal(_TITLE, name, "is a state that is not known") from error
    *_, size, outer = sizes
    nested = "nested_blocksize" in said
    return _State(str(said.get("quant_type")), rows, columns, size, nested, outer, offset)


def _fits(files: StoredFiles, name: str, kind: str, said: _State) -> bool:
    """Whether a 4-bit matrix and its scales have the sizes that the state gives."""
    if name not in files.names or files.dtype(name) != "uint8" or said.kind != kind:
        return False
    count = said.rows * said.columns
    n_blocks = -(-count // said.size)
    expected: dict[str, tuple[int, ...]] = {".absmax": (n_blocks,), ".quant_map": (16,)}
    if said.nested:
        outer = -(-n_blocks // said.outer_size)
        expected |= {".nested_absmax": (outer,), ".nested_quant_map": (256,)}
    n_bytes = -(-count // 2)
    return (
        files.shape(name) in ((n_bytes, 1), (1, n_bytes))
        and all(
            name + part in files.names and files.shape(name + part) == shape
            for part, shape in expected.items()
        )
        and (files.dtype(name + ".absmax") == "uint8") is said.nested
    )


def _plain(files: StoredFiles, name: str) -> torch.Tensor:
    return files.part(name + ".absmax").to(torch.float32)


def _nested(files: StoredFiles, name: str, said: _State) -> torch.Tensor:
    """The scales of a matrix, from their own codes and scales."""
    codes = files.part(name + ".absmax").long()
    outer = files.part(name + ".nested_absmax").to(torch.float32)
    outer = outer.repeat_interleave(said.outer_size)[: len(codes)]
    return files.part(name + ".nested_quant_map").to(torch.float32)[codes] * outer + said.offset


def _rows(
    files: StoredFiles, name: str, rows: slice, width: int, size: int, scales: torch.Tensor
) -> torch.Tensor:
    """Whole rows; two numbers share a byte, the first in its upper half."""
    places = slice(rows.start * width, rows.stop * width)
    taken, inside = enclosing(places, 2)
    whole = files.shape(name)
    stored = files.part(name, taken, 0) if whole[1:] == (1,) else files.part(name, 0, taken)
    codes = torch.stack((stored >> 4, stored & 15), -1).flatten()[inside].int()
    blocks, inside = enclosing(places, size)
    own = scales[blocks].repeat_interleave(size)[inside]
    numbers: torch.Tensor = files.part(name + ".quant_map").to(torch.float32)[codes] * own
    return numbers.reshape(-1, width)
