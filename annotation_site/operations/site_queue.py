"""Rows of the work in the background, and of its workers, on the page of the whole site."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext

from annotation_site.corpus.health import Health, WorkerHealth
from annotation_site.corpus.models import Extraction
from annotation_site.corpus.selectors import STEP_TITLES
from annotation_site.corpus.time_left import TimeLeft
from annotation_site.data_sets.models import DataSet
from annotation_site.machine_annotators.models import MachineRun
from annotation_site.measurements.models import Measurement
from annotation_site.proxies.models import ProxyRun
from annotation_site.public.models import Publication
from annotation_site.results.files.jobs import CONTENTS
from annotation_site.results.models import ExportJob, Snapshot, StudyDeletion
from annotation_site.traces.models import Trace
from annotation_site.workers.claims import ClaimedWork
from annotation_site.workers.identity import worker_label


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


def queue_rows(left: Sequence[TimeLeft], results: Sequence[ClaimedWork]) -> list[Queued]:
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
    if isinstance(row, ExportJob | ProxyRun | MachineRun | DataSet):
        done, total = row.done, row.total
    return Queued(
        title=title_of(row),
        state=str(row.get_state_display()),
        at_work=at_work,
        since=row.created_at if isinstance(row, Measurement | Trace) else row.requested_at,
        worker=worker_label(row.worker) if at_work else "",
        address=address_of(row),
        percent=min(99, 100 * done // total) if at_work and done is not None and total else 0,
    )


def title_of(row: Any) -> str:
    if isinstance(row, Measurement):
        return gettext("Measurement “%(title)s”") % {"title": row.title}
    if isinstance(row, Trace):
        return gettext("Trace with %(model)s") % {"model": row.model}
    if isinstance(row, ProxyRun):
        return gettext("Proxy “%(proxy)s” of %(model)s") % {
            "proxy": row.proxy, "model": row.extraction.model,
        }  # fmt: skip
    study = {"study": str(row.study)}
    if isinstance(row, MachineRun):
        return gettext("Annotation of “%(study)s” by %(model)s") % {"model": row.model, **study}
    if isinstance(row, Snapshot):
        return gettext("Results of “%(study)s”") % study
    if isinstance(row, StudyDeletion):
        return gettext("Deletion of “%(study)s”") % study
    if isinstance(row, Publication):
        return gettext("Public page of “%(study)s”") % study
    if isinstance(row, DataSet):
        return gettext("Data set of “%(study)s”") % study
    content = CONTENTS.get(row.content)
    return gettext("%(file)s of “%(study)s”") % {
        "file": content.title if content else row.content, **study,
    }  # fmt: skip


def address_of(row: Any) -> str:
    if isinstance(row, Measurement):
        return reverse("measurements:measurement", args=[row.public_id])
    if isinstance(row, Trace):
        return reverse("traces:trace", args=[row.public_id])
    if isinstance(row, ProxyRun):  # several studies may use it
        return reverse("corpus:extraction", args=[row.extraction.public_id])
    if isinstance(row, MachineRun):
        return reverse("machine_annotators:listed", args=[row.study.slug])
    if isinstance(row, StudyDeletion):
        return ""  # nobody can see the study any more
    if isinstance(row, Publication):
        return reverse("public:publish", args=[row.study.slug])
    if isinstance(row, DataSet):
        return reverse("data_sets:data_set", args=[row.study.slug])
    name = "results:results" if isinstance(row, Snapshot) else "results:exports"
    return reverse(name, args=[row.study.slug])


def moves(found: Health, queue: Sequence[Queued]) -> bool:
    """Whether a worker is there for what waits."""
    alive = sum(worker.is_alive for worker in found.workers)
    needs_extracting = any(q.starts_in is None and q.seconds is not None for q in queue)
    return bool(alive) and not needs_extracting


def worker_rows(found: Health, results: Sequence[Any]) -> list[WorkerRow]:
    doing: dict[str, list[str]] = {}
    for row in results:
        if row.state == "running":
            doing.setdefault(row.worker, []).append(title_of(row))
    return [
        WorkerRow(
            one,
            "; ".join(
                [*([f"{one.doing}: {one.what}"] if one.doing else []), *doing.get(one.name, [])]
            ),
        )
        for one in found.workers
    ]
