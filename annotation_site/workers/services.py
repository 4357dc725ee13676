"""Asking a worker to do something."""

import logging
from typing import Any

from celery import Task
from django.db import transaction
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)


def nudge(task: Task, *args: Any, countdown: float = 0) -> None:
    """Send a task once the current transaction has committed.

    A broker that cannot be reached is logged and no error: the database already says what is
    to be done, and the workers' sweep finds it.
    """

    def send() -> None:
        try:
            task.apply_async(args, countdown=countdown)
        except (OperationalError, OSError):
            log.warning("The queue cannot be reached; %s waits for the sweep", task.name)

    transaction.on_commit(send)
