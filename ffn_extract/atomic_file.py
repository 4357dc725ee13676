"""Write a file that appears under its name when it is whole, or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def atomic_file(path: Path, *, mode: int = 0o666, durable: bool = True) -> Iterator[IO[bytes]]:
    """A new file beside `path`, renamed to it when the block ends; several writers may do so.

    If the block fails, or the process or the machine stops, `path` is what it was before. Only a
    killed process leaves its unfinished file, whose name ends in `.part`. `mode` is reduced by the
    umask. Without `durable`, a power cut soon afterwards can damage the content.
    """
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(handle, "w+b") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(handle)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
