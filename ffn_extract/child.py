"""Processes of our own that open strangers' files: what they see, and that they do not stay."""

import ctypes
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

TO_START = (
    "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONUSERBASE",
    "TMPDIR", "TZ", "VIRTUAL_ENV",
)  # fmt: skip
_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


def to_start(names: Iterable[str] = ()) -> dict[str, str]:
    """The environment variables that such a process needs to start, and `names`; no others."""
    passed = {name: os.environ[name] for name in (*TO_START, *names) if name in os.environ}
    found = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**passed, "PYTHONPATH": os.pathsep.join(filter(None, found))}


def command(module: str, *arguments: str) -> list[str]:
    """The command that starts `module` in a process that ends with this one (`end_with`)."""
    return [sys.executable, "-P", "-m", module, str(os.getpid()), *arguments]


def end_with(parent: str) -> None:
    """Let the kernel kill this process as soon as `parent` is gone, whatever it does (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # gone before that was said
        os.kill(os.getpid(), signal.SIGKILL)
