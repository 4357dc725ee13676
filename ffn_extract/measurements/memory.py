"""Memory that a measurement needs, compared with what is free before it starts."""

import math

from ffn_extract.checkpoints.find import Checkpoint
from ffn_extract.errors import OptionError
from ffn_extract.measurements.examples import MOST_TOKENS
from ffn_extract.measurements.options import MeasureOptions
from ffn_extract.measurements.passes import BLOCK_BATCHES

_FLOAT = 4
_LIBRARIES = 600e6  # Python with torch and transformers
_STATES = 12  # of d_model per token, in work at a time in a layer
_INNER = 4  # of d_ff per token
_SHARE_BYTES = 2_000  # per example and layer, in float64


def needed_bytes(
    checkpoint: Checkpoint,
    options: MeasureOptions,
    *,
    layers: int,
    d_model: int,
    d_ff: int,
    vocab_size: int,
    workers: int,
) -> int:
    """An estimate: the weights in float32, one batch per worker, and the arrays of all examples."""
    files = checkpoint.tensors
    weights = _FLOAT * sum(math.prod(files.shape(name)) for name in files.names)
    tokens = options.batch_rows * MOST_TOKENS / 4  # batches of the longest texts are few
    batch = _FLOAT * tokens * (_STATES * d_model + _INNER * d_ff)
    block = 2 * _FLOAT * options.batch_rows * BLOCK_BATCHES * vocab_size
    arrays = 2 * _SHARE_BYTES * options.examples * layers
    models = 2 if options.control else 1
    return int(_LIBRARIES + models * weights + workers * (batch + block) + arrays)


def require_memory(name: str, needed: int, free: int | None) -> None:
    """Refuse a measurement that does not fit. Raises OptionError."""
    if free is not None and needed > free:
        raise OptionError(
            f"Measuring {name} needs about {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} "
            "GB are free. Give a smaller --batch-rows, --workers 1, or use a larger machine."
        )
