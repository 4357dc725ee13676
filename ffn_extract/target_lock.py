"""Exclusive lock on an output folder, so that two runs do not duplicate work."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ffn_extract.errors import BundleError


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Lock the target `out` until the block or the process ends, in any way.

    Raises BundleError when another process holds it.
    """
    with ExitStack() as stack:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(out.parent / f".{out.name}.lock"))
        except BlockingIOError as error:
            raise BundleError(
                f"Another process is extracting into {out}. Wait until it ends, or give another "
                "folder."
            ) from error
        except OSError as error:
            raise BundleError(f"Cannot write to {out.parent}: {error.strerror}.") from error
        yield


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Lock a lock file until the block or the process ends, in any way.

    Raises BlockingIOError when another process holds it.
    """
    handle = _opened(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _opened(path: Path) -> int:
    """The file, locked; opened again where the one who held it removed it meanwhile."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), path.stat()):
                    return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
