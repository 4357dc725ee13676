"""A trace in a worker: run in a process apart, which keeps the model while it is asked for.

The process opens strangers' files, and keeps the last model that it loaded. A worker keeps the
process between traces, so that only the first waits for the model, and lets go of it after
IDLE_SECONDS, or as soon as the worker has other work that may need the memory. The process ends
with the one that started it.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from django.db import connection

from annotation_site.corpus.extraction_runs import packages_needed
from annotation_site.corpus.locations import model_location
from annotation_site.errors import DATABASE_AWAY
from annotation_site.traces import services
from annotation_site.traces.models import Trace
from annotation_site.workers.claims import ProgressReporter, has_work, working
from annotation_site.workers.queues import EXTRACTION_QUEUE
from ffn_extract import apart
from ffn_extract.errors import ProcessEnded
from ffn_extract.progress import Progress, Report

IDLE_SECONDS = 300.0
LOOK_SECONDS = 2.0  # between two looks whether the memory is needed
log = logging.getLogger(__name__)


class Process(Protocol):
    """The part of `ffn_extract.apart.TracingApart` that a worker needs."""

    def trace(self, model: str, reading: Any, request: Any, report: Report) -> dict[str, Any]:
        """Trace a prompt."""

    def close(self) -> None:
        """End the process."""


def trace_work(*, trace_id: int) -> None:
    """Do a waiting trace, and then the next ones, those of the same model first."""
    with kept.used() as opened:
        claimed = services.trace_claim(trace_id=trace_id)
        done = 0
        while claimed is not None:
            run(trace=claimed, opened=opened)
            done += 1
            claimed = services.trace_claim_next(after=claimed, done=done)


def run(*, trace: Trace, opened: "Kept") -> None:
    """Run a claimed trace and keep what it gave; the row stores the outcome."""
    with working(trace, fail=services.trace_fail):
        request = {
            "prompt": trace.prompt, "max_tokens": services.MOST_TOKENS, **trace.request,
        }  # fmt: skip
        source = model_location(trace.model_source)
        try:
            with packages_needed():
                answer = opened.process.trace(source, trace.reading, request, _reporter(trace))
        except ProcessEnded:
            opened.end()  # the next trace has another one
            raise
        services.trace_keep(trace=trace, answer=answer)


def _reporter(trace: Trace) -> Report:
    write = ProgressReporter(lambda step, *_: services.trace_report(trace=trace, step=step))

    def tell(progress: Progress) -> None:
        write(progress.step, progress.done, progress.total)

    return tell


class Kept:
    """The process that traces, started when it is first needed and let go of when it is not.

    A thread looks after it while it is idle, so that this worker's other work waits for nothing.
    """

    def __init__(self) -> None:
        self._process: Process | None = None
        self._lock = threading.Lock()  # held while traces are claimed and done
        self._used_at = 0.0
        self._looking: threading.Thread | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    @property
    def process(self) -> Process:
        """The process, within `used`."""
        if self._process is None:
            self._process = apart.TracingApart()
        return self._process

    @contextmanager
    def used(self) -> Iterator["Kept"]:
        """A context in which it traces; afterwards it is looked after."""
        with self._lock:
            try:
                yield self
            finally:
                self._used_at = time.monotonic()
        if self.is_open and (self._looking is None or not self._looking.is_alive()):
            self._looking = threading.Thread(target=self._look_after, daemon=True)
            self._looking.start()

    def end(self) -> None:
        """End the process, within `used` or where nothing traces."""
        process, self._process = self._process, None
        if process is not None:
            process.close()

    def let_go_if_idle(self) -> bool:
        """End the process if it is idle; returns whether there is still one to look after."""
        if not self._lock.acquire(blocking=False):
            return True  # it traces
        try:
            if self.is_idle():
                self.end()
            return self.is_open
        finally:
            self._lock.release()

    def is_idle(self) -> bool:
        """Whether it is to be let go of: nobody asked for long, or the memory is needed."""
        if time.monotonic() - self._used_at > IDLE_SECONDS:
            return True
        with suppress(*DATABASE_AWAY):
            # Of another kind, or of another child of this worker, which loads a model itself.
            return has_work(EXTRACTION_QUEUE)
        return False

    def _look_after(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            try:
                if not self.let_go_if_idle():
                    break
            except Exception:  # a thread that dies in silence keeps gigabytes
                log.exception("Looking after the process that traces failed; trying again")
            finally:
                connection.close()


kept = Kept()
