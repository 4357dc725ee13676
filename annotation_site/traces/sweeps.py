"""Sweep of traces: release the claims of dead workers, and delete what is kept no longer."""

from collections.abc import Iterator

from django.utils import timezone

from annotation_site.traces.models import Trace
from annotation_site.traces.services import trace_fail, traces_remove
from annotation_site.workers.claims import give_back

State = Trace.State


def traces_sweep() -> None:
    """Release traces of dead workers, and delete expired ones; safe in many workers at once."""
    running = Trace.objects.filter(state=State.RUNNING)
    _exhaust(give_back(running, fail=trace_fail, state=State.QUEUED, step=""))
    traces_remove(Trace.objects.filter(expires_at__lte=timezone.now()))


def _exhaust(rows: Iterator[Trace]) -> None:
    for _ in rows:
        pass
