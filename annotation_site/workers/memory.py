"""Giving memory back after each task: a worker is as large after a year as after an hour."""

import ctypes
import gc
import sys

# glibc's alone; where it is missing, memory that is free stays with the process.
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


def release() -> None:
    """Free what a task has left in cycles, and give what is free to the system.

    A drawn figure is a cycle of some ten thousand objects with a picture of megabytes. Python looks
    for such cycles by the number of objects, not by their size, and what it frees stays with the C
    library for the next task of this process: without this, each child of a worker keeps more
    than it uses, and how much depends on what it did when.
    """
    gc.collect()
    if _trim is not None:
        _trim(0)
