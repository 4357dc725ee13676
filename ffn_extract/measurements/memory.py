"""Memory that a measurement needs, compared with what is free before it starts."""

import math
from pathlib import Path

from ffn_extract.checkpoints.find import Checkpoint
from ffn_extract.errors import OptionError
from ffn_extract.measurements.estimate import memory_bytes
from ffn_extract.measurements.options import MeasureOptions


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
    parameters = sum(math.prod(files.shape(name)) for name in files.names)
    return memory_bytes(
        parameters,
        options,
        layers=layers,
        d_model=d_model,
        d_ff=d_ff,
        vocab_size=vocab_size,
        workers=workers,
    )


def free_bytes() -> int | None:
    """Memory that processes can have without swapping; None where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def require_memory(name: str, needed: int, free: int | None) -> None:
    """Refuse a measurement that does not fit. Raises OptionError."""
    if free is not None and needed > free:
        raise OptionError(
            f"Measuring {name} needs about {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} "
            "GB are free. Give a smaller --batch-rows, --workers 1, or use a larger machine."
        )
