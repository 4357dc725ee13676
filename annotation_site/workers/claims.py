"""Background work: claim, heartbeat, progress, failure and sweep in one model.

The database says what is due. A message in the queue only wakes a worker: it may be delivered
twice, late or never. A worker takes a row by a conditional UPDATE, renews its heartbeat until it
has done the work, and loses the row to another worker when it is silent for `DEAD_AFTER`.
"""

import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self, TypeVar

from celery import current_app
from django.apps import apps
from django.db import connection, models, transaction
from django.db.models import F, QuerySet, Sum
from django.utils import timezone
from django.utils.translation import gettext_noop
from kombu.exceptions import OperationalError

from annotation_site.errors import DATABASE_AWAY, SiteError, storage_sentence
from annotation_site.sentences import Sentence, SentenceField
from annotation_site.workers.clocks import just_now, silent_for
from annotation_site.workers.identity import this_worker
from annotation_site.workers.queues import EXTRACTION_QUEUE
from annotation_site.workers.selectors import workers_alive, workers_extracting
from ffn_extract.errors import FFNExtractError, ProcessEnded

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 2
DEAD_AFTER = timedelta(seconds=20)
MOST_ATTEMPTS = 3
PAUSE_SECONDS = 30  # no request waits for a broker that was just seen to be down
BUG = gettext_noop(
    "A bug stopped this work (%(name)s). The worker's log has the details. Report the bug."
)
STOPPED = gettext_noop(
    "The worker process stopped without an error message. Attempts: %(attempts)s. The machine may "
    "lack memory or disk space: check the worker's log, then try again."
)
_silent_until = 0.0


class ClaimLost(Exception):
    """The claim is lost: another worker has the row, or it was cancelled or deleted."""


class ClaimedWork(models.Model):
    """Abstract model of a row that one worker at a time claims and does.

    A subclass names its queue and task, says which rows wait, and has the states that its pages
    show, those of `at_work` while a worker has it. `turn` orders kinds of work that share a queue:
    lower ones go first. `share`, `asked_at` and `target` name fields: for which study or person
    the work is done, when it was asked for, and the number that the task takes.
    """

    claim = models.UUIDField(null=True)  # whose work it is; a worker that lost its claim stops
    worker = models.CharField(max_length=200, blank=True)  # who holds the claim, or held it
    attempts = models.PositiveSmallIntegerField(default=0)
    heartbeat_at = models.DateTimeField(null=True)
    enqueued_at = models.DateTimeField(null=True)  # when a message was sent that nobody has taken
    error = SentenceField(blank=True)

    queue: ClassVar[str]
    task: ClassVar[str]
    turn: ClassVar[int] = 0
    share: ClassVar[str]
    asked_at: ClassVar[str]
    target: ClassVar[str] = "pk"
    at_work: ClassVar[tuple[str, ...]] = ("running",)

    class Meta:
        abstract = True

    @classmethod
    def waiting(cls) -> QuerySet[Any]:
        """Rows that a worker could claim now."""
        raise NotImplementedError  # each kind of work says so; Django's models take no ABC

    @classmethod
    def being_done(cls) -> QuerySet[Any]:
        """Rows that a worker has claimed."""
        return cls._default_manager.filter(**{"state__in": cls.at_work})

    def held(self) -> QuerySet[Self]:
        """This row, as long as this process holds the claim on it."""
        return type(self)._default_manager.filter(pk=self.pk, claim=self.claim)


Row = TypeVar("Row", bound=ClaimedWork)


def claim(rows: QuerySet[Row], pk: int, **changes: Any) -> Row | None:
    """Claim one of `rows` for this process; None if it is no longer among them.

    A conditional UPDATE decides, so a message that is delivered twice is done once.
    """
    mine = uuid.uuid4()
    taken = rows.filter(pk=pk).update(
        claim=mine,
        worker=this_worker(),
        attempts=F("attempts") + 1,
        heartbeat_at=timezone.now(),
        enqueued_at=None,
        **changes,
    )
    if not taken:
        return None
    row = rows.model._default_manager.get(pk=pk)
    row.claim = mine  # whatever happened since the UPDATE
    return row


def report(row: ClaimedWork, **changes: Any) -> None:
    """Write changes and a heartbeat. Raises ClaimLost if the claim is lost."""
    if not row.held().update(heartbeat_at=timezone.now(), **changes):
        raise ClaimLost


Failure = str | Sentence


def fail(row: ClaimedWork, reason: Failure) -> None:
    """End the work with a sentence for people, unless the claim is lost."""
    ended: dict[str, Any] = {"state": "failed", "error": reason, "finished_at": timezone.now()}
    row.held().update(**ended, claim=None)


@contextmanager
def working(row: Row, *, fail: Callable[[Row, Failure], None] = fail) -> Iterator[None]:
    """Do claimed work in the block; an error ends it with a sentence, unless the claim is lost.

    While the block runs, a thread renews the heartbeat. A bug is recorded, so that no page waits
    for ever, and propagates. Where the database was away, or a process that does the work was
    killed, the row says nothing: it goes stale, and a sweep gives it to a worker again.
    """
    try:
        with heartbeat(row):
            yield
    except ClaimLost:
        log.info("%s %s was taken over, or cancelled", type(row).__name__, row.pk)
    except (*DATABASE_AWAY, ProcessEnded):
        log.exception("%s %s waits for the sweep", type(row).__name__, row.pk)
    except SiteError as error:
        fail(row, error.sentence)
    except FFNExtractError as error:
        fail(row, str(error))
    except Exception as error:
        storage = storage_sentence(error) if isinstance(error, OSError) else None
        fail(row, storage or Sentence(BUG, name=type(error).__name__))
        raise


@contextmanager
def heartbeat(row: ClaimedWork, seconds: float = HEARTBEAT_SECONDS) -> Iterator[None]:
    """Renew the row's heartbeat in a thread until the block ends, or the claim is lost.

    Other errors (a database restart) are logged and tried again. Within a transaction nobody else
    sees the claim, so there is nobody to be told.
    """
    if connection.in_atomic_block:
        yield
        return
    stopped = threading.Event()

    def run() -> None:
        while not stopped.wait(seconds):
            try:
                report(row)
            except ClaimLost:
                break
            except Exception:  # a thread that dies in silence looks like a dead worker
                log.exception("A heartbeat failed; trying again")
                connection.close()
        connection.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


class ProgressReporter:
    """Report progress at most twice a second, and always the first and last of a step.

    Work reports far more often than a page can show or a database should write.
    """

    def __init__(self, write: Callable[[str, int, int], None], seconds: float = 0.5) -> None:
        self.write = write
        self.seconds = seconds
        self._step = ""
        self._written_at = 0.0

    def __call__(self, step: str, done: int, total: int) -> None:
        now = time.monotonic()
        if step != self._step or done == total or now - self._written_at >= self.seconds:
            self.write(step, done, total)
            self._step, self._written_at = step, now


def give_back(
    rows: QuerySet[Row], *, fail: Callable[[Row, Failure], None] = fail, **changes: Any
) -> Iterator[Row]:
    """Release those of the claimed `rows` whose worker is silent; yields each of them.

    `changes` makes a row wait again. One that ended so `MOST_ATTEMPTS` times fails instead.
    """
    stale = rows.filter(silent_for(DEAD_AFTER))
    for row in stale:
        if row.attempts >= MOST_ATTEMPTS:
            fail(row, Sentence(STOPPED, attempts=row.attempts))
        # A worker whose heartbeat came since the row was read here is left alone.
        elif stale.filter(pk=row.pk, claim=row.claim).update(
            claim=None, enqueued_at=None, **changes
        ):
            yield row


def wake(queue: str) -> None:
    """After the commit, enqueue a message for each free child of a queue's workers.

    Rows wait in the database, not in the queue: there are never more messages than places, and
    each goes to the row that is next in turn at that moment.
    """
    transaction.on_commit(lambda: _wake(queue))


def _wake(queue: str) -> None:
    try:
        for kind, pk, enqueued_at, target in _next_in_turn(queue):
            # Of two processes that wake at once, one sends.
            row = kind._default_manager.filter(pk=pk, enqueued_at=enqueued_at)
            if row.update(enqueued_at=timezone.now()):
                send(kind.task, target)
    except DATABASE_AWAY:
        log.exception("The sweep will look at the queue %s again", queue)


Message = tuple[type[ClaimedWork], int, datetime | None, int]


def _next_in_turn(queue: str) -> list[Message]:
    """The waiting rows for which there are places, those of whoever has least at work first.

    A message that was sent just now is on its way to a place; one that no free place has taken
    for a while is lost, and its row waits again.
    """
    kinds = _kinds(queue)
    alive = workers_alive().values("name")
    free = _places(queue)
    at_work: Counter[Any] = Counter()
    waiting = []
    for kind in kinds:
        held = kind.being_done().filter(worker__in=alive)
        on_their_way = kind.waiting().filter(just_now("enqueued_at"))
        for rows in (held, on_their_way):
            shares = list(rows.values_list(kind.share, flat=True))
            at_work.update(shares)
            free -= len(shares)
        rows = kind.waiting().exclude(just_now("enqueued_at"))
        fields = (kind.share, kind.asked_at, "pk", "enqueued_at", kind.target)
        waiting += [(kind, *values) for values in rows.values_list(*fields)]
    chosen: list[Message] = []
    while waiting and len(chosen) < free:
        first = min(waiting, key=lambda row: (at_work[row[1]], row[0].turn, row[2], row[3]))
        waiting.remove(first)
        kind, share, _, *message = first
        at_work[share] += 1
        chosen.append((kind, *message))
    return chosen


def _kinds(queue: str) -> list[type[ClaimedWork]]:
    """The kinds of work that wait in a queue."""
    kinds = [one for one in apps.get_models() if issubclass(one, ClaimedWork)]
    return [one for one in kinds if one.queue == queue]


def has_work(queue: str) -> bool:
    """Whether this process's worker, in any of its children, has claimed a row of a queue."""
    mine = this_worker()
    return any(kind.being_done().filter(worker=mine).exists() for kind in _kinds(queue))


def is_waited_for(queue: str) -> bool:
    """Whether a row of a queue waits, so that work that takes hours gives its place back."""
    return any(kind.waiting().exists() for kind in _kinds(queue))


def next_of(kind: type[ClaimedWork]) -> list[int]:
    """The keys of the rows of a kind whose turn it is, for a process that has a place free.

    None where its worker is about to end: it takes nothing more.
    """
    if not workers_extracting().filter(name=this_worker()).exists():
        return []
    return [pk for one, pk, _, _ in _next_in_turn(kind.queue) if one is kind]


def _places(queue: str) -> int:
    """How many rows of a queue the workers that live can do at once: one extraction each."""
    if queue == EXTRACTION_QUEUE:
        return workers_extracting().count()
    return workers_alive().aggregate(tasks_at_once=Sum("tasks_at_once"))["tasks_at_once"] or 0


def send(task: str, *args: Any) -> None:
    """Enqueue a message now. An unreachable broker is logged and no error."""
    global _silent_until
    if time.monotonic() < _silent_until:
        return
    try:
        current_app.send_task(task, args)
    except (OperationalError, OSError):
        _silent_until = time.monotonic() + PAUSE_SECONDS
        log.warning("The queue cannot be reached; %s waits for the sweep", task)
