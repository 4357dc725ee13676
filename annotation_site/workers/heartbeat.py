"""Heartbeat thread of every worker; in one worker at a time it also sweeps.

It runs in the worker's main process, so it beats while tasks are busy; a task that died inside
a living worker is seen by the heartbeat of its own row (`workers.claims`).
"""

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection
from django.utils import timezone

from annotation_site.workers.claims import wake
from annotation_site.workers.clocks import silent_for
from annotation_site.workers.identity import this_worker
from annotation_site.workers.memory import tree_bytes
from annotation_site.workers.models import Sweep, Worker
from annotation_site.workers.queues import EXTRACTION_QUEUE, RESULTS_QUEUE
from ffn_extract.free_memory import free_bytes
from ffn_extract.version import __version__

BEAT_SECONDS = 2
BEATS_PER_SWEEP = 5
KEEP_MESSAGES = timedelta(days=1)
log = logging.getLogger(__name__)
_stopped = threading.Event()
_thread: threading.Thread | None = None


def start(
    sweeps: Sequence[Callable[[], None]], *, extracts: bool = True, tasks_at_once: int = 0
) -> None:
    """Start the thread; the first heartbeat and sweep come at once.

    `tasks_at_once` is how many tasks of the results queue this worker does at once.
    """
    global _thread
    _stopped.clear()
    about = {"extracts": extracts, "tasks_at_once": tasks_at_once}
    _thread = threading.Thread(target=_run, args=(sweeps, about), name="heartbeat", daemon=True)
    _thread.start()


def stop() -> None:
    """Stop the thread and remove this worker's row, so that pages know within a second."""
    _stopped.set()
    if _thread is not None:
        _thread.join(timeout=5)


def _run(sweeps: Sequence[Callable[[], None]], about: dict[str, int]) -> None:
    name = this_worker()
    beats = 0
    while True:
        _safely(_beat, name, about)
        if beats % BEATS_PER_SWEEP == 0:
            _safely(_sweep, sweeps)
        beats += 1
        if _stopped.wait(BEAT_SECONDS):
            break
    _safely(Worker.objects.filter(name=name).delete)
    connection.close()


def _safely(step: Callable[..., object], *args: object) -> None:
    """Run a step; whatever goes wrong (a database restart, a full disk) is logged and tried
    again in the next round: a worker that stops sweeping would be worse than any of it."""
    try:
        close_old_connections()
        step(*args)
    except DatabaseError:
        log.exception("The database failed in %s; trying again", step)
        connection.close()
    except Exception:
        log.exception("%s failed; trying again", step)


def _beat(name: str, about: dict[str, int]) -> None:
    now = {
        "seen_at": timezone.now(),
        "version": __version__,
        "memory_bytes": tree_bytes(os.getpid()),
        "free_memory_bytes": free_bytes(),
    }
    Worker.objects.update_or_create(name=name, defaults=now | about)


def _sweep(sweeps: Sequence[Callable[[], None]]) -> None:
    """Sweep, unless another worker did a moment ago; then wake whoever has a place free."""
    if not _is_ours():
        return
    for sweep in (_prune, *sweeps):
        _safely(sweep)
    for queue in (RESULTS_QUEUE, EXTRACTION_QUEUE):
        _safely(wake, queue)


def _is_ours() -> bool:
    # A little less than the time between two sweeps of one worker, which else would miss its own.
    span = timedelta(seconds=0.9 * BEAT_SECONDS * BEATS_PER_SWEEP)
    now = timezone.now()
    _, made = Sweep.objects.get_or_create(pk=1, defaults={"swept_at": now})
    return made or bool(
        Sweep.objects.filter(silent_for(span, "swept_at"), pk=1).update(swept_at=now)
    )


def _prune() -> None:
    """Forget workers that died long ago, and what killed processes left of a message."""
    before = timezone.now() - KEEP_MESSAGES
    Worker.objects.filter(seen_at__lt=before).delete()
    messages = settings.VAR_DIR / "queue" / "messages"
    for path in (*messages.glob("*.part"), *messages.glob("*.taken")):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < before.timestamp():
                path.unlink()
