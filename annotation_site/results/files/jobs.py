"""Export jobs: requested files, each a row that a worker claims.

A worker that dies loses its claim after a while, and another begins the file again; the half that
was written has another name and is removed.
"""

import hashlib
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy, gettext_noop
from django.utils.translation import gettext_lazy as _

from annotation_site.accounts import audit
from annotation_site.accounts.bounds import require_room
from annotation_site.accounts.models import User
from annotation_site.annotation.models import Membership, Study
from annotation_site.errors import Invalid
from annotation_site.exports import labels_jsonl, labels_parquet
from annotation_site.notices.services import notice_send
from annotation_site.results.figures.files import stray_figures
from annotation_site.results.files.labels_export import Report, annotation_records
from annotation_site.results.models import ExportJob
from annotation_site.results.snapshots.versions import data_version
from annotation_site.sentences import Sentence
from annotation_site.workers.claims import (
    Failure,
    ProgressReporter,
    claim,
    fail,
    give_back,
    report,
    wake,
    working,
)
from annotation_site.workers.queues import RESULTS_QUEUE
from ffn_extract.atomic_file import atomic_file

log = logging.getLogger(__name__)
State = ExportJob.State
# As `CONTENTS` has them, for sentences that are kept.
WORDS = {
    "jsonl": gettext_noop("Labels as JSON Lines"),
    "parquet": gettext_noop("Labels as Parquet"),
    "archive": gettext_noop("Replication archive"),
}
WRITTEN = gettext_noop("%(file)s of “%(study)s” can be downloaded.")
NOT_WRITTEN = gettext_noop("%(file)s of “%(study)s” could not be written.")
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
        title=gettext_lazy(WORDS["jsonl"]),
        help=_("one annotation per line, for scripts and to load into a study again"),
        extension="jsonl",
        media_type="application/x-ndjson",
        write=_labels(labels_jsonl.JsonlWriter),
    ),
    "parquet": Content(
        title=gettext_lazy(WORDS["parquet"]),
        help=_("the same, for pandas and datasets"),
        extension="parquet",
        media_type="application/vnd.apache.parquet",
        write=_labels(labels_parquet.ParquetWriter),
    ),
    "archive": Content(
        title=gettext_lazy(WORDS["archive"]),
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
        with working(job, fail=_fail):
            _write(job)


def _fail(job: ExportJob, reason: Failure) -> None:
    """End the job with a sentence and tell who asked for it, unless the claim is lost."""
    with transaction.atomic():
        is_ours = job.held().select_for_update().exists()
        fail(job, reason)
        if is_ours:
            _tell(job, NOT_WRITTEN, "failed")


def _tell(job: ExportJob, message: str, outcome: str) -> None:
    """Tell the person who asked for a file what became of it, once for each try."""
    notice_send(
        kind="file_written",
        event=f"export {job.pk} {outcome} {job.claim}",
        people=[job.requested_by_id] if job.requested_by_id else [],
        text=Sentence(
            message,
            file=Sentence(WORDS.get(job.content, job.content)),
            study=job.study.title,
        ),
        path=reverse("results:exports", args=[job.study.slug]),
        study=job.study,
    )


def _write(job: ExportJob) -> None:
    """Write the job's file; a failed job has none."""
    study = Study.objects.get(pk=job.study_id)
    report(job, data_version=data_version(study.pk), removals=study.removals)
    job.removals = study.removals
    target = file_path(job)
    target.parent.mkdir(parents=True, exist_ok=True)
    progress = ProgressReporter(lambda _step, done, total: report(job, done=done, total=total))
    try:
        with atomic_file(target, mode=0o600) as file:
            CONTENTS[job.content].write(
                study,
                file,
                with_names=job.with_names,
                report=lambda done, total: progress("", done, total),
            )
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        now = timezone.now()
        with transaction.atomic():
            report(
                job,
                state=State.READY,
                size=size,
                sha256=digest,
                finished_at=now,
                expires_at=now + timedelta(days=settings.EXPORT_DAYS),
            )
            _tell(job, WRITTEN, "written")
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def file_path(job: ExportJob) -> Path:
    """The path of a claimed job's file, made of ids only."""
    extension = CONTENTS[job.content].extension
    return Path(settings.EXPORTS_DIR) / f"{job.public_id}-{job.claim}.{extension}"


def exports_sweep() -> None:
    """Release export jobs of dead workers, remove expired files."""
    running = ExportJob.objects.filter(state=State.RUNNING)
    for job in give_back(running, fail=_fail, state=State.DUE):
        log.warning("Export %s waits again: its worker sends no heartbeat", job.public_id)
    exports_expire()


def exports_expire() -> int:
    """Remove expired files, and files with removed annotations or names.

    Files that belong to no job go too, and figures that belong to no snapshot. Returns how many
    jobs lost their file.
    """
    expired = 0
    for job in exports_over():
        expired += ExportJob.objects.filter(pk=job.pk, state=State.READY).update(
            state=State.EXPIRED
        )
    for path in stray_files():
        path.unlink(missing_ok=True)
    for path in stray_figures():
        shutil.rmtree(path, ignore_errors=True)
    return expired


def exports_over() -> QuerySet[ExportJob]:
    """Jobs whose file must not be downloaded any more."""
    # Erasing a person removes no answers where the study keeps them, so `removals` does not tell.
    named = Membership.objects.filter(
        study=OuterRef("study"), user__erased_at__gte=OuterRef("requested_at")
    )
    return ExportJob.objects.filter(
        Q(expires_at__lte=timezone.now())
        | ~Q(removals=F("study__removals"))
        | Q(Exists(named), with_names=True),
        state=State.READY,
    )


def stray_files() -> list[Path]:
    """Files in the folder of exports that belong to no job."""
    folder = Path(settings.EXPORTS_DIR)
    if not folder.is_dir():
        return []
    # Before the rows: a file that comes later has its row.
    found = sorted(path for path in folder.iterdir() if not path.is_dir())
    kept = {
        file_path(job).stem
        for job in ExportJob.objects.filter(state__in=(State.READY, State.RUNNING))
        if job.content in CONTENTS
    }
    return [path for path in found if path.name.partition(".")[0] not in kept]
