"""A file without a name, for records that are more than memory should hold."""

import os
import tempfile
import weakref
from array import array

_BUFFER = 1 << 20


class UnnamedFile:
    """Records by number; what is in memory is where each begins.

    It ends with the last process that has it. Forked processes may read it at once.
    """

    def __init__(self) -> None:
        self._handle, name = tempfile.mkstemp()
        os.unlink(name)
        weakref.finalize(self, os.close, self._handle)
        self._starts = array("q", [0])
        self._buffer = bytearray()

    def __len__(self) -> int:
        return len(self._starts) - 1

    def append(self, record: bytes) -> None:
        """Add a record."""
        self._buffer += record
        self._starts.append(self._starts[-1] + len(record))
        if len(self._buffer) > _BUFFER:
            self.flush()

    def flush(self) -> None:
        """Write what was added; to be called before anything is read."""
        while self._buffer:
            del self._buffer[: os.write(self._handle, self._buffer)]

    def read(self, number: int) -> bytes:
        """A record."""
        start, stop = self._starts[number], self._starts[number + 1]
        # Not seek and read: processes share the file's position.
        return os.pread(self._handle, stop - start, start)
