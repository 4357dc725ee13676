"""Cards of the page of the whole site: each fact with its state, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.translation import gettext, ngettext

from annotation_site.accounts.models import AuditEntry
from annotation_site.corpus.health import Health
from annotation_site.operations import doctor
from annotation_site.operations.disk import DiskUse
from annotation_site.operations.site_facts import AT_WORK, CHECKS, FAILED_SINCE, People
from annotation_site.operations.site_queue import Queued
from annotation_site.templatetags.plain_words import rough_bytes, rough_duration
from annotation_site.workers.identity import worker_label
from ffn_extract.free_memory import free_bytes
from ffn_extract.version import __version__

GOOD, RUNNING, LOOK, WRONG = "good", "run", "warn", "bad"
BACKUP_OLD, BACKUP_TOO_OLD = timedelta(days=2), timedelta(days=7)
LITTLE_FREE = 0.1  # of the disk
LEAST_FREE_MEMORY = 700_000_000  # a small extraction takes about as much


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


def queue_card(queue: Sequence[Queued], found: Health) -> Card:
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


def workers_card(found: Health) -> Card:
    n, alive = len(found.workers), sum(worker.is_alive for worker in found.workers)
    silent = n - alive
    if not alive:
        return Card(
            "workers", WRONG, gettext("No worker is alive"),
            ngettext("%(n)s without heartbeat", "%(n)s without heartbeat", silent) % {"n": silent}
            if silent else gettext("none ran today"),
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


def failures_card(n: int) -> Card:
    days = FAILED_SINCE.days
    under = ngettext("in the last %(n)s day", "in the last %(n)s days", days) % {"n": days}
    if not n:
        return Card("failures", GOOD, gettext("No failures"), under, gettext("Nothing to do."))
    return Card(
        "failures", WRONG, ngettext("%(n)s failure", "%(n)s failures", n) % {"n": n}, under,
        gettext("Read the reason, remove it, then try again or delete the extraction."), True,
    )  # fmt: skip


def disk_card(disk: DiskUse) -> Card:
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


def memory_card(found: Health) -> Card:
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


def services_card(findings: dict[str, doctor.Finding]) -> Card:
    bad = [name for name in CHECKS if findings[name].level != "ok"]
    if not bad:
        return Card("services", GOOD, gettext("All is well"), "", gettext("Nothing to do."))
    worst = WRONG if any(findings[name].level == "wrong" for name in bad) else LOOK
    return Card(
        "services", worst, gettext("Needs a look"), "",
        gettext("Do what “Needs attention” says about: %(names)s.") % {"names": ", ".join(bad)},
        True,
    )  # fmt: skip


def backup_card(last: AuditEntry | None, now: datetime) -> Card:
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


def people_card(people: People) -> Card:
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


def versions_card(found: Health) -> Card:
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
