"""Embedded queue: a Kombu transport in a folder of files.

A message appears whole or not at all, and the folder comes back by itself. Kombu's own queue of
files ends its worker where a process was killed while it wrote, where the disk was full, or where
the folder is gone; and it keeps on disk which queues there are, so that lost files lose messages.
"""

import logging
import os
import uuid
from contextlib import suppress
from pathlib import Path
from queue import Empty
from time import time
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import filesystem, virtual
from kombu.utils.json import dumps, loads

from ffn_extract.atomic_file import atomic_file

log = logging.getLogger(__name__)
_refusal = ""  # the last one that was logged: an idle worker looks five times a second


class Channel(virtual.Channel):  # type: ignore[misc]
    """Kombu channel with queues as files of one folder, named by time and queue."""

    @property
    def _folder(self) -> Path:
        return Path(self.connection.client.transport_options["folder"])

    def get_table(self, exchange: str) -> list[tuple[str, str, str]]:
        """The queue of a direct exchange, which has its name, without a file that could be lost.

        Others carry the events of workers, which nobody reads.
        """
        return [(exchange, "", exchange)] if self.typeof(exchange).type == "direct" else []

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]
        target = self._folder / f"{time() * 1000:.0f}_{uuid.uuid4()}.{queue}.msg"
        try:
            try:
                _write(target, dumps(payload))
            except FileNotFoundError:
                _make(self._folder)
                _write(target, dumps(payload))
        except OSError as error:
            raise ChannelError(f"Cannot add {target} to the queue: {error.strerror}") from error

    def _get(self, queue: str, timeout: Any = None) -> Any:
        for path in self._messages(queue):
            taken = path.with_suffix(".taken")
            try:
                os.rename(path, taken)  # of several workers, one succeeds
                text = taken.read_text(encoding="utf-8")
                taken.unlink()
                return loads(text)
            except OSError as error:
                _note(error)
            except ValueError:
                log.warning("Half a message was in the queue %s; the sweep finds its work", queue)
        raise Empty

    def _size(self, queue: str) -> int:
        return len(self._messages(queue))

    def _purge(self, queue: str) -> int:
        messages = self._messages(queue)
        for path in messages:
            path.unlink(missing_ok=True)
        return len(messages)

    def _messages(self, queue: str) -> list[Path]:
        """Those of a queue, the oldest first. A folder that is gone is made again."""
        names: list[str] = []
        try:
            names = sorted(os.listdir(self._folder))
        except OSError as error:
            _note(error)
            if isinstance(error, FileNotFoundError):
                with suppress(OSError):  # a disk that is full or read-only: the doctor says so
                    _make(self._folder)
        return [self._folder / name for name in names if name.endswith(f".{queue}.msg")]


class Transport(filesystem.Transport):  # type: ignore[misc]
    """The queue of files."""

    Channel = Channel  # type: ignore[assignment]


def _write(target: Path, text: str) -> None:
    with atomic_file(target, durable=False) as file:  # the sweep finds the work of a lost message
        file.write(text.encode())


def _make(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _note(error: OSError) -> None:
    """Log why the queue cannot be read, once: its worker goes on looking."""
    global _refusal
    if not isinstance(error, FileNotFoundError) and str(error.strerror) != _refusal:
        _refusal = str(error.strerror)
        log.warning("The queue cannot be read: %s. Its work starts later", error)
