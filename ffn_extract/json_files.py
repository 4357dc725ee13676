"""Read untrusted JSON files: regular files only, small and shallow."""

import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MOST_CONFIG_BYTES = 1 << 20
MOST_INDEX_BYTES = 32 << 20
"""Of an index of shards, and of the heads of all shards together."""
MOST_TOKENIZER_BYTES = 100 << 20
"""Of each of a tokenizer's files."""
MOST_DEPTH = 100


class UnreadableFile(ValueError):
    """A file is too large, nested too deep, or not a regular file; the message follows its name."""


def read_file(path: Path, most_bytes: int) -> bytes:
    """The content of a regular file of at most so many bytes; a link to one is followed.

    Raises OSError as `open` does, and UnreadableFile for a pipe, a device, a folder, a long file.
    """
    # Without waiting: nobody may ever write into a pipe.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise UnreadableFile("it is not a regular file")
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise UnreadableFile(f"it is larger than {most_bytes:,} bytes")
    return content


def read_json(path: Path, most_bytes: int = MOST_CONFIG_BYTES) -> Any:
    """The value in a JSON file.

    Raises OSError as `open` does, and ValueError for everything else that is wrong with it.
    """
    return parse_json(read_file(path, most_bytes))


def parse_json(content: bytes) -> Any:
    """Parse JSON. Raises ValueError, also if it is nested too deep."""
    try:
        value = json.loads(content.decode("utf-8"))
    except RecursionError:
        raise UnreadableFile("it is nested too deep") from None
    _require_shallow(value)
    return value


def _require_shallow(value: Any) -> None:
    """Refuse what others would recurse into without end. Raises UnreadableFile."""
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [part for one in level for part in _parts(one) if isinstance(part, dict | list)]
        if not level:
            return
    raise UnreadableFile("it is nested too deep")


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
