"""Name of the worker that a process belongs to."""

import os
import socket
import uuid

_name = ""


def this_worker() -> str:
    """The name of the worker that this process is, or is a child of: machine, process, a number.

    The worker asks before it forks, so that its children inherit the name. The random number
    tells it from an earlier process with the same id on a machine of the same name.
    """
    global _name
    if not _name:
        _name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:6]}"
    return _name


def worker_label(name: str) -> str:
    """A worker's name as people read it: machine and process."""
    return name.rpartition(":")[0]
