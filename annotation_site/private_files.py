"""Private files: set the umask, so that only the owner can read the site's files.

Databases, backups and exports hold names, addresses and digests of passwords. Each way to start a
process of the site calls `keep_files_private` first: manage.py, the web server, workers, the demo.
"""

import contextlib
import os
import tempfile
from pathlib import Path

OTHERS = 0o077  # the group and everybody else


def keep_files_private() -> None:
    """From now on, make files with 0600 and folders with 0700, in children too."""
    os.umask(OTHERS)


def private_file_make(path: Path, text: str) -> None:
    """Write a file that only its owner can read, unless it is there; whole or not at all."""
    handle, draft = tempfile.mkstemp(dir=path.parent)  # mode 600
    with os.fdopen(handle, "w") as file:
        file.write(text)
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    os.unlink(draft)
