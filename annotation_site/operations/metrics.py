"""Metrics for Prometheus, at /metrics if METRICS_TOKEN is set.

Requests are counted by each process into files of its own, which the process that is asked adds
up; everything else is read from the database at that moment.
"""

import hmac
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db.models import Max
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from annotation_site.annotation.models import Revision
from annotation_site.corpus.models import Extraction, ExtractionLayer
from annotation_site.data_sets.models import DataSet
from annotation_site.machine_annotators.models import MachineRun
from annotation_site.measurements.models import Measurement
from annotation_site.proxies.models import ProxyRun
from annotation_site.public.models import Publication
from annotation_site.results.models import ExportJob, Snapshot
from annotation_site.traces.models import Trace
from annotation_site.workers.models import Worker
from annotation_site.workers.selectors import workers_alive

if TYPE_CHECKING:
    from prometheus_client.metrics_core import GaugeMetricFamily

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # where prometheus_client looks, when it is first imported
BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
WEEK = 7 * 24 * 3600
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_counters: tuple[Any, Any] | None = None
_making = Lock()


def metrics_prepare() -> None:
    """Before the first request: make this machine's folder, and remove ended processes."""
    if not settings.METRICS_TOKEN:
        return
    folder = _folders() / socket.gethostname()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ[FOLDER] = str(folder)
    for path in folder.glob("*.db"):
        if not _is_alive(path.stem.rpartition("_")[2]):
            path.unlink(missing_ok=True)


def metrics_of_gone_machines() -> list[Path]:
    """The folders of other machines without a request for a week.

    A new container has a new name, and nobody comes back for the old one's. A server that load
    balancers ask whether it is well counts that as requests, so an old folder has no server.
    """
    before = time.time() - WEEK
    folders = sorted(_folders().iterdir()) if _folders().is_dir() else []
    others = (path for path in folders if path.is_dir() and path.name != socket.gethostname())
    return [path for path in others if _last_written(path) < before]


def _folders() -> Path:
    """By machine: containers share VAR_DIR, and their processes have the same numbers."""
    return Path(settings.VAR_DIR) / "metrics"


def _last_written(folder: Path) -> float:
    try:
        return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
    except FileNotFoundError:  # taken away meanwhile, or a process that starts: not now
        return time.time()


def request_count(method: str, view: str, status: int, seconds: float) -> None:
    """Count a request of a view; a no-op without metrics."""
    if settings.METRICS_TOKEN:
        requests, durations = _made()
        # Strangers choose the method; each would be a series of its own.
        requests.labels(method if method in METHODS else "other", view, str(status)).inc()
        durations.labels(view).observe(seconds)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The metrics page for a client with the token; for others it does not exist."""
    wanted, sent = settings.METRICS_TOKEN, request.headers.get("Authorization", "")
    if not wanted or not hmac.compare_digest(sent.encode(), f"Bearer {wanted}".encode()):
        raise Http404
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    registry.register(FromDatabase())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class FromDatabase:
    """Collector of metrics from the database: waiting work, workers, age of results."""

    def collect(self) -> "Iterator[GaugeMetricFamily]":
        """The families, each from one or two queries."""
        from prometheus_client.metrics_core import GaugeMetricFamily

        now = timezone.now()
        yield GaugeMetricFamily(
            "ffn_submissions", "Submitted answers that are kept, every revision counted.",
            value=Revision.objects.count(),
        )  # fmt: skip
        waiting = GaugeMetricFamily("ffn_waiting", "Work that nobody has taken.", labels=["queue"])
        for queue, count in _waiting().items():
            waiting.add_metric([queue], count)
        yield waiting
        yield GaugeMetricFamily(
            "ffn_workers_alive", "Workers that gave a sign of life just now.",
            value=workers_alive().count(),
        )  # fmt: skip
        seen = Worker.objects.aggregate(seen=Max("seen_at"))["seen"]
        if seen:
            yield GaugeMetricFamily(
                "ffn_worker_heartbeat_age_seconds", "Since any worker's last sign of life.",
                value=(now - seen).total_seconds(),
            )  # fmt: skip
        ages = GaugeMetricFamily(
            "ffn_snapshot_age_seconds", "Since a study's newest tables were made.", labels=["study"]
        )
        for slug, finished in _snapshots():
            ages.add_metric([slug], (now - finished).total_seconds())
        yield ages


def _waiting() -> dict[str, int]:
    return {
        "extractions": Extraction.objects.filter(state=Extraction.State.QUEUED).count(),
        "measurements": Measurement.objects.filter(state=Measurement.State.QUEUED).count(),
        "traces": Trace.waiting().count(),
        "proxies": ProxyRun.waiting().count(),
        "machine_runs": MachineRun.waiting().count(),
        "layers": ExtractionLayer.objects.filter(
            state=ExtractionLayer.State.WAITING, extraction__state=Extraction.State.LAYERS
        ).count(),
        "snapshots": Snapshot.objects.filter(state=Snapshot.State.DUE).count(),
        "exports": ExportJob.objects.filter(state=ExportJob.State.DUE).count(),
        "data_sets": DataSet.objects.filter(state=DataSet.State.DUE).count(),
        "publications": Publication.objects.filter(state=Publication.State.DUE).count(),
    }


def _snapshots() -> "Iterator[tuple[str, Any]]":
    ready = Snapshot.objects.filter(state=Snapshot.State.READY, finished_at__isnull=False)
    yield from (
        ready.values_list("study__slug").annotate(newest=Max("finished_at")).order_by("study__slug")
    )


def _made() -> tuple[Any, Any]:
    global _counters
    with _making:  # a name can be registered once, and a process has several threads
        if _counters is None:
            from prometheus_client import Counter, Histogram

            _counters = (
                Counter("ffn_requests", "Requests.", ["method", "view", "status"]),
                Histogram("ffn_request_seconds", "How long they took.", ["view"], buckets=BOUNDS),
            )
    return _counters


def _is_alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:  # somebody else's now
        return True
    return True
