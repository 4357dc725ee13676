"""Release memory after each task, so that a worker does not grow."""

import ctypes
import gc
import sys

# glibc's alone; where it is missing, memory that is free stays with the process.
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


def release() -> None:
    """Collect garbage cycles of a task, and return free memory to the system.

    A drawn figure is a cycle of some ten thousand objects with a picture of megabytes. Python looks
    for such cycles by the number of objects, not by their size, and what it frees stays with the C
    library for the next task of this process: without this, each child of a worker keeps more
    than it uses, and how much depends on what it did when.
    """
    gc.collect()
    if _trim is not None:
        _trim(0)
