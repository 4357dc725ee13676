"""The state of the site for admins: facts, each with what follows from it.

Every fact has one source, which other pages and commands use too: `corpus.health` and `workers` for
workers, `corpus.time_left` for the queue, `doctor` for the database, the broker and the settings,
the log for backups.
"""

import platform
import resource
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import django
from django.db import connection
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from annotation_site.accounts.models import AuditEntry, Invitation
from annotation_site.annotation.models import TakenTime, WorkedDay
from annotation_site.corpus.health import Health, WorkerHealth, health
from annotation_site.corpus.models import Extraction
from annotation_site.corpus.selectors import STEP_TITLES
from annotation_site.corpus.time_left import TimeLeft, extractions_left
from annotation_site.measurements.models import UNFINISHED as UNMEASURED
from annotation_site.measurements.models import Measurement
from annotation_site.operations import doctor
from annotation_site.operations.disk import KINDS as DISK_KINDS
from annotation_site.operations.disk import DiskUse, disk_use
from annotation_site.results.files.jobs import CONTENTS
from annotation_site.results.models import ExportJob, Snapshot, StudyDeletion
from annotation_site.templatetags.plain_words import rough_bytes, rough_duration
from annotation_site.workers.claims import ClaimedWork
from annotation_site.workers.identity import worker_label
from ffn_extract.bundle.manifest import FORMAT_VERSION
from ffn_extract.free_memory import free_bytes
from ffn_extract.version import __version__

GOOD, RUNNING, LOOK, WRONG = "good", "run", "warn", "bad"
FAILED_SINCE = timedelta(days=14)
MOST_FAILURES = 10
MOST_QUEUED = 10
AT_WORK = timedelta(minutes=15)
BACKUP_OLD, BACKUP_TOO_OLD = timedelta(days=2), timedelta(days=7)
LITTLE_FREE = 0.1  # of the disk
LEAST_FREE_MEMORY = 700_000_000  # a small extraction takes about as much
CHECKED_SECONDS = 60  # findings are kept so long by each process
# The page shows workers and failures itself; these are looked at besides.
CHECKS = ("database", "queue", "storage", "static-files", "certificates", "clock", "settings")
_checked: tuple[float, dict[str, doctor.Finding]] | None = None


@dataclass(frozen=True)
class Card:
    """One fact: its state, the headline at the top of the page, and what to do.

    `tone` is one of GOOD, RUNNING, LOOK and WRONG. `todo` is a sentence; `act` tells whether it
    asks for something.
    """

    key: str
    tone: str
    headline: str
    under: str
    todo: str
    act: bool = False


@dataclass(frozen=True)
class Todo:
    """A row of "Needs attention". `button` posts to its address where `posts` is set; `is_english`
    is of a text that has no translation.
    """

    tone: str
    title: str
    text: str
    at: datetime | None = None
    details: Sequence[str] = ()
    log: str = ""
    button: str = ""
    address: str = ""
    posts: bool = False
    is_english: bool = False


@dataclass(frozen=True)
class Queued:
    """A piece of work at a worker or waiting for one."""

    title: str
    state: str
    at_work: bool
    since: datetime
    worker: str = ""
    address: str = ""
    percent: int | None = None
    seconds: float | None = None
    starts_in: float | None = None


@dataclass(frozen=True)
class WorkerRow:
    """A worker with all that it does, extractions and results."""

    health: WorkerHealth
    doing: str


@dataclass(frozen=True)
class Part:
    """A kind of thing on the disk."""

    key: str
    title: str
    size: int
    at_least: bool


@dataclass(frozen=True)
class Overview:
    """The whole page."""

    now: datetime
    cards: dict[str, Card]
    attention: list[Todo]
    queue: list[Queued]
    queue_hidden: int
    queue_percent: int | None
    queue_left: float | None
    workers: list[WorkerRow]
    disk: DiskUse
    parts: list[Part]
    memory: list[tuple[str, int, str]]
    services: list[tuple[str, str]]
    backup: list[tuple[str, Any]]
    people: list[tuple[str, int]]
    versions: str
    summary: list[Card] = field(default_factory=list)

    @property
    def shown(self) -> list[object]:
        """The content of the page apart from ages, to tell whether it changed."""
        queue = [(q.title, q.state, q.at_work, q.percent) for q in self.queue]
        rows = [(w.health.host, w.health.process, w.health.is_alive, w.doing) for w in self.workers]
        # Free memory differs from moment to moment; its state and remedy do not.
        cards = [
            (c.key, c.tone, "" if c.key == "memory" else c.headline, c.todo)
            for c in self.cards.values()
        ]
        return [cards, queue, rows, [(t.title, t.text) for t in self.attention], self.people]


def overview() -> Overview:
    """Look at the whole site; a number of queries that does not depend on its size."""
    now = timezone.now()
    found, left = health(), extractions_left()
    results = _results_at_work()
    queue = _queue(left, results)
    disk, findings = disk_use(), _findings()
    failures, n_failures = _failures(now)
    workers = _workers(found, results)
    last, people = _last_backup(), _people(now)
    cards = {
        card.key: card
        for card in (
            _queue_card(queue, found),
            _workers_card(found),
            _failures_card(n_failures, now),
            _disk_card(disk),
            _backup_card(last, now),
            _people_card(people),
            _memory_card(found),
            _services_card(findings),
            _versions_card(found),
        )
    }
    shares = [q.percent for q in queue if q.percent is not None]
    lefts = [(q.starts_in or 0.0) + q.seconds for q in queue if q.seconds is not None]
    return Overview(
        now=now,
        cards=cards,
        attention=_attention(failures, cards, findings, found),
        queue=queue[:MOST_QUEUED],
        queue_hidden=max(0, len(queue) - MOST_QUEUED),
        queue_percent=sum(shares) // len(shares) if shares else None,
        queue_left=max(lefts) if lefts and _moves(found, queue) else None,
        workers=workers,
        disk=disk,
        parts=[
            Part(kind, str(title), disk.sizes.get(kind, 0), kind in disk.cut)
            for kind, title in DISK_KINDS.items()
        ],
        memory=_memory(found),
        services=_services(findings),
        backup=_backup_facts(last),
        people=people.facts,
        versions=_versions(),
        summary=[
            cards[key] for key in ("queue", "workers", "failures", "disk", "backup", "people")
        ],
    )


# The queue


def _results_at_work() -> list[ClaimedWork]:
    """Unfinished work besides extractions, that which is being done first; four queries."""
    which = {"state__in": ("due", "running")}
    found: list[ClaimedWork] = [
        *_light(Measurement.objects.filter(state__in=UNMEASURED)).order_by("pk")[:100],
        *Snapshot.objects.filter(**which).select_related("study").order_by("pk")[:100],
        *ExportJob.objects.filter(**which).select_related("study").order_by("pk")[:100],
        *StudyDeletion.objects.filter(**which).select_related("study").order_by("pk")[:100],
    ]
    return sorted(found, key=lambda row: getattr(row, "state", "") != "running")


def _light(rows: QuerySet[Measurement]) -> QuerySet[Measurement]:
    """Measurements without what they gave."""
    return rows.defer("manifest", "environment", "words", "about")


def _queue(left: Sequence[TimeLeft], results: Sequence[ClaimedWork]) -> list[Queued]:
    entries = [_queued_extraction(one) for one in left] + [_queued(row) for row in results]
    return sorted(entries, key=lambda entry: not entry.at_work)


def _queued_extraction(one: TimeLeft) -> Queued:
    extraction = one.extraction
    at_work = extraction.state != Extraction.State.QUEUED
    begun = extraction.started_at or extraction.created_at
    step = STEP_TITLES.get(extraction.step)
    return Queued(
        title=str(extraction),
        state=gettext(step) if step else str(extraction.get_state_display()),
        at_work=at_work,
        since=begun if at_work else extraction.created_at,
        worker=worker_label(extraction.worker) if at_work else "",
        address=reverse("corpus:extraction", args=[extraction.public_id]),
        percent=one.percent,
        seconds=one.seconds,
        starts_in=one.starts_in,
    )


def _queued(row: Any) -> Queued:
    at_work = row.state == "running"
    done, total = getattr(row, "step_done", None), getattr(row, "step_total", None)
    if isinstance(row, ExportJob):
        done, total = row.done, row.total
    return Queued(
        title=_title(row),
        state=str(row.get_state_display()),
        at_work=at_work,
        since=row.created_at if isinstance(row, Measurement) else row.requested_at,
        worker=worker_label(row.worker) if at_work else "",
        address=_address(row),
        percent=min(99, 100 * done // total) if at_work and done is not None and total else 0,
    )


def _title(row: Any) -> str:
    if isinstance(row, Measurement):
        return gettext("Measurement “%(title)s”") % {"title": row.title}
    study = {"study": str(row.study)}
    if isinstance(row, Snapshot):
        return gettext("Results of “%(study)s”") % study
    if isinstance(row, StudyDeletion):
        return gettext("Deletion of “%(study)s”") % study
    content = CONTENTS.get(row.content)
    return gettext("%(file)s of “%(study)s”") % {
        "file": content.title if content else row.content, **study,
    }  # fmt: skip


def _address(row: Any) -> str:
    if isinstance(row, Measurement):
        return reverse("measurements:measurement", args=[row.public_id])
    if isinstance(row, StudyDeletion):
        return ""  # nobody can see the study any more
    name = "results:results" if isinstance(row, Snapshot) else "results:exports"
    return reverse(name, args=[row.study.slug])


def _moves(found: Health, queue: Sequence[Queued]) -> bool:
    """Whether a worker is there for what waits."""
    alive = sum(worker.is_alive for worker in found.workers)
    needs_extracting = any(q.starts_in is None and q.seconds is not None for q in queue)
    return bool(alive) and not needs_extracting


def _queue_card(queue: Sequence[Queued], found: Health) -> Card:
    n = len(queue)
    under = ngettext("%(n)s task in the queue", "%(n)s tasks in the queue", n) % {"n": n}
    alive = sum(worker.is_alive for worker in found.workers)
    waiting = [entry for entry in queue if not entry.at_work]
    if waiting and not alive:
        return Card(
            "queue", WRONG, gettext("Nothing moves"), under,
            gettext("No worker is alive. Start one: the work waits and nothing of it is lost."),
            True,
        )  # fmt: skip
    if any(entry.seconds is not None for entry in waiting) and not found.extracting:
        return Card(
            "queue", WRONG, gettext("Extractions wait"), under,
            gettext("No live worker takes extractions. Start one with --queues extraction."), True,
        )  # fmt: skip
    lefts = [(q.starts_in or 0.0) + q.seconds for q in queue if q.seconds is not None]
    if not queue:
        return Card("queue", GOOD, gettext("Nothing waits"), under, gettext("Nothing to do."))
    if lefts:
        said = gettext("%(time)s left") % {"time": rough_duration(max(lefts))}
        todo = gettext("Nothing to do.")
        if len(lefts) > found.extracting:
            todo = gettext("Nothing to do. Another worker for extractions would shorten the queue.")
        return Card("queue", RUNNING, said, under, todo)
    return Card("queue", RUNNING, gettext("At work"), under, gettext("Nothing to do."))


# Workers


def _workers(found: Health, results: Sequence[Any]) -> list[WorkerRow]:
    doing: dict[str, list[str]] = {}
    for row in results:
        if row.state == "running":
            doing.setdefault(row.worker, []).append(_title(row))
    return [
        WorkerRow(
            one,
            "; ".join(
                [*([f"{one.doing}: {one.what}"] if one.doing else []), *doing.get(one.name, [])]
            ),
        )
        for one in found.workers
    ]


def _workers_card(found: Health) -> Card:
    n, alive = len(found.workers), sum(worker.is_alive for worker in found.workers)
    silent = n - alive
    if not alive:
        return Card(
            "workers", WRONG, gettext("No worker is alive"),
            ngettext("%(n)s without heartbeat", "%(n)s without heartbeat", silent) % {"n": silent},
            gettext(
                "Nothing is extracted, computed or exported. Start the site and its workers with "
                "“python manage.py serve”, or the worker services of this server."
            ), True,
        )  # fmt: skip
    said = gettext("%(alive)s of %(n)s workers") % {"alive": alive, "n": n}
    if silent:
        return Card(
            "workers", LOOK, said,
            ngettext("%(n)s without heartbeat", "%(n)s without heartbeat", silent) % {"n": silent},
            gettext(
                "A worker stopped without a word: look at its log and start it again. What it did "
                "is back in the queue. A day later it is no longer listed."
            ), True,
        )  # fmt: skip
    if not found.extracting:
        return Card(
            "workers", LOOK, said, gettext("none takes extractions"),
            gettext("Start a worker with --queues extraction to extract models."), True,
        )  # fmt: skip
    return Card("workers", GOOD, said, gettext("all alive"), gettext("Nothing to do."))


# Failures


def _failures(now: datetime) -> tuple[list[Todo], int]:
    """The newest failures with what to do, and how many there are; four queries."""
    since = now - FAILED_SINCE
    extractions = Extraction.objects.filter(
        state=Extraction.State.FAILED, finished_at__gte=since
    ).defer("manifest", "plan")
    newer = Snapshot.objects.filter(
        study=OuterRef("study"), filter_key=OuterRef("filter_key"), pk__gt=OuterRef("pk")
    )
    snapshots = (
        Snapshot.objects.filter(~Exists(newer), state=Snapshot.State.FAILED, finished_at__gte=since)
        .defer("tables", "figures", "counts", "measures")
        .select_related("study")
    )
    later = ExportJob.objects.filter(
        study=OuterRef("study"), content=OuterRef("content"), pk__gt=OuterRef("pk")
    )
    exports = ExportJob.objects.filter(
        ~Exists(later), state=ExportJob.State.FAILED, finished_at__gte=since
    ).select_related("study")
    failed = Measurement.objects.filter(state=Measurement.State.FAILED, finished_at__gte=since)
    rows: list[Any] = [*extractions, *_light(failed), *snapshots, *exports]
    rows.sort(key=lambda row: row.finished_at or now, reverse=True)
    return [_failure(row) for row in rows[:MOST_FAILURES]], len(rows)


def _failure(row: Any) -> Todo:
    details = []
    if row.worker:
        details.append(gettext("worker %(name)s") % {"name": worker_label(row.worker)})
    if isinstance(row, Extraction):
        title = gettext("The extraction “%(title)s” failed") % {"title": str(row)}
        if step := STEP_TITLES.get(row.step):
            details.append(gettext("in the step “%(step)s”") % {"step": gettext(step)})
        if row.step_total > 1:
            details.append(
                gettext("%(done)s of %(total)s done")
                % {"done": f"{row.step_done:,}", "total": f"{row.step_total:,}"}
            )
        button, posts = gettext("Try again"), True
        address = reverse("corpus:retry", args=[row.public_id])
        log = reverse("corpus:log", args=[row.public_id])
        if row.uploaded or row.imported:
            button, posts, log = gettext("Look at it"), False, log
            address = reverse("corpus:extraction", args=[row.public_id])
    else:
        title = gettext("%(work)s: failed") % {"work": _title(row)}
        button, posts, address, log = gettext("Look at it"), False, _address(row), ""
        if isinstance(row, Snapshot):
            button, posts = gettext("Try again"), True
            address = reverse("results:retry", args=[row.study.slug])
    if row.attempts > 1:
        details.append(
            ngettext("%(n)s attempt", "%(n)s attempts", row.attempts) % {"n": row.attempts}
        )
    return Todo(WRONG, title, str(row.error), row.finished_at, details, log, button, address, posts)


def _failures_card(n: int, now: datetime) -> Card:
    days = FAILED_SINCE.days
    under = ngettext("in the last %(n)s day", "in the last %(n)s days", days) % {"n": days}
    if not n:
        return Card("failures", GOOD, gettext("No failures"), under, gettext("Nothing to do."))
    return Card(
        "failures", WRONG, ngettext("%(n)s failure", "%(n)s failures", n) % {"n": n}, under,
        gettext("Read the reason, remove it, then try again or delete the extraction."), True,
    )  # fmt: skip


# Disk, memory


def _disk_card(disk: DiskUse) -> Card:
    said = gettext("%(size)s free") % {"size": rough_bytes(disk.free)}
    under = gettext("of %(size)s disk") % {"size": rough_bytes(disk.total)}
    todo = gettext("Nothing to do.")
    if disk.unused_models:
        todo = gettext(
            "%(size)s of the models folder belong to no extraction: %(names)s. Delete them there "
            "if nobody needs them."
        ) % {"size": rough_bytes(disk.unused_bytes), "names": ", ".join(disk.unused_models[:5])}
    if disk.free < doctor.LEAST_FREE_BYTES or disk.free < LITTLE_FREE * disk.total:
        tone = WRONG if disk.free < doctor.LEAST_FREE_BYTES else LOOK
        if not disk.unused_models:
            todo = gettext(
                "Make room: delete extractions that no study uses, old backups, or models that "
                "nobody needs."
            )
        return Card("disk", tone, said, under, todo, True)
    return Card("disk", GOOD, said, under, todo)


def _memory(found: Health) -> list[tuple[str, int, str]]:
    """Name, bytes, and what of its machine is free."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    free = free_bytes()
    shown = [(gettext("This web process, at its peak"), own, rough_bytes(free) if free else "")]
    for one in found.workers:
        if one.is_alive and one.memory:
            of_machine = rough_bytes(one.free_memory) if one.free_memory else ""
            shown.append((worker_label(one.name), one.memory, of_machine))
    return shown


def _memory_card(found: Health) -> Card:
    of_workers = [one.free_memory for one in found.workers if one.is_alive]
    frees = [free for free in (free_bytes(), *of_workers) if free is not None]
    if not frees:
        return Card("memory", GOOD, gettext("Unknown"), "", gettext("This system does not say it."))
    said = gettext("%(size)s free") % {"size": rough_bytes(min(frees))}
    if min(frees) < LEAST_FREE_MEMORY:
        todo = gettext(
            "The system may kill an extraction. Run fewer workers at once, or give more memory."
        )
        return Card("memory", LOOK, said, "", todo, True)
    return Card("memory", GOOD, said, "", gettext("Nothing to do."))


# Database and broker


def _findings() -> dict[str, doctor.Finding]:
    """The findings of the checks, at most CHECKED_SECONDS old."""
    global _checked
    if _checked is None or time.monotonic() - _checked[0] > CHECKED_SECONDS:
        _checked = (time.monotonic(), doctor.examine(CHECKS))
    return _checked[1]


def forget_findings() -> None:
    """Run the checks again at the next request, after a setting or a service changed."""
    global _checked
    _checked = None


def _timed(ask: Callable[[], object]) -> float:
    began = time.monotonic()
    ask()
    return time.monotonic() - began


def _ask_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()


def _services(findings: dict[str, doctor.Finding]) -> list[tuple[str, str]]:
    facts = [
        (
            gettext("Database answers in"),
            gettext("%(n)s ms") % {"n": max(1, round(1000 * _timed(_ask_database)))},
        )
    ]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT (SELECT count(*) FROM pg_stat_activity), current_setting('max_connections')"
            )
            used, most = cursor.fetchone() or (0, 0)
        facts.append(
            (gettext("Connections"), gettext("%(n)s of %(most)s") % {"n": used, "most": most})
        )
    facts.append((gettext("Tables"), _words(findings["database"])))
    facts.append((gettext("Broker"), _words(findings["queue"])))
    return facts


def _words(finding: doctor.Finding) -> str:
    return gettext("all is well") if finding.level == "ok" else gettext("see above")


def _services_card(findings: dict[str, doctor.Finding]) -> Card:
    bad = [name for name in CHECKS if findings[name].level != "ok"]
    if not bad:
        return Card("services", GOOD, gettext("All is well"), "", gettext("Nothing to do."))
    worst = WRONG if any(findings[name].level == "wrong" for name in bad) else LOOK
    return Card(
        "services", worst, gettext("Needs a look"), "",
        gettext("Do what “Needs attention” says about: %(names)s.") % {"names": ", ".join(bad)},
        True,
    )  # fmt: skip


# Backups, people, versions


def _last_backup() -> AuditEntry | None:
    return AuditEntry.objects.filter(action="backup_made").order_by("-pk").first()


def _backup_card(last: AuditEntry | None, now: datetime) -> Card:
    how = gettext("Run “manage.py backup FILE” daily, and copy the file to another machine.")
    if last is None:
        return Card("backup", LOOK, gettext("No backup yet"), gettext("last backup"), how, True)
    age = now - last.at
    said = gettext("%(age)s ago") % {"age": rough_age(age)}
    if age > BACKUP_OLD:
        tone = WRONG if age > BACKUP_TOO_OLD else LOOK
        return Card("backup", tone, said, gettext("last backup"), how, True)
    if last.details.get("on_this_disk"):
        todo = gettext("The last backup is on the disk of the data. Copy it to another machine.")
        return Card("backup", LOOK, said, gettext("last backup"), todo, True)
    return Card("backup", GOOD, said, gettext("last backup"), gettext("Nothing to do."))


def rough_age(age: timedelta) -> str:
    """An age: 30 s, 5 min, 3 h 10 min, 3 days."""
    if age.days >= 2:
        return ngettext("%(n)s day", "%(n)s days", age.days) % {"n": age.days}
    return rough_duration(max(1.0, age.total_seconds()))


def _backup_facts(last: AuditEntry | None) -> list[tuple[str, Any]]:
    if last is None:
        return []
    return [
        (gettext("Last backup"), last.at),
        (gettext("Size"), rough_bytes(int(last.details.get("bytes", 0)))),
        (gettext("Rows"), f"{int(last.details.get('rows', 0)):,}"),
    ]


@dataclass(frozen=True)
class People:
    """People at work now and today, their annotations today (UTC), and invitations that work."""

    now: int
    today: int
    annotations: int
    invitations: int

    @property
    def facts(self) -> list[tuple[str, int]]:
        """The numbers with their words."""
        return [
            (gettext("At work now"), self.now),
            (gettext("At work today"), self.today),
            (gettext("Annotations today"), self.annotations),
            (gettext("Invitations that work"), self.invitations),
        ]


def _people(now: datetime) -> People:
    """Count people and their work, in three queries."""
    today = now.date()
    taken = TakenTime.objects.aggregate(
        now=Count("pk", filter=Q(at__gte=now - AT_WORK)), today=Count("pk", filter=Q(day=today))
    )
    return People(
        now=taken["now"],
        today=taken["today"],
        annotations=WorkedDay.objects.filter(day=today, submitted=True).count(),
        invitations=Invitation.objects.filter(
            expires_at__gt=now, revoked_at=None, uses__lt=F("uses_allowed")
        ).count(),
    )


def _people_card(people: People) -> Card:
    n = people.now
    minutes = round(AT_WORK.total_seconds() / 60)
    todo = gettext("Nothing to do. A restart now interrupts nobody.")
    if n:
        todo = ngettext(
            "Nothing to do. A restart now would interrupt %(n)s person.",
            "Nothing to do. A restart now would interrupt %(n)s people.",
            n,
        ) % {"n": n}
    return Card(
        "people", GOOD, gettext("%(n)s at work") % {"n": n},
        gettext("in the last %(n)s min") % {"n": minutes}, todo,
    )  # fmt: skip


def _versions() -> str:
    database = connection.vendor
    if database == "postgresql":
        version = str(connection.get_database_version()).strip("()").replace(", ", ".")
        database = f"PostgreSQL {version}"
    else:
        database = f"SQLite {sqlite3.sqlite_version}"
    return (
        f"FFN Concepts {__version__}, bundle format {FORMAT_VERSION}, "
        f"Python {platform.python_version()}, Django {django.get_version()}, {database}"
    )


def _versions_card(found: Health) -> Card:
    others = [
        f"{worker_label(one.name)} ({one.version})"
        for one in found.workers
        if one.is_alive and one.version and one.version != __version__
    ]
    if others:
        todo = gettext("These workers run another version: %(names)s. Upgrade and restart them.")
        said = todo % {"names": ", ".join(others)}
        return Card("versions", LOOK, __version__, "", said, True)
    return Card("versions", GOOD, __version__, "", gettext("Nothing to do."))


# What needs attention


def _attention(
    failures: Sequence[Todo],
    cards: dict[str, Card],
    findings: dict[str, doctor.Finding],
    found: Health,
) -> list[Todo]:
    rows = []
    for key in ("queue", "workers"):
        card = cards[key]
        if card.act:
            rows.append(
                Todo(
                    card.tone,
                    card.headline,
                    card.todo,
                    button=gettext("See the workers"),
                    address="#workers",
                )
            )
    if not any(worker.is_alive for worker in found.workers):
        rows = rows[-1:]  # that no worker is alive is why nothing moves: one thing, told once
    rows += failures
    for key in ("disk", "memory", "backup", "versions"):
        card = cards[key]
        if card.act:
            rows.append(
                Todo(
                    card.tone,
                    _heading(key, card),
                    card.todo,
                    button=gettext("See the numbers"),
                    address=f"#{key}",
                )
            )
    for name in CHECKS:
        if findings[name].level != "ok" and name != "storage":
            tone = WRONG if findings[name].level == "wrong" else LOOK
            rows.append(
                Todo(
                    tone,
                    gettext("Check of %(name)s") % {"name": name},
                    findings[name].said,
                    is_english=True,
                )
            )
    return sorted(rows, key=lambda row: row.tone != WRONG)


def _heading(key: str, card: Card) -> str:
    headings = {
        "disk": gettext("Disk: %(fact)s"),
        "memory": gettext("Memory: %(fact)s"),
        "backup": gettext("Last backup: %(fact)s"),
        "versions": gettext("Versions differ: the site has %(fact)s"),
    }
    return headings[key] % {"fact": card.headline}
