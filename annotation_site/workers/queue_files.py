"""Kombu's queue of files, with messages that appear whole or not at all.

As it comes, a message is a file that is made first and filled then. A process that is killed in
between, a full disk, or a quick reader makes it half a message, and reading one ends a worker.
"""

import logging
import os
import uuid
from pathlib import Path
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps, loads

log = logging.getLogger(__name__)


class Channel(filesystem.Channel):  # type: ignore[misc]
    """Writes beside the queue, then renames; passes over what is no message."""

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]
        name = f"{filesystem.monotonic() * 1000:.0f}_{uuid.uuid4()}.{queue}.msg"
        target = Path(self.data_folder_out) / name
        part = target.with_suffix(".part")  # of no queue
        try:
            part.write_text(dumps(payload), encoding="utf-8")
            os.replace(part, target)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise ChannelError(f"Cannot add {target} to the queue: {error.strerror}") from error

    def _get(self, queue: str, timeout: Any = None) -> Any:
        while True:
            try:
                return super()._get(queue)
            except ValueError:  # the file has been moved out of the queue by then
                log.warning("Half a message was in the queue %s; the sweep finds its work", queue)


class Transport(filesystem.Transport):  # type: ignore[misc]
    """The queue of files."""

    Channel = Channel


def remove_half_written(control_folder: Path) -> None:
    """Forget what a killed process wrote of the names of queues; they are declared anew."""
    for path in control_folder.glob("*.exchange"):
        try:
            loads(path.read_text(encoding="utf-8"))
        except ValueError:
            path.unlink(missing_ok=True)
