"""Files that researchers ask for: a row says what is due, a worker that claims it writes the file.

A message is only a nudge. A worker that dies loses its claim after a while, and another begins the
file anew; the half that was written has another name and is removed.
"""

import hashlib
import logging
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from annotation_site.accounts import audit
from annotation_site.accounts.models import User
from annotation_site.annotation.models import Study
from annotation_site.corpus.loading import ProgressReporter, heartbeat
from annotation_site.errors import DATABASE_AWAY, Invalid, SiteError, storage_sentence
from annotation_site.exports import labels_jsonl, labels_parquet
from annotation_site.results.labels_export import Report, label_records
from annotation_site.results.models import ExportJob
from annotation_site.results.services import data_version
from annotation_site.workers.services import nudge

log = logging.getLogger(__name__)
State = ExportJob.State
MOST_WAITING = 10  # files of a study that are not written yet
BUG = "A bug stopped this export ({name}). The worker's log has the details."


class ClaimLost(Exception):
    """Another worker has the job now, or it is gone."""


@dataclass(frozen=True)
class Content:
    """What can be asked for. `write` fills a file that is open for bytes."""

    title: str
    help: str
    extension: str
    media_type: str
    write: Callable[..., None]


def _labels(writer_of: Callable[[IO[bytes]], Any]) -> Callable[..., None]:
    def write(study: Study, file: IO[bytes], *, with_names: bool, report: Report) -> None:
        writer = writer_of(file)
        for record in label_records(study, with_names=with_names, report=report):
            writer.write(record)
        writer.close()

    return write


def _archive(study: Study, file: IO[bytes], *, with_names: bool, report: Report) -> None:
    from annotation_site.results.archive import archive_write

    archive_write(study, file, with_names=with_names, report=report)


CONTENTS: dict[str, Content] = {
    "jsonl": Content(
        title="Labels, JSON lines",
        help="one answer a line; for scripts, and to read back into a study",
        extension="jsonl",
        media_type="application/x-ndjson",
        write=_labels(labels_jsonl.JsonlWriter),
    ),
    "parquet": Content(
        title="Labels, Parquet",
        help="the same for pandas and datasets",
        extension="parquet",
        media_type="application/vnd.apache.parquet",
        write=_labels(labels_parquet.ParquetWriter),
    ),
    "archive": Content(
        title="Replication archive",
        help="labels, tables, figures, guidelines and parameters; everybody can verify its tables",
        extension="zip",
        media_type="application/zip",
        write=_archive,
    ),
}


@transaction.atomic
def export_request(*, study: Study, content: str, with_names: bool, by: User) -> ExportJob:
    """Ask for a file; a worker writes it.

    Raises Invalid for something that is not offered, and where too many wait already.
    """
    if content not in CONTENTS:
        raise Invalid(f"Exports are {', '.join(CONTENTS)}.")
    Study.objects.select_for_update().get(pk=study.pk)
    if jobs_unfinished().filter(study=study).count() >= MOST_WAITING:
        raise Invalid("Many files of this study wait to be written. Ask again when they are.")
    job = ExportJob.objects.create(
        study=study, content=content, with_names=with_names, requested_by=by
    )
    audit.record("exported", target=study, actor=by, content=content, with_names=with_names)
    job_nudge(job)
    return job


def job_nudge(job: ExportJob) -> None:
    """Ask a worker to write the file, once the transaction has committed."""
    from annotation_site.results.tasks import export_write

    nudge(export_write, job.pk)


def jobs_unfinished() -> QuerySet[ExportJob]:
    """Files that are still to come."""
    return ExportJob.objects.filter(state__in=(State.DUE, State.RUNNING))


def export_run(*, job_id: int) -> None:
    """Write a file that is due; does nothing where another worker has it or it is there."""
    claim = uuid.uuid4()
    taken = ExportJob.objects.filter(pk=job_id, state=State.DUE).update(
        state=State.RUNNING,
        claim=claim,
        attempts=F("attempts") + 1,
        heartbeat_at=timezone.now(),
        done=0,
        total=0,
        error="",
    )
    if not taken:
        return
    job = ExportJob.objects.select_related("study").get(pk=job_id)
    try:
        with heartbeat(lambda: _report(job), stop_at=(ClaimLost,)):
            _write(job)
    except ClaimLost:
        log.info("Export %s was taken over, or is gone", job.public_id)
    except DATABASE_AWAY:  # the row goes stale, and the sweep gives it to a worker again
        log.exception("Export %s waits for the sweep", job.public_id)
    except SiteError as error:
        _fail(job, error.message)
    except Exception as error:
        storage = storage_sentence(error) if isinstance(error, OSError) else None
        _fail(job, storage or BUG.format(name=type(error).__name__))
        raise


def _write(job: ExportJob) -> None:
    """Write the file beside its place, then move it there: a file that can be served is whole."""
    study = Study.objects.get(pk=job.study_id)
    _report(job, data_version=data_version(study.pk), removals=study.removals)
    job.removals = study.removals
    target = file_path(job)
    part = target.with_name(target.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    progress = ProgressReporter(lambda _, done, total: _report(job, done=done, total=total))
    try:
        with open(part, "wb", opener=_private) as file:
            CONTENTS[job.content].write(
                study,
                file,
                with_names=job.with_names,
                report=lambda done, total: progress("", done, total),
            )
            file.flush()
            os.fsync(file.fileno())
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = part.stat().st_size
        os.replace(part, target)
        now = timezone.now()
        _report(
            job,
            state=State.READY,
            size=size,
            sha256=digest,
            finished_at=now,
            expires_at=now + timedelta(days=settings.EXPORT_DAYS),
        )
    except BaseException:
        part.unlink(missing_ok=True)
        target.unlink(missing_ok=True)
        raise


def file_name(job: ExportJob) -> str:
    """What a job's file is called where somebody saves it."""
    what = "archive" if job.content == "archive" else "labels"
    return f"{job.study.slug}-{what}.{CONTENTS[job.content].extension}"


def _report(job: ExportJob, **changes: Any) -> None:
    """Write progress and a sign of life. Raises ClaimLost when the job is no longer ours."""
    held = ExportJob.objects.filter(pk=job.pk, claim=job.claim, state=State.RUNNING)
    if not held.update(heartbeat_at=timezone.now(), **changes):
        raise ClaimLost


def _fail(job: ExportJob, reason: str) -> None:
    held = ExportJob.objects.filter(pk=job.pk, claim=job.claim, state=State.RUNNING)
    held.update(state=State.FAILED, error=reason, finished_at=timezone.now())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def file_path(job: ExportJob) -> Path:
    """Where a claimed job's file is: made of ids, nothing that anybody typed."""
    extension = CONTENTS[job.content].extension
    return Path(settings.EXPORTS_DIR) / f"{job.public_id}-{job.claim}.{extension}"
