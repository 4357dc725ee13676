"""Removal of expired files and rows: `manage.py tidy`, and once a day by a worker.

A rule is a function in RULES: it says what would go, one line each, and removes it unless it is
asked only to say. What a rule leaves out stays for ever: answers, studies, people, the log.
"""

import contextlib
import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import connection
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from annotation_site.accounts.models import ApiToken, Invitation, RequestKey
from annotation_site.accounts.second_factors import second_factors_renew
from annotation_site.annotation.models import CrowdParticipant, OpenLink
from annotation_site.api.once import KEPT
from annotation_site.corpus.corpora import copies_of_gone_corpora
from annotation_site.corpus.models import UNFINISHED, Extraction, LogLine
from annotation_site.corpus.receiving import old_files, path_remove
from annotation_site.data_sets import services
from annotation_site.data_sets.models import DataSet
from annotation_site.database_pages import log_empty
from annotation_site.machine_annotators.models import MachineExchange
from annotation_site.measurements.files import stray_folders
from annotation_site.measurements.models import UNFINISHED as UNMEASURED
from annotation_site.measurements.models import Measurement, MeasurementLine
from annotation_site.notices.selectors import notices_over
from annotation_site.notices.services import MOST as MOST_NOTICES
from annotation_site.operations.metrics import metrics_of_gone_machines
from annotation_site.results.figures.files import stray_figures
from annotation_site.results.files.jobs import exports_expire, exports_over, file_path, stray_files
from annotation_site.results.models import ExportJob

log = logging.getLogger(__name__)
DAY = 24 * 3600
LOOK_EVERY = 3600
# A bundle's folder, or the hidden one of its layers: named by an extraction's public id.
_OF_EXTRACTION = re.compile(
    r"\.?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(\..*)?"
)
_looked_at = 0.0


def tidy(*, dry_run: bool = False) -> dict[str, list[str]]:
    """Run every rule; returns what each removed, or would: a line per file and per kind of row.

    A rule that fails keeps no other from its work; the first such error is raised in the end.
    """
    found: dict[str, list[str]] = {}
    errors: list[Exception] = []
    for name, rule in RULES.items():
        try:
            found[name] = rule(dry_run)
        except Exception as error:
            log.exception("Tidying up %s failed", name)
            errors.append(error)
    if not dry_run:
        log_empty()  # of what an earlier erasure could not clear away
    if errors:
        raise errors[0]
    return found


def tidy_daily() -> None:
    """Run `tidy` unless it ran within a day; safe in many workers at once, and cheap."""
    global _looked_at
    if _looked_at and time.monotonic() - _looked_at < LOOK_EVERY:
        return
    _looked_at = time.monotonic()
    if cache.add("tidy", 1, DAY - LOOK_EVERY / 2):
        tidy()


def export_files(dry_run: bool) -> list[str]:
    """Remove requested files past EXPORT_DAYS, and files without a row."""
    found = [str(file_path(job)) for job in exports_over()]
    found += [str(path) for path in (*stray_files(), *stray_figures())]
    if not dry_run:
        exports_expire()
    return found


def export_rows(dry_run: bool) -> list[str]:
    """Remove rows of removed files, KEEP_ENDED_DAYS after their request."""
    over = ExportJob.objects.filter(
        state__in=(ExportJob.State.EXPIRED, ExportJob.State.FAILED),
        requested_at__lt=_ended_before(),
    )
    return _rows("rows of exports", over, dry_run)


def data_set_files(dry_run: bool) -> list[str]:
    """Remove data sets past EXPORT_DAYS, and files without a row."""
    found = [str(services.file_path(row)) for row in services.data_sets_over()]
    found += [str(path) for path in services.stray_files()]
    if not dry_run:
        services.data_sets_expire()
    return found


def data_set_rows(dry_run: bool) -> list[str]:
    """Remove rows of removed data sets, KEEP_ENDED_DAYS after their request."""
    ended = (DataSet.State.EXPIRED, DataSet.State.FAILED, DataSet.State.CANCELLED)
    over = DataSet.objects.filter(state__in=ended, requested_at__lt=_ended_before())
    return _rows("rows of data sets", over, dry_run)


def uploads(dry_run: bool) -> list[str]:
    """Remove interrupted uploads after a day."""
    return _paths(old_files(), dry_run)


def corpus_copies(dry_run: bool) -> list[str]:
    """Remove this machine's copies of deleted corpora."""
    return _paths(copies_of_gone_corpora(), dry_run)


def bundle_folders(dry_run: bool) -> list[str]:
    """Remove bundles and partial work of extractions that are not in the database, after a day.

    Partial work of those that are ready too: a run that read other files, or had other packages,
    left it.
    """
    return _paths(_orphans(), dry_run)


def measurement_folders(dry_run: bool) -> list[str]:
    """Remove finished batches of measurements that need none any more: they are gone or ready, or
    ended more than KEEP_ENDED_DAYS ago.
    """
    return _paths(stray_folders(_ended_before()), dry_run)


def log_lines(dry_run: bool) -> list[str]:
    """Remove log entries of ended extractions and measurements past KEEP_LOG_DAYS."""
    before = timezone.now() - timedelta(days=settings.KEEP_LOG_DAYS)
    ended = ~Q(extraction__state__in=(*UNFINISHED, Extraction.State.DELETING))
    found = _rows("lines about extractions", LogLine.objects.filter(ended, at__lt=before), dry_run)
    over = ~Q(measurement__state__in=(*UNMEASURED, Measurement.State.DELETING))
    lines = MeasurementLine.objects.filter(over, at__lt=before)
    return found + _rows("lines about measurements", lines, dry_run)


def notices(dry_run: bool) -> list[str]:
    """Remove notices past KEEP_NOTICE_DAYS, and the oldest of a person with too many."""
    before = timezone.now() - timedelta(days=settings.KEEP_NOTICE_DAYS)
    return _rows("notices", notices_over(before, MOST_NOTICES), dry_run)


def machine_exchanges(dry_run: bool) -> list[str]:
    """Remove requests to language models and their replies past LLM_KEEP_DAYS; the annotations that
    were read from them stay.
    """
    before = timezone.now() - timedelta(days=settings.LLM_KEEP_DAYS)
    over = MachineExchange.objects.filter(sent_at__lt=before)
    return _rows("requests to language models", over, dry_run)


def request_keys(dry_run: bool) -> list[str]:
    """Remove responses kept for an Idempotency-Key, after a day."""
    over = RequestKey.objects.filter(created_at__lt=timezone.now() - KEPT)
    return _rows("idempotency keys", over, dry_run)


def api_tokens(dry_run: bool) -> list[str]:
    """Remove API tokens that expired more than KEEP_ENDED_DAYS ago; the log keeps their makers."""
    over = ApiToken.objects.filter(expiry__lt=_ended_before())
    return _rows("expired API tokens", over, dry_run)


def invitations(dry_run: bool) -> list[str]:
    """Remove ended invitations after KEEP_ENDED_DAYS."""
    over = Q(expires_at__lt=_ended_before()) | Q(revoked_at__lt=_ended_before())
    used_up = Q(uses=F("uses_allowed"), created_at__lt=_ended_before())
    return _rows("ended invitations", Invitation.objects.filter(over | used_up), dry_run)


def participant_ids(dry_run: bool) -> list[str]:
    """Erase the ids of crowd platforms' participants, so many days after they joined as their open
    link says.
    """
    count = 0
    for days in OpenLink.objects.values_list("keep_days", flat=True).order_by().distinct():
        over = CrowdParticipant.objects.filter(
            link__keep_days=days, joined_at__lt=timezone.now() - timedelta(days=days)
        ).exclude(outside_id="", other_ids={})
        count += over.count() if dry_run else over.ids_erase()
    return [f"{count} participant ids"] if count else []


def sessions(dry_run: bool) -> list[str]:
    """Remove expired logins, and their rows on the page of sessions."""
    expired = Session.objects.filter(expire_date__lt=timezone.now())
    found = _rows("expired sessions", expired, dry_run)
    living = Session.objects.filter(
        session_key=OuterRef("session_key"), expire_date__gte=timezone.now()
    )
    a_day_ago = timezone.now() - timedelta(days=1)
    gone = UserSession.objects.filter(~Exists(living), created_at__lt=a_day_ago)
    return found + _rows("notes about sessions", gone, dry_run)


def metrics(dry_run: bool) -> list[str]:
    """Remove request counters of machines that no longer exist."""
    return _paths(metrics_of_gone_machines(), dry_run)


def second_factors(dry_run: bool) -> list[str]:
    """Encrypt second factors of SECRET_KEY_FALLBACKS again, so that the old keys can be removed."""
    count = second_factors_renew(dry_run=dry_run)
    return [f"{count} under an older secret key"] if count else []


def counters(dry_run: bool) -> list[str]:
    """Remove expired counters of failed logins and requests, which hold typed names."""
    table = connection.ops.quote_name(str(settings.CACHES["default"]["LOCATION"]))
    now = connection.ops.adapt_datetimefield_value(timezone.now().replace(microsecond=0))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM {table} WHERE expires < %s", [now])  # noqa: S608
        (count,) = cursor.fetchone()
        if not dry_run:
            cursor.execute(f"DELETE FROM {table} WHERE expires < %s", [now])  # noqa: S608
    return [f"{count} counters"] if count else []


RULES: dict[str, Callable[[bool], list[str]]] = {
    "export files": export_files,
    "export rows": export_rows,
    "data set files": data_set_files,
    "data set rows": data_set_rows,
    "uploads": uploads,
    "corpus copies": corpus_copies,
    "bundle folders": bundle_folders,
    "measurement folders": measurement_folders,
    "log lines": log_lines,
    "notices": notices,
    "machine exchanges": machine_exchanges,
    "request keys": request_keys,
    "api tokens": api_tokens,
    "invitations": invitations,
    "participant ids": participant_ids,
    "sessions": sessions,
    "counters": counters,
    "metrics": metrics,
    "second factors": second_factors,
}


def _ended_before() -> datetime:
    return timezone.now() - timedelta(days=settings.KEEP_ENDED_DAYS)


def _rows(what: str, found: "QuerySet[Any]", dry_run: bool) -> list[str]:
    count = found.count() if dry_run else found.delete()[0]
    return [f"{count} {what}"] if count else []


def _paths(found: Iterable[Path], dry_run: bool) -> list[str]:
    said = []
    for path in found:
        said.append(str(path))
        if not dry_run:
            path_remove(path)
    return said


def _orphans() -> Iterator[Path]:
    """None where the database knows not one of the folders: then it is likely the wrong one, an
    empty file in place of the server for example, and bundles cannot be made again."""
    folder = Path(settings.BUNDLES_DIR)
    named = {
        path: match[1]
        for path in (sorted(folder.iterdir()) if folder.is_dir() else ())
        if (match := _OF_EXTRACTION.fullmatch(path.name))
    }
    # After the folders: of one that came meanwhile nothing is asked.
    known = dict(Extraction.objects.values_list("public_id", "state"))
    states = {str(public_id): state for public_id, state in known.items()}
    if states.keys().isdisjoint(named.values()):
        return
    for path, public_id in named.items():
        state = states.get(public_id)
        over = state is None or (state == Extraction.State.READY and path.name.startswith("."))
        with contextlib.suppress(FileNotFoundError):  # taken away meanwhile
            if over and path.stat().st_mtime < time.time() - DAY:
                yield path
