"""Services of data sets: whether a study may have one, request, cancel, write, sweep."""

import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from annotation_site.accounts import audit
from annotation_site.accounts.bounds import require_room
from annotation_site.accounts.models import User
from annotation_site.annotation.allocation.slots import study_locked
from annotation_site.annotation.models import Study
from annotation_site.data_sets.models import DataSet
from annotation_site.data_sets.options import Options, options_check
from annotation_site.errors import Invalid
from annotation_site.notices.services import notice_send
from annotation_site.public.services import KEPT, has_annotations
from annotation_site.public.standing import against_words
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
State = DataSet.State
UNFINISHED = (State.DUE, State.RUNNING)
MOST_WAITING = 3  # data sets of a study that are not written yet
MOST_A_DAY = 30  # that one person asks for: each is kept for EXPORT_DAYS
WRITTEN = gettext_noop("The data set of “%(study)s” can be downloaded.")
NOT_WRITTEN = gettext_noop("The data set of “%(study)s” could not be written.")


def problem_of(study: Study, *, reader: User | None) -> str:
    """Why no data set of the study can be written now; empty where it can.

    Studies that the reader does not run are named by their number alone; None reads all titles.
    """
    if not study.may_share:
        return _(
            "People did not agree to a data set: the option “Individual annotations may be shared "
            "as a data set” is off in this study’s rules. Duplicate the study to ask for it."
        )
    if study.state not in KEPT:
        return _("This study is not closed. Close it, then write its data set.")
    if not has_annotations(study):
        return _("This study has no annotations that count, so there is no data set to write.")
    # All lists are in a data set, those of training and reference too.
    return against_words(study, reader=reader, own_lists=False)


def require_shareable(study: Study, *, reader: User | None) -> None:
    """Raises Invalid where no data set of the study can be written now."""
    if problem := problem_of(study, reader=reader):
        raise Invalid(problem)


@transaction.atomic
def data_set_request(
    *,
    study: Study,
    by: User,
    licence: str,
    with_times: bool = False,
    with_comments: bool = False,
    title: str = "",
    authors: Sequence[str] = (),
) -> DataSet:
    """Request a data set; a worker writes it.

    Raises Invalid for a study that may not have one now, for choices that are not offered, where
    too many wait already, and beyond MOST_A_DAY of one person.
    """
    options_check(licence=licence, authors=authors, title=title)
    study = study_locked(study.pk)
    require_shareable(study, reader=by)
    if DataSet.objects.filter(study=study, state__in=UNFINISHED).count() >= MOST_WAITING:
        raise Invalid(
            _("Too many data sets of this study are waiting to be written. Ask again later.")
        )
    require_room(
        DataSet.objects.filter(requested_by=by),
        most=MOST_A_DAY,
        at="requested_at",
        sentence=_(
            "You asked for %(most)s data sets today, which is the limit for one day. You can "
            "download earlier ones again."
        )
        % {"most": MOST_A_DAY},
    )
    row = DataSet.objects.create(
        study=study,
        licence=licence,
        with_times=with_times,
        with_comments=with_comments,
        title=title.strip(),
        authors=[author.strip() for author in authors],
        day=timezone.localdate(),
        requested_by=by,
    )
    record(study, options_of(row), by=by)
    wake(RESULTS_QUEUE)
    return row


def record(study: Study, options: Options, *, by: User | None) -> None:
    """Log that a data set of a study was asked for, with its choices."""
    audit.record(
        "data_set_written",
        target=study,
        actor=by,
        licence=options.licence,
        with_times=options.with_times,
        with_comments=options.with_comments,
    )


@transaction.atomic
def data_set_cancel(*, data_set: DataSet, by: User) -> DataSet:
    """Cancel a data set that is not written; a no-op for one that is finished.

    A worker that writes it notices at its next report, and leaves no file.
    """
    row = DataSet.objects.select_for_update().get(pk=data_set.pk)
    if not row.is_unfinished:
        return row
    row.state, row.claim, row.finished_at = State.CANCELLED, None, timezone.now()
    row.save(update_fields=["state", "claim", "finished_at"])
    audit.record("data_set_cancelled", target=row.study, actor=by)
    return row


def options_of(row: DataSet) -> Options:
    """The choices of a requested data set."""
    return Options(
        licence=row.licence,
        day=row.day,
        with_times=row.with_times,
        with_comments=row.with_comments,
        authors=tuple(row.authors),
        title=row.title,
    )


def data_set_run(*, data_set_id: int) -> None:
    """Write a due data set; a no-op if another worker has it or it exists."""
    row = claim(DataSet.waiting(), data_set_id, state=State.RUNNING, done=0, total=0, error="")
    if row is not None:
        with working(row, fail=_fail):
            _write(row)


def _fail(row: DataSet, reason: Failure) -> None:
    """End the work with a sentence and tell who asked for it, unless the claim is lost."""
    with transaction.atomic():
        is_ours = row.held().select_for_update().exists()
        fail(row, reason)
        if is_ours:
            _tell(row, NOT_WRITTEN, "failed")


def _tell(row: DataSet, message: str, outcome: str) -> None:
    notice_send(
        kind="file_written",
        event=f"data set {row.pk} {outcome} {row.claim}",
        people=[row.requested_by_id] if row.requested_by_id else [],
        text=Sentence(message, study=row.study.title),
        path=reverse("data_sets:data_set", args=[row.study.slug]),
        study=row.study,
    )


def _write(row: DataSet) -> None:
    """Write the folder, then its zip file; a failed or cancelled one has neither."""
    from annotation_site.data_sets.writing import data_set_write, folder_zip

    study = Study.objects.get(pk=row.study_id)
    require_shareable(study, reader=row.requested_by)
    report(row, data_version=data_version(study.pk), removals=study.removals)
    target = file_path(row)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    progress = ProgressReporter(lambda _step, done, total: report(row, done=done, total=total))
    try:
        with tempfile.TemporaryDirectory(prefix=target.stem, dir=target.parent) as folder:
            data_set_write(
                Path(folder),
                study,
                options_of(row),
                report=lambda done, total: progress("", done, total),
            )
            with atomic_file(target, mode=0o600) as file:
                folder_zip(Path(folder), file)
                size = file.seek(0, os.SEEK_END)
                file.seek(0)
                digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        now = timezone.now()
        with transaction.atomic():
            report(
                row,
                state=State.READY,
                size=size,
                sha256=digest,
                finished_at=now,
                expires_at=now + timedelta(days=settings.EXPORT_DAYS),
            )
            _tell(row, WRITTEN, "written")
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def files_folder() -> Path:
    """The folder of data sets, within that of exports."""
    return Path(settings.EXPORTS_DIR) / "data-sets"


def file_path(row: DataSet) -> Path:
    """The path of a claimed data set's file, made of ids only."""
    return files_folder() / f"{row.public_id}-{row.claim}.zip"


def data_sets_sweep() -> None:
    """Release data sets of dead workers, remove expired files."""
    running = DataSet.objects.filter(state=State.RUNNING)
    for row in give_back(running, fail=_fail, state=State.DUE):
        log.warning("Data set %s waits again: its worker sends no heartbeat", row.public_id)
    data_sets_expire()


def data_sets_expire() -> int:
    """Remove expired files, files with removed annotations, and what belongs to no row.

    Returns how many rows lost their file.
    """
    expired = 0
    for row in data_sets_over():
        expired += DataSet.objects.filter(pk=row.pk, state=State.READY).update(state=State.EXPIRED)
    for path in stray_files():
        remove(path)
    return expired


def data_sets_over() -> QuerySet[DataSet]:
    """Data sets whose file must not be downloaded any more."""
    return DataSet.objects.filter(
        Q(expires_at__lte=timezone.now())
        | ~Q(removals=F("study__removals"))
        | Q(study__may_share=False),
        state=State.READY,
    )


def stray_files() -> list[Path]:
    """Files and half-written folders that belong to no data set."""
    folder = files_folder()
    if not folder.is_dir():
        return []
    found = sorted(folder.iterdir())  # before the rows: a file that comes later has its row
    rows = DataSet.objects.filter(state__in=(State.READY, State.RUNNING))
    kept = [file_path(row).stem for row in rows]
    return [path for path in found if not path.name.startswith(tuple(kept))]


def remove(path: Path) -> None:
    """Remove a file, or a folder with what is in it."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
