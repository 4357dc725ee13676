"""The machine that measured, in one line for tables, and what a process has taken of it."""

import os
import platform
import resource
import sys
from pathlib import Path


def describe() -> str:
    """Processor, cores, threads, whether it multiplies bfloat16 natively, torch's version."""
    # Here, because loading it takes more memory than what some benchmarks measure.
    import torch

    from ffn_extract.arithmetic import BFLOAT16, arithmetics_for

    native = BFLOAT16 in arithmetics_for(torch.device("cpu"))
    return (
        f"{_processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"{'native bfloat16' if native else 'no native bfloat16'}, torch {torch.__version__}"
    )


def peak_bytes() -> int:
    """The most memory that this process has held at once."""
    try:  # what getrusage tells on Linux begins with the parent's peak
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    peak = next(line for line in lines if line.startswith("VmHWM"))
    return int(peak.split()[1]) * 1024


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())
