"""What is wrong with this installation, in plain words: `manage.py doctor`.

Every check is a function in CHECKS; it says what it found and, where that is needed, what to do.
"""

import shutil
import socket
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.util import find_spec
from io import StringIO

from celery import current_app
from django.conf import settings
from django.core.checks import ERROR, WARNING, run_checks
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from annotation_site.workers.models import Worker
from annotation_site.workers.selectors import workers_alive, workers_extracting

LEAST_FREE_BYTES = 2_000_000_000
MOST_CLOCK_DIFFERENCE = timedelta(seconds=5)
LOCAL_HOSTS = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True)
class Finding:
    """What a check found. `level`: fine, worth a look, or wrong."""

    level: str
    said: str


def fine(said: str) -> Finding:
    return Finding("ok", said)


def worth_a_look(said: str) -> Finding:
    return Finding("look", said)


def wrong(said: str) -> Finding:
    return Finding("wrong", said)


def database() -> Finding:
    """Whether it answers and has every table."""
    try:
        connection.ensure_connection()
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        return wrong(f"does not answer: {str(error).strip()} Check DATABASE_URL and the server.")
    kind = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}.get(connection.vendor, "?")
    if missing:
        return wrong(f"{kind}, but {len(missing)} changes of its tables wait: `manage.py migrate`.")
    return fine(f"{kind}, its tables are up to date.")


def queue() -> Finding:
    """Whether messages can be sent."""
    kind = "Redis" if settings.REDIS_URL else "a folder of files"
    try:
        with current_app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=1, timeout=3)
    except Exception as error:  # each transport has errors of its own
        return worth_a_look(
            f"{kind} does not answer: {error}. Nothing is lost, but work starts seconds later. "
            "Check REDIS_URL and the server."
        )
    return fine(f"{kind}, reached.")


def workers() -> Finding:
    """Whether somebody extracts, and somebody computes."""
    alive, extracting = workers_alive().count(), workers_extracting().count()
    if not alive:
        return wrong(
            "none is alive: nothing is extracted, computed or exported. Start one with "
            "`manage.py serve`, or as docs/deploying.md says."
        )
    if not extracting:
        return worth_a_look(
            f"{alive} alive, but none takes extractions: start one with --queues extraction."
        )
    return fine(f"{alive} alive, {extracting} of them for extractions.")


def this_worker() -> Finding:
    """Whether a worker of this machine is alive: what its container asks."""
    if workers_alive().filter(name__startswith=f"{socket.gethostname()}:").exists():
        return fine("alive.")
    return wrong("no worker of this machine is alive. Look at its log, and start it again.")


def wordnet() -> Finding:
    """Whether glosses can be had; asked of the machine that extracts."""
    if find_spec("nltk") is None:
        return fine("not needed here: this machine serves pages and has no extraction packages.")
    from ffn_extract.wordnet import wordnet_is_at_hand

    if wordnet_is_at_hand():
        return fine("at hand.")
    return worth_a_look(
        "not installed; the first extraction tries to download it. Without a connection, install "
        "the packages wordnet-base and wordnet-sense-index, or tokens have no glosses."
    )


def storage() -> Finding:
    """Whether files can be written, and there is room for them."""
    folder = settings.VAR_DIR
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"room")
    except OSError as error:
        return wrong(f"{folder} cannot be written: {error}. Change its owner, or set VAR_DIR.")
    if folder.stat().st_mode & 0o007:
        return worth_a_look(f"{folder} can be read by everybody on this machine: chmod 700 it.")
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        return worth_a_look(f"only {free / 1e9:.1f} GB are free under {folder}. Make room.")
    return fine(f"{free / 1e9:.0f} GB are free under {folder}.")


def clock() -> Finding:
    """Whether this machine, the database and the workers agree about the time.

    Leases and heartbeats compare times of different machines.
    """
    now = timezone.now()
    of_database = _time_of_database()
    apart = abs(now - of_database) if of_database else timedelta(0)
    newest = Worker.objects.order_by("-seen_at").values_list("seen_at", flat=True).first()
    ahead = newest - now if newest else timedelta(0)
    if max(apart, ahead) > MOST_CLOCK_DIFFERENCE:
        seconds = round(max(apart, ahead).total_seconds())
        return wrong(
            f"this machine and {'the database' if apart >= ahead else 'a worker'} are {seconds} s "
            "apart. Set the clocks by NTP: workers take each other for dead otherwise."
        )
    return fine("this machine, the database and the workers agree.")


def _time_of_database() -> datetime | None:
    if connection.vendor != "postgresql":  # a file has no clock of its own
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        row = cursor.fetchone()
    return row[0] if row else None


def configuration() -> Finding:
    """Django's own checks for a server that strangers reach, and what they cannot know."""
    host = settings.ALLOWED_HOSTS[0]
    if settings.DEBUG:
        return wrong("DEBUG is on: errors show the code and settings. Unset it.")
    if host in LOCAL_HOSTS:
        return fine(f"for this machine alone: SITE_URL is {settings.SITE_URL}.")
    if not settings.SITE_URL.startswith("https://"):
        return wrong(
            f"SITE_URL is {settings.SITE_URL}: passwords travel readable. Put a proxy with TLS in "
            "front and set the https address."
        )
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        said = [
            m
            for m in run_checks(include_deployment_checks=True)
            if m.level >= WARNING and not m.is_silenced()
        ]
    if said:
        worst = wrong if max(m.level for m in said) >= ERROR else worth_a_look
        return worst(" ".join(f"{m.msg} ({m.id})" for m in said))
    return fine(f"for {settings.SITE_URL}.")


CHECKS: dict[str, Callable[[], Finding]] = {
    "database": database,
    "queue": queue,
    "workers": workers,
    "wordnet": wordnet,
    "storage": storage,
    "clock": clock,
    "settings": configuration,
}


ON_REQUEST = {"this-worker": this_worker}
NEED_THE_DATABASE = {"workers", "this-worker", "clock"}


def examine(names: Sequence[str] = tuple(CHECKS)) -> dict[str, Finding]:
    """The findings of some checks. Where the database fails, what needs it is not asked."""
    found: dict[str, Finding] = {}
    broken = bool(NEED_THE_DATABASE & set(names)) and database().level == "wrong"
    for name in names:
        if broken and name in NEED_THE_DATABASE:
            found[name] = wrong("not known: the database has to work first.")
        else:
            found[name] = (CHECKS | ON_REQUEST)[name]()
    return found
