"""The state of the site for admins: facts, each with what follows from it."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import django
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from annotation_site.accounts.models import AuditEntry
from annotation_site.corpus.health import Health, health
from annotation_site.corpus.models import Extraction
from annotation_site.corpus.selectors import STEP_TITLES
from annotation_site.corpus.time_left import extractions_left
from annotation_site.operations import doctor
from annotation_site.operations.disk import KINDS as DISK_KINDS
from annotation_site.operations.disk import DiskUse, disk_use
from annotation_site.operations.site_cards import (
    LOOK,
    WRONG,
    Card,
    backup_card,
    disk_card,
    failures_card,
    memory_card,
    people_card,
    queue_card,
    services_card,
    versions_card,
    workers_card,
)
from annotation_site.operations.site_facts import (
    CHECKS,
    People,
    database_connections,
    database_milliseconds,
    database_version,
    failures,
    findings,
    last_backup,
    peak_memory,
    people_at_work,
    results_at_work,
)
from annotation_site.operations.site_queue import (
    Queued,
    WorkerRow,
    address_of,
    moves,
    queue_rows,
    title_of,
    worker_rows,
)
from annotation_site.results.models import Snapshot
from annotation_site.templatetags.plain_words import rough_bytes
from annotation_site.workers.claims import ClaimedWork
from annotation_site.workers.identity import worker_label
from ffn_extract.bundle.manifest import FORMAT_VERSION
from ffn_extract.free_memory import free_bytes
from ffn_extract.version import __version__

MOST_FAILURES = 10
MOST_QUEUED = 10


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
    results = results_at_work()
    queue = queue_rows(left, results)
    disk, checks = disk_use(), findings()
    failed = failures(now)
    last, people = last_backup(), people_at_work(now)
    cards = {
        card.key: card
        for card in (
            queue_card(queue, found),
            workers_card(found),
            failures_card(len(failed)),
            disk_card(disk),
            backup_card(last, now),
            people_card(people),
            memory_card(found),
            services_card(checks),
            versions_card(found),
        )
    }
    shares = [q.percent for q in queue if q.percent is not None]
    lefts = [(q.starts_in or 0.0) + q.seconds for q in queue if q.seconds is not None]
    return Overview(
        now=now,
        cards=cards,
        attention=_attention(failed, cards, checks, found),
        queue=queue[:MOST_QUEUED],
        queue_hidden=max(0, len(queue) - MOST_QUEUED),
        queue_percent=sum(shares) // len(shares) if shares else None,
        queue_left=max(lefts) if lefts and moves(found, queue) else None,
        workers=worker_rows(found, results),
        disk=disk,
        parts=[
            Part(kind, str(title), disk.sizes.get(kind, 0), kind in disk.cut)
            for kind, title in DISK_KINDS.items()
        ],
        memory=_memory(found),
        services=_services(checks),
        backup=_backup_facts(last),
        people=_people_facts(people),
        versions=_versions(),
        summary=[
            cards[key] for key in ("queue", "workers", "failures", "disk", "backup", "people")
        ],
    )


def _attention(
    failed: Sequence[ClaimedWork],
    cards: dict[str, Card],
    checks: dict[str, doctor.Finding],
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
    rows += [_failure(row) for row in failed[:MOST_FAILURES]]
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
        if checks[name].level != "ok" and name != "storage":
            tone = WRONG if checks[name].level == "wrong" else LOOK
            rows.append(
                Todo(
                    tone,
                    gettext("Check of %(name)s") % {"name": name},
                    checks[name].said,
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
            button, posts = gettext("Look at it"), False
            address = reverse("corpus:extraction", args=[row.public_id])
    else:
        title = gettext("%(work)s: failed") % {"work": title_of(row)}
        button, posts, address, log = gettext("Look at it"), False, address_of(row), ""
        if isinstance(row, Snapshot):
            button, posts = gettext("Try again"), True
            address = reverse("results:retry", args=[row.study.slug])
    if row.attempts > 1:
        details.append(
            ngettext("%(n)s attempt", "%(n)s attempts", row.attempts) % {"n": row.attempts}
        )
    return Todo(WRONG, title, str(row.error), row.finished_at, details, log, button, address, posts)


def _memory(found: Health) -> list[tuple[str, int, str]]:
    """Name, bytes, and what of its machine is free."""
    free = free_bytes()
    of_machine = rough_bytes(free) if free else ""
    shown = [(gettext("This web process, at its peak"), peak_memory(), of_machine)]
    for one in found.workers:
        if one.is_alive and one.memory:
            of_machine = rough_bytes(one.free_memory) if one.free_memory else ""
            shown.append((worker_label(one.name), one.memory, of_machine))
    return shown


def _services(checks: dict[str, doctor.Finding]) -> list[tuple[str, str]]:
    answers = gettext("%(n)s ms") % {"n": database_milliseconds()}
    facts = [(gettext("Database answers in"), answers)]
    if connections := database_connections():
        used, most = connections
        facts.append(
            (gettext("Connections"), gettext("%(n)s of %(most)s") % {"n": used, "most": most})
        )
    facts.append((gettext("Tables"), _words(checks["database"])))
    facts.append((gettext("Broker"), _words(checks["queue"])))
    return facts


def _words(finding: doctor.Finding) -> str:
    return gettext("all is well") if finding.level == "ok" else gettext("see above")


def _backup_facts(last: AuditEntry | None) -> list[tuple[str, Any]]:
    if last is None:
        return []
    return [
        (gettext("Last backup"), last.at),
        (gettext("Size"), rough_bytes(int(last.details.get("bytes", 0)))),
        (gettext("Rows"), f"{int(last.details.get('rows', 0)):,}"),
    ]


def _people_facts(people: People) -> list[tuple[str, int]]:
    return [
        (gettext("At work now"), people.now),
        (gettext("At work today"), people.today),
        (gettext("Annotations today"), people.annotations),
        (gettext("Invitations that work"), people.invitations),
    ]


def _versions() -> str:
    return (
        f"FFN Concepts {__version__}, bundle format {FORMAT_VERSION}, "
        f"Python {platform.python_version()}, Django {django.get_version()}, {database_version()}"
    )
