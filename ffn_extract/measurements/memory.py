"""Memory that a measurement needs, compared with what is free before it starts; without torch."""

import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ffn_extract.errors import OptionError
from ffn_extract.measurements.limits import BLOCK_BATCHES, MOST_TOKENS
from ffn_extract.measurements.options import MeasureOptions

if TYPE_CHECKING:
    from ffn_extract.checkpoints.find import Checkpoint

_FLOAT = 4
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_LIBRARIES = 600e6  # Python with torch and transformers
_STATES = 12  # of d_model per token, in work at a time in a layer
_INNER = 4  # of d_ff per token
_SHARE_BYTES = 2_000  # per example and layer, in float64


def needed_bytes(
    checkpoint: "Checkpoint",
    options: MeasureOptions,
    *,
    layers: int,
    d_model: int,
    d_ff: int,
    vocab_size: int,
    workers: int,
) -> int:
    """An estimate: the weights, one batch per worker, and the arrays of all examples."""
    return memory_bytes(
        parameters_of(checkpoint),
        options,
        layers=layers,
        d_model=d_model,
        d_ff=d_ff,
        vocab_size=vocab_size,
        workers=workers,
    )


def parameters_of(checkpoint: "Checkpoint") -> int:
    """Numbers in a checkpoint's tensors."""
    files = checkpoint.tensors
    return sum(math.prod(files.shape(name)) for name in files.names)


def memory_bytes(
    parameters: int,
    options: MeasureOptions,
    *,
    layers: int,
    d_model: int,
    d_ff: int,
    vocab_size: int,
    workers: int,
) -> int:
    """The same by the number of parameters, where the weights are not at hand."""
    weights = _BYTES[options.dtype] * parameters
    tokens = options.batch_rows * MOST_TOKENS / 4  # batches of the longest texts are few
    batch = _FLOAT * tokens * (_STATES * d_model + _INNER * d_ff)
    block = 2 * _FLOAT * options.batch_rows * BLOCK_BATCHES * vocab_size
    arrays = 2 * _SHARE_BYTES * options.examples * layers
    models = 2 if options.control else 1
    return int(_LIBRARIES + models * weights + workers * (batch + block) + arrays)


def suppression_bytes(
    checkpoint: "Checkpoint",
    *,
    layers: int,
    d_model: int,
    d_ff: int,
    vocab_size: int,
    workers: int,
    texts: int,
    longest: int,
    window_rows: int,
    window: int,
    block_rows: int,
) -> int:
    """The same of `suppression`: per worker `texts` that are written at once, beams counted, or a
    batch of windows."""
    weights = _FLOAT * parameters_of(checkpoint)
    cache = 2 * 2 * texts * longest * layers * d_model  # keys and values, and as they are ordered
    writing = _FLOAT * (cache + texts * longest * _INNER * d_ff + 6 * texts * vocab_size)
    reading = _FLOAT * window_rows * window * (_STATES * d_model + _INNER * d_ff)
    attention = 3 * _FLOAT * window_rows * window * window * max(1, d_model // 64)
    block = 6 * _FLOAT * block_rows * vocab_size
    batch = max(writing, reading + max(attention, block))
    return int(_LIBRARIES + weights + workers * batch)


def require_memory(name: str, needed: int, free: int | None) -> None:
    """Refuse a measurement that does not fit. Raises OptionError."""
    if free is not None and needed > free:
        raise OptionError(
            f"Measuring {name} needs about {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} "
            "GB are free. Give a smaller --batch-rows, --workers 1, or use a larger machine."
        )


def require_disk(folder: Path, examples: int, layers: int, d_model: int) -> None:
    """Refuse to keep x and o of every example and layer where they do not fit.

    Raises OptionError.
    """
    needed = 2 * _FLOAT * examples * layers * d_model
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return  # that nothing can be written there is said where it is tried
    if needed > free:
        raise OptionError(
            f"The states of {examples:,} examples take {needed / 1e9:.1f} GB beside --out while "
            f"this runs, and {free / 1e9:.1f} GB are free. Give a smaller --examples, or a folder "
            "on another disk."
        )
