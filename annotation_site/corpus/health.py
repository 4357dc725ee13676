"""Workers' state: which are alive, their work, and the waiting work."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from annotation_site.corpus.models import Extraction, ExtractionLayer
from annotation_site.corpus.selectors import STEP_TITLES
from annotation_site.workers.models import Worker
from annotation_site.workers.selectors import ALIVE_FOR

BEGIN = gettext_noop("Begin")
State = Extraction.State


@dataclass(frozen=True)
class WorkerHealth:
    """One worker. `doing` is its extraction, `what` the step or layer; memory is in bytes."""

    name: str
    host: str
    process: str
    extracts: bool
    is_alive: bool
    started_at: datetime
    seen_at: datetime
    doing: Extraction | None = None
    what: str = ""
    since: datetime | None = None
    memory: int | None = None  # of all its processes
    free_memory: int | None = None  # of its machine
    version: str = ""


@dataclass(frozen=True)
class Health:
    """All workers and the waiting work: enqueued extractions, and layers of those in progress."""

    workers: list[WorkerHealth]
    extractions_waiting: int
    layers_waiting: int

    @property
    def extracting(self) -> int:
        """Number of live workers that take extractions."""
        return sum(worker.is_alive and worker.extracts for worker in self.workers)

    @property
    def shown(self) -> list[tuple[object, ...]]:
        """The content that a page shows, to tell whether it changed."""
        return [
            (w.host, w.process, w.is_alive, w.doing.pk if w.doing else 0, w.what)
            for w in self.workers
        ] + [(self.extractions_waiting, self.layers_waiting)]


def health() -> Health:
    """Query today's workers and the waiting work."""
    workers = list(Worker.objects.order_by("name"))
    names = [worker.name for worker in workers]
    whole = Extraction.objects.filter(worker__in=names, state__in=(State.RUNNING, State.LOADING))
    layers = (
        ExtractionLayer.objects.filter(worker__in=names, state=ExtractionLayer.State.RUNNING)
        .select_related("extraction")
        .defer("extraction__manifest", "extraction__plan")
    )
    waiting_layers = ExtractionLayer.objects.filter(
        state=ExtractionLayer.State.WAITING, extraction__state=State.LAYERS
    )
    at_work = {**_of_extractions(whole.defer("manifest", "plan")), **_of_layers(layers)}
    alive_since = timezone.now() - ALIVE_FOR
    return Health(
        workers=[_health_of(worker, alive_since, at_work) for worker in workers],
        extractions_waiting=Extraction.objects.filter(state=State.QUEUED).count(),
        layers_waiting=waiting_layers.count(),
    )


AtWork = dict[str, tuple[Extraction, str, datetime | None]]


def _of_extractions(extractions: Iterable[Extraction]) -> AtWork:
    return {
        e.worker: (e, gettext(STEP_TITLES.get(e.step, BEGIN)), e.started_at) for e in extractions
    }


def _of_layers(layers: Iterable[ExtractionLayer]) -> AtWork:
    return {
        x.worker: (x.extraction, gettext("Layer %(n)s") % {"n": x.layer}, x.started_at)
        for x in layers
    }


def _health_of(worker: Worker, alive_since: datetime, at_work: AtWork) -> WorkerHealth:
    host, _, process = worker.name.rpartition(":")[0].rpartition(":")
    doing, what, since = at_work.get(worker.name, (None, "", None))
    return WorkerHealth(
        name=worker.name,
        host=host or worker.name,
        process=process,
        extracts=worker.extracts,
        is_alive=worker.seen_at >= alive_since,
        started_at=worker.started_at,
        seen_at=worker.seen_at,
        doing=doing,
        what=what,
        since=since,
        memory=worker.memory_bytes,
        free_memory=worker.free_memory_bytes,
        version=worker.version,
    )
