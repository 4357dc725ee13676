"""Child processes end with a parent that is killed.

Linux only. Elsewhere, what a killed `serve` leaves behind goes on until it is stopped by hand. That
does no harm to what is stored: all share one database.
"""

import ctypes
import fcntl
import os
import select
import signal
import sys
import threading

GRACE_SECONDS = 20  # for what is asked to stop, before it is killed
PR_SET_PDEATHSIG, PR_GET_PDEATHSIG = 1, 2  # <sys/prctl.h>
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded before any fork


def end_with(parent: int) -> None:
    """In a child before it executes its program: have it asked to stop when `parent` is killed."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # killed before that was said
            os.kill(os.getpid(), signal.SIGKILL)


def stop_in_time() -> None:
    """In a process prepared by `end_with` and asked to stop: stop within GRACE_SECONDS.

    A task may take minutes, and the parent that would insist may be the one that was killed.
    """
    if _libc is None:
        return
    asked = ctypes.c_int()
    _libc.prctl(PR_GET_PDEATHSIG, ctypes.byref(asked))
    if asked.value:  # else a service of its own, with its own idea of patience
        late = threading.Timer(GRACE_SECONDS, os.killpg, (0, signal.SIGKILL))
        late.daemon = True
        late.start()


def forks_end_with_this_process() -> None:
    """From now on the kernel kills this process's children when it ends.

    By a pipe of which only this process has the writing end: at its end the kernel signals those
    who read. Not by PR_SET_PDEATHSIG, which looks at threads: a worker without an event loop
    replaces its children from a thread that ends when the worker is to finish what they do.
    """
    if sys.platform != "linux":
        return
    reading, writing = os.pipe()
    open_here = [writing]

    def arm() -> None:
        while open_here:  # a child of a child has let go of it already
            os.close(open_here.pop())
        # Opened again, since who is signalled belongs to the open file, not to the process.
        own = os.open(f"/proc/self/fd/{reading}", os.O_RDONLY | os.O_NONBLOCK)
        fcntl.fcntl(own, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(own, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(own, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)
        if select.select([own], [], [], 0)[0]:  # gone before that was said
            os.kill(os.getpid(), signal.SIGKILL)

    os.register_at_fork(after_in_child=arm)
