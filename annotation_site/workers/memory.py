"""Memory of a worker: how much it takes, and its release after each task."""

import ctypes
import gc
import os
import sys
from pathlib import Path

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


def tree_bytes(process: int) -> int | None:
    """Bytes in memory of a process and its descendants; None where the system does not say.

    Pages that several of them share are counted once for each.
    """
    try:
        fields = Path(f"/proc/{process}/statm").read_text().split()
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        own = int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
    return own + sum(tree_bytes(int(child)) or 0 for child in children)
