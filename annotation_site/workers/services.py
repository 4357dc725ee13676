"""Asking a worker to do something."""

import logging
import time
from typing import Any

from celery import Task
from django.db import transaction
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)
PAUSE_SECONDS = 30  # no request waits for a broker that was just seen to be down
_silent_until = 0.0


def nudge(task: Task, *args: Any, countdown: float = 0) -> None:
    """Send a task once the current transaction has committed.

    A broker that cannot be reached is logged and no error: the database already says what is
    to be done, and the workers' sweep finds it.
    """

    def send() -> None:
        global _silent_until
        if time.monotonic() < _silent_until:
            return
        try:
            task.apply_async(args, countdown=countdown)
        except (OperationalError, OSError):
            _silent_until = time.monotonic() + PAUSE_SECONDS
            log.warning("The queue cannot be reached; %s waits for the sweep", task.name)

    transaction.on_commit(send)
