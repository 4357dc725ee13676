"""Join lines to pieces of a file that are large enough to send."""

from collections.abc import Iterable, Iterator

PIECE_BYTES = 64 * 1024


def in_pieces(lines: Iterable[str]) -> Iterator[bytes]:
    """Join lines to pieces of about 64 KiB of UTF-8."""
    waiting: list[str] = []
    size = 0
    for line in lines:
        waiting.append(line)
        size += len(line)
        if size >= PIECE_BYTES:
            yield "".join(waiting).encode()
            waiting, size = [], 0
    if waiting:
        yield "".join(waiting).encode()
