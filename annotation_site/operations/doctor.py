"""Checks of `manage.py doctor`, with problems and remedies as sentences.

Every check is a function in CHECKS; it says what it found and, where that is needed, what to do.
"""

import json
import shutil
import socket
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import ERROR, WARNING, run_checks
from django.db import DatabaseError, connection
from django.utils import timezone
from huggingface_hub.constants import HF_HUB_CACHE

from annotation_site.accounts.models import User
from annotation_site.celery import app  # celery's own default is RabbitMQ on this machine
from annotation_site.operations.databases import (
    OTHER_SETTINGS,
    database_described,
    database_file,
    database_is_new,
    migrations_unknown,
    migrations_waiting,
    plain,
)
from annotation_site.operations.language_model import (
    language_model_replies,
    language_model_set_up,
)
from annotation_site.static_files import static_sources
from annotation_site.workers.models import Worker
from annotation_site.workers.selectors import workers_alive, workers_extracting
from ffn_extract.data_folder import data_folder
from ffn_extract.errors import FFNExtractError
from ffn_extract.projection.native import library

LEAST_FREE_BYTES = 2_000_000_000
MOST_CLOCK_DIFFERENCE = timedelta(seconds=5)
LOCAL_HOSTS = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True)
class Finding:
    """The finding of a check. `level`: fine, worth a look, or wrong."""

    level: str
    said: str


def fine(said: str) -> Finding:
    return Finding("ok", said)


def worth_a_look(said: str) -> Finding:
    return Finding("look", said)


def wrong(said: str) -> Finding:
    return Finding("wrong", said)


def database() -> Finding:
    """Check that the database responds, is the site's, and has every table."""
    where = database_described()
    try:
        if database_is_new():
            return wrong(f"{where}: it has no tables. {OTHER_SETTINGS} Else: `manage.py migrate`.")
        missing = migrations_waiting()
        if newer := migrations_unknown():
            return wrong(
                f"{where}: a newer version of the site changed it ({newer[0]}). Run that version."
            )
        if missing:
            return wrong(f"{where}: {missing} changes of its tables wait: `manage.py migrate`.")
        if not User.objects.exists():
            return worth_a_look(
                f"{where}: nobody is in it yet. {OTHER_SETTINGS} Else: `manage.py createadmin`."
            )
    except DatabaseError as error:
        return wrong(
            f"{where}: it does not answer: {plain(error)} Check DATABASE_URL and the server."
        )
    return fine(f"{where}: its tables are up to date.")


def queue() -> Finding:
    """Check that messages can be sent to the queue of this site's settings."""
    where = f"Redis at {_without_password(settings.REDIS_URL)}"
    if not settings.REDIS_URL:
        where = f"a folder of files, {settings.VAR_DIR / 'queue'}"
    try:
        with app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=1, timeout=3)
        if not settings.REDIS_URL:
            _write_into(settings.VAR_DIR / "queue" / "messages")
    except Exception as error:  # each transport has errors of its own
        return worth_a_look(
            f"{where} does not answer: {plain(error)} Nothing is lost, but work starts seconds "
            f"later. Check {'REDIS_URL and the server' if settings.REDIS_URL else 'VAR_DIR'}."
        )
    return fine(f"{where}, reached.")


def _without_password(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"


def _write_into(folder: Path) -> None:
    """Raise OSError where a file cannot be written there; the folder is made if it is missing."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"room")


def workers() -> Finding:
    """Check that a worker extracts and a worker computes."""
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
    """Check that a worker of this machine is alive, for its container's health check."""
    if _a_worker_is_here():
        return fine("alive.")
    return wrong("no worker of this machine is alive. Look at its log, and start it again.")


def _a_worker_is_here() -> bool:
    return workers_alive().filter(name__startswith=f"{socket.gethostname()}:").exists()


def wordnet() -> Finding:
    """Check that glosses are available, on the machine that extracts."""
    if find_spec("nltk") is None:
        return fine("not needed here: this machine serves pages and has no extraction packages.")
    from ffn_extract.wordnet import wordnet_is_at_hand

    if wordnet_is_at_hand():
        return fine("at hand.")
    return worth_a_look(
        "not installed: glosses cover the vocabularies of the demo's models only. Run `python -m "
        "ffn_extract fetch-wordnet`, or install the packages wordnet-base and wordnet-sense-index."
    )


def kernel() -> Finding:
    """Check the native kernel, on the machine that extracts; extraction does without, slower."""
    if find_spec("torch") is None:
        return fine("not needed here: this machine has no extraction packages.")
    try:
        path = library.chosen_path()
    except FFNExtractError as error:
        return wrong(f"nothing can be extracted. {error}")
    if path is not None:
        return fine(f"in use, with the instructions {path.name}.")
    found, compile_it = library.loaded(), "`python -m ffn_extract compile-kernel`"
    if found.library is None and found.file is not None:
        return worth_a_look(f"not in use: {found.reason}: {compile_it}")
    if found.library is None:
        return fine(f"{found.reason}; extraction is slower without. To compile it: {compile_it}")
    return fine("not in use, as FFN_KERNEL or this processor demands; extraction is slower.")


def storage() -> Finding:
    """Check that files can be written and disks have room."""
    folder = settings.VAR_DIR
    for path in (folder, settings.BUNDLES_DIR, settings.EXPORTS_DIR, settings.PUBLIC_DIR):
        try:
            _write_into(path)
        except OSError as error:
            return wrong(
                f"{path} cannot be written: {error.strerror}. Change its owner, or set VAR_DIR, "
                "BUNDLES_DIR, EXPORTS_DIR or PUBLIC_DIR."
            )
    if is_open := [path for path in _private_places() if path.stat().st_mode & 0o007]:
        modes = "; ".join(f"chmod {600 if path.is_file() else 700} {path}" for path in is_open)
        return worth_a_look(f"everybody on this machine can read or write what is private: {modes}")
    free, path = min(
        (shutil.disk_usage(path).free, path)
        for path in (folder, settings.BUNDLES_DIR, settings.EXPORTS_DIR)
    )
    if free < LEAST_FREE_BYTES:
        return worth_a_look(f"only {free / 1e9:.1f} GB are free under {path}. Make room.")
    return fine(f"{free / 1e9:.0f} GB are free under {folder}.")


def _private_places() -> list[Path]:
    """Places with names, annotations or secrets, which older versions or a copy may have left open.

    Of folders themselves, since what is in a closed one is closed.
    """
    places = [settings.VAR_DIR, settings.BUNDLES_DIR, settings.EXPORTS_DIR]
    places.append(settings.VAR_DIR / "secret_key")
    if (file := database_file()) is not None:
        places += [file, *file.parent.glob(f"{file.name}-*")]  # SQLite's log beside it
    return [path for path in places if path.exists()]


def caches() -> Finding:
    """Check that models, WordNet and a wiki's responses can be kept, on the extracting machine."""
    if find_spec("nltk") is None:
        return fine("not needed here: this machine has no extraction packages.")
    folders = {"HF_HOME": Path(HF_HUB_CACHE), "FFN_DATA_DIR": data_folder()}
    for name, folder in folders.items():
        try:
            _write_into(folder)
        except OSError as error:
            return worth_a_look(
                f"{folder} cannot be written: {error.strerror}. Nothing new is fetched from the "
                f"hub, WordNet's server or a wiki. Set {name} to a folder of this user's."
            )
    return fine(f"{' and '.join(str(folder) for folder in folders.values())}.")


def static_files() -> Finding:
    """Check that every page finds the scripts and styles of this version."""
    manifest = settings.STATIC_ROOT / "staticfiles.json"
    do = "Run `manage.py collectstatic --noinput`, then restart the web servers."
    try:
        collected = json.loads(manifest.read_text())["paths"]
        made_at = manifest.stat().st_mtime
    except FileNotFoundError:
        return _never_collected(do)
    except (OSError, ValueError, KeyError):
        return wrong(f"what was collected into {settings.STATIC_ROOT} cannot be read. {do}")
    for name, source in static_sources():
        if name not in collected or not (settings.STATIC_ROOT / collected[name]).exists():
            return wrong(f"{name} is missing under {settings.STATIC_ROOT}. {do}")
        if source.stat().st_mtime > made_at:
            return worth_a_look(f"{name} is newer than what was collected. {do}")
    return fine(f"collected in {settings.STATIC_ROOT}.")


def _never_collected(do: str) -> Finding:
    """A web server refuses to start then, so where a worker is alive, workers alone run."""
    where = f"not collected into {settings.STATIC_ROOT}"
    # SQLite would make the file of a database that is not there, so that is looked at first.
    if not _database_fails() and _a_worker_is_here():
        return fine(
            f"{where}, so no web server starts here. The workers of this machine need none; for a "
            "web server, run `manage.py collectstatic --noinput` first."
        )
    return wrong(f"{where}: no web server starts. {do} `manage.py serve` does so by itself.")


def certificates() -> Finding:
    """Check that TLS connections verify the server."""
    if "ssl_cert_reqs=none" in settings.REDIS_URL or "ssl_cert_reqs=optional" in settings.REDIS_URL:
        return worth_a_look(
            "REDIS_URL says not to check the server's certificate, so anybody on the way can "
            "answer instead. Leave ssl_cert_reqs out; ssl_ca_certs names your own authority's file."
        )
    mode = settings.DATABASES["default"].get("OPTIONS", {}).get("sslmode")
    if mode and mode not in ("verify-ca", "verify-full"):
        return worth_a_look(
            f"DATABASE_URL says sslmode={mode}, which checks no certificate, so anybody on the way "
            "can answer instead. Say sslmode=verify-full."
        )
    return fine("checked wherever the settings ask for TLS.")


def clock() -> Finding:
    """Check that the clocks of this machine, the database and the workers agree.

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
    """Check the configuration: Django's deployment checks, and others."""
    host = settings.ALLOWED_HOSTS[0]
    for name, meant in settings.MISTYPED_SETTINGS.items():
        return worth_a_look(f"{settings.ENV_FILE} sets {name}, which nothing reads: {meant}?")
    if settings.DEBUG:
        return wrong("DEBUG is on: errors show the code and settings. Unset it.")
    if host in LOCAL_HOSTS:
        return fine(f"for this machine alone: SITE_URL is {settings.SITE_URL}.")
    if not settings.SITE_URL.startswith("https://"):
        return wrong(
            f"SITE_URL is {settings.SITE_URL}: passwords travel readable. Put a proxy with TLS in "
            "front and set the https address."
        )
    if not settings.BEHIND_PROXY:
        return worth_a_look(
            f"SITE_URL is {settings.SITE_URL}, and BEHIND_PROXY is not set: behind a proxy every "
            "page redirects to itself for ever. Set BEHIND_PROXY=true."
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


def language_model() -> Finding:
    """Check which language model annotates, without asking it."""
    return Finding(*language_model_set_up())


def language_model_reply() -> Finding:
    """Ask the language model for a short reply, on the machine of a worker."""
    return Finding(*language_model_replies())


CHECKS: dict[str, Callable[[], Finding]] = {
    "database": database,
    "queue": queue,
    "workers": workers,
    "wordnet": wordnet,
    "kernel": kernel,
    "storage": storage,
    "caches": caches,
    "static-files": static_files,
    "certificates": certificates,
    "clock": clock,
    "settings": configuration,
    "language-model": language_model,
}


ON_REQUEST = {"this-worker": this_worker, "language-model-reply": language_model_reply}
NEED_THE_DATABASE = {"workers", "this-worker", "clock"}


def _database_fails() -> bool:
    return database().level == "wrong"


def examine(names: Sequence[str] = tuple(CHECKS)) -> dict[str, Finding]:
    """Run some checks. If the database fails, checks that need it are skipped."""
    found: dict[str, Finding] = {}
    broken = bool(NEED_THE_DATABASE & set(names)) and _database_fails()
    for name in names:
        if broken and name in NEED_THE_DATABASE:
            found[name] = wrong("not known: the database has to work first.")
        else:
            found[name] = (CHECKS | ON_REQUEST)[name]()
    return found
