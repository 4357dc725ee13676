"""Facts about the whole site, each from the one source that other pages and commands use too."""

import resource
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from annotation_site.accounts.models import AuditEntry, Invitation
from annotation_site.annotation.models import Study, TakenTime, WorkedDay
from annotation_site.corpus.models import Extraction
from annotation_site.data_sets.models import DataSet
from annotation_site.machine_annotators.models import UNFINISHED as UNANNOTATED
from annotation_site.machine_annotators.models import MachineRun
from annotation_site.measurements.models import UNFINISHED as UNMEASURED
from annotation_site.measurements.models import Measurement
from annotation_site.operations import doctor
from annotation_site.proxies.models import UNFINISHED as UNKNOWN
from annotation_site.proxies.models import ProxyRun
from annotation_site.public.models import Publication
from annotation_site.results.models import ExportJob, Snapshot, StudyDeletion
from annotation_site.traces.models import UNFINISHED as UNTRACED
from annotation_site.traces.models import Trace
from annotation_site.workers.claims import ClaimedWork

FAILED_SINCE = timedelta(days=14)
AT_WORK = timedelta(minutes=15)
CHECKED_SECONDS = 60  # findings are kept so long by each process
# The page shows workers and failures itself; these are looked at besides.
CHECKS = ("database", "queue", "storage", "static-files", "certificates", "clock", "settings")
_checked: tuple[float, dict[str, doctor.Finding]] | None = None


@dataclass(frozen=True)
class People:
    """People at work now and today, their annotations today (UTC), and invitations that work."""

    now: int
    today: int
    annotations: int
    invitations: int


def results_at_work() -> list[ClaimedWork]:
    """Unfinished work besides extractions, that which is being done first; eight queries."""
    which = {"state__in": ("due", "running")}
    found: list[ClaimedWork] = [
        *_light(Measurement.objects.filter(state__in=UNMEASURED)).order_by("pk")[:100],
        *Trace.objects.filter(state__in=UNTRACED).select_related("model").order_by("pk")[:100],
        *_with_model(ProxyRun.objects.filter(state__in=UNKNOWN)).order_by("pk")[:100],
        *_of_study(MachineRun.objects.filter(state__in=UNANNOTATED)).order_by("pk")[:100],
        *Snapshot.objects.filter(**which).select_related("study").order_by("pk")[:100],
        *ExportJob.objects.filter(**which).select_related("study").order_by("pk")[:100],
        *StudyDeletion.objects.filter(**which).select_related("study").order_by("pk")[:100],
        *Publication.objects.filter(**which).select_related("study").order_by("pk")[:100],
        *DataSet.objects.filter(**which).select_related("study").order_by("pk")[:100],
    ]
    return sorted(found, key=lambda row: getattr(row, "state", "") != "running")


def failures(now: datetime) -> list[ClaimedWork]:
    """Work that failed lately and was not tried again, the newest first; seven queries."""
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
    pages = Publication.objects.filter(
        state=Publication.State.FAILED, finished_at__gte=since
    ).select_related("study")
    proxies = ProxyRun.objects.filter(state=ProxyRun.State.FAILED, finished_at__gte=since)
    again = DataSet.objects.filter(study=OuterRef("study"), pk__gt=OuterRef("pk"))
    data_sets = DataSet.objects.filter(
        ~Exists(again), state=DataSet.State.FAILED, finished_at__gte=since
    ).select_related("study")
    machines = MachineRun.objects.filter(state=MachineRun.State.FAILED, finished_at__gte=since)
    rows: list[Any] = [
        *extractions, *_light(failed), *_with_model(proxies), *_of_study(machines), *snapshots,
        *exports, *pages, *data_sets,
    ]  # fmt: skip
    rows.sort(key=lambda row: row.finished_at or now, reverse=True)
    return rows


def _light(rows: QuerySet[Measurement]) -> QuerySet[Measurement]:
    """Measurements without what they gave."""
    return rows.defer("manifest", "environment", "words", "about")


def _of_study(rows: QuerySet[MachineRun]) -> QuerySet[MachineRun]:
    """Language models' runs with their studies, none of a study that is being deleted."""
    return rows.exclude(study__state=Study.State.DELETING).select_related("study")


def _with_model(rows: QuerySet[ProxyRun]) -> QuerySet[ProxyRun]:
    """Runs with their models' names, without what is long."""
    long = ("manifest", "plan", "environment", "restored")
    return rows.select_related("extraction__model").defer(*(f"extraction__{name}" for name in long))


def findings() -> dict[str, doctor.Finding]:
    """The findings of the checks, at most CHECKED_SECONDS old."""
    global _checked
    if _checked is None or time.monotonic() - _checked[0] > CHECKED_SECONDS:
        _checked = (time.monotonic(), doctor.examine(CHECKS))
    return _checked[1]


def forget_findings() -> None:
    """Run the checks again at the next request, after a setting or a service changed."""
    global _checked
    _checked = None


def database_milliseconds() -> int:
    """How long the database takes to answer, at least 1."""
    return max(1, round(1000 * _timed(_ask_database)))


def _timed(ask: Callable[[], object]) -> float:
    began = time.monotonic()
    ask()
    return time.monotonic() - began


def _ask_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()


def database_connections() -> tuple[int, int] | None:
    """Open connections, and the most there may be; None for a database that is a file."""
    if connection.vendor != "postgresql":
        return None
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM pg_stat_activity), current_setting('max_connections')"
        )
        used, most = cursor.fetchone() or (0, 0)
    return int(used), int(most)


def database_version() -> str:
    """The database and its version, as in PostgreSQL 16.2."""
    if connection.vendor == "postgresql":
        version = str(connection.get_database_version()).strip("()").replace(", ", ".")
        return f"PostgreSQL {version}"
    return f"SQLite {sqlite3.sqlite_version}"


def peak_memory() -> int:
    """The most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def last_backup() -> AuditEntry | None:
    return AuditEntry.objects.filter(action="backup_made").order_by("-pk").first()


def people_at_work(now: datetime) -> People:
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
