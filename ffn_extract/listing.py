"""List the tensors of a checkpoint: names, shapes and types; no weight is read."""

import json
from collections.abc import Iterator
from typing import Any

from ffn_extract.checkpoints.find import find_checkpoint
from ffn_extract.tensor_names import Folded, folded, ranges


def tensor_lines(
    model: str, revision: str | None, *, every: bool, form: str, gguf_file: str | None = None
) -> Iterator[str]:
    """Lines about the tensors of a folder or a hub id: patterns, or `every` single tensor.

    `form` "json" gives one JSON array of objects. Raises CheckpointError.
    """
    files = find_checkpoint(model, revision, gguf_file=gguf_file).tensors
    tensors = [(name, files.shape(name), files.dtype(name)) for name in sorted(files.names)]
    if every:
        rows = [Folded(name, shape, dtype, (), ()) for name, shape, dtype in tensors]
    else:
        rows = folded(tensors)
    if form == "json":
        yield json.dumps([_object(row, every) for row in rows])
        return
    shapes = [" × ".join(map(str, row.shape)) or "a number" for row in rows]
    widths = [max(map(len, column), default=0) for column in ([r.pattern for r in rows], shapes)]
    for row, shape in zip(rows, shapes, strict=True):
        line = f"{row.pattern:{widths[0]}}  {shape:{widths[1]}}  {row.dtype:8}  {_numbers(row)}"
        yield line.rstrip()
    yield f"{len(tensors):,} tensors" + ("" if every else f", {len(rows):,} patterns")


def _numbers(row: Folded) -> str:
    pieces = []
    if row.layers:
        pieces.append(f"layers {ranges(row.layers)}")
    if row.experts:
        pieces.append(f"{len(row.experts)} experts, {ranges(row.experts)}")
    return "; ".join(pieces)


def _object(row: Folded, every: bool) -> dict[str, Any]:
    name = {"name" if every else "pattern": row.pattern}
    numbers = {} if every else {"layers": list(row.layers), "experts": list(row.experts)}
    return {**name, "shape": list(row.shape), "dtype": row.dtype, **numbers}
