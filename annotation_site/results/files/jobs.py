"""Export jobs: requested files, each a row that a worker claims.

A worker that dies loses its claim after a while, and another begins the file again; the half that
was written has another name and is removed.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation_site.accounts import audit
from annotation_site.accounts.bounds import require_room
from annotation_site.accounts.models import User
from annotation_site.annotation.models import Study
from annotation_site.errors import Invalid
from annotation_site.exports import labels_jsonl, labels_parquet
from annotation_site.results.files.labels_export import Report, annotation_records
from annotation_site.results.models import ExportJob
from annotation_site.results.snapshots.versions import data_version
from annotation_site.workers.claims import ProgressReporter, claim, report, wake, working
from annotation_site.workers.queues import RESULTS_QUEUE

State = ExportJob.State
MOST_WAITING = 10  # files of a study that are not written yet
MOST_A_DAY = 100  # files that one person asks for: each is kept for EXPORT_DAYS


@dataclass(frozen=True)
class Content:
    """A kind of file to request. `write` fills a file that is open for bytes."""

    title: str | Promise
    help: str | Promise
    extension: str
    media_type: str
    write: Callable[..., None]


def _labels(writer_of: Callable[[IO[bytes]], Any]) -> Callable[..., None]:
    def write(study: Study, file: IO[bytes], *, with_names: bool, report: Report) -> None:
        writer = writer_of(file)
        for record in annotation_records(study, with_names=with_names, report=report):
            writer.write(record)
        writer.close()

    return write


def _archive(study: Study, file: IO[bytes], *, with_names: bool, report: Report) -> None:
    from annotation_site.results.files.archive import archive_write

    archive_write(study, file, with_names=with_names, report=report)


CONTENTS: dict[str, Content] = {
    "jsonl": Content(
        title=_("Labels as JSON Lines"),
        help=_("one annotation per line, for scripts and to load into a study again"),
        extension="jsonl",
        media_type="application/x-ndjson",
        write=_labels(labels_jsonl.JsonlWriter),
    ),
    "parquet": Content(
        title=_("Labels as Parquet"),
        help=_("the same, for pandas and datasets"),
        extension="parquet",
        media_type="application/vnd.apache.parquet",
        write=_labels(labels_parquet.ParquetWriter),
    ),
    "archive": Content(
        title=_("Replication archive"),
        help=_("labels, tables, figures, guidelines and parameters; anyone can verify its tables"),
        extension="zip",
        media_type="application/zip",
        write=_archive,
    ),
}


@transaction.atomic
def export_request(*, study: Study, content: str, with_names: bool, by: User) -> ExportJob:
    """Request a file; a worker writes it.

    Raises Invalid for something that is not offered, where too many wait already, and beyond
    MOST_A_DAY of one person.
    """
    if content not in CONTENTS:
        raise Invalid(
            gettext("There is no such export. Choose one of these: %(contents)s.")
            % {"contents": ", ".join(CONTENTS)}
        )
    Study.objects.select_for_update().get(pk=study.pk)
    if jobs_unfinished().filter(study=study).count() >= MOST_WAITING:
        raise Invalid(
            gettext("Too many files of this study are waiting to be written. Ask again later.")
        )
    require_room(
        ExportJob.objects.filter(requested_by=by),
        most=MOST_A_DAY,
        at="requested_at",
        sentence=gettext(
            "You asked for %(most)s files today, which is the limit for one day. You can download "
            "earlier files again."
        )
        % {"most": MOST_A_DAY},
    )
    job = ExportJob.objects.create(
        study=study, content=content, with_names=with_names, requested_by=by
    )
    audit.record("exported", target=study, actor=by, content=content, with_names=with_names)
    wake(RESULTS_QUEUE)
    return job


def jobs_unfinished() -> QuerySet[ExportJob]:
    """Export jobs that are not finished."""
    return ExportJob.objects.filter(state__in=(State.DUE, State.RUNNING))


def export_run(*, job_id: int) -> None:
    """Write a due file; a no-op if another worker has it or it exists."""
    job = claim(ExportJob.waiting(), job_id, state=State.RUNNING, done=0, total=0, error="")
    if job is not None:
        with working(job):
            _write(job)


def _write(job: ExportJob) -> None:
    """Write the file beside its place, then move it there: a file that can be served is whole."""
    study = Study.objects.get(pk=job.study_id)
    report(job, data_version=data_version(study.pk), removals=study.removals)
    job.removals = study.removals
    target = file_path(job)
    part = target.with_name(target.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    progress = ProgressReporter(lambda _step, done, total: report(job, done=done, total=total))
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
        report(
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
    """The name under which people save a job's file."""
    what = "archive" if job.content == "archive" else "labels"
    return f"{job.study.slug}-{what}.{CONTENTS[job.content].extension}"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def file_path(job: ExportJob) -> Path:
    """The path of a claimed job's file, made of ids only."""
    extension = CONTENTS[job.content].extension
    return Path(settings.EXPORTS_DIR) / f"{job.public_id}-{job.claim}.{extension}"
