"""Files of export jobs: open, expire, sweep."""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from django.conf import settings
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext

from annotation_site.accounts import audit
from annotation_site.accounts.models import User
from annotation_site.annotation.models import Membership, Study
from annotation_site.errors import NotFound
from annotation_site.results.figures.files import stray_figures
from annotation_site.results.files.jobs import CONTENTS, file_path
from annotation_site.results.models import ExportJob
from annotation_site.workers.claims import give_back

log = logging.getLogger(__name__)
State = ExportJob.State
SHOWN = 50
BADGES = {"due": "", "running": "badge-running", "ready": "badge-done", "failed": "badge-failed"}


@dataclass(frozen=True)
class ExportLine:
    """A file as the page shows it."""

    job: ExportJob
    title: str
    badge: str


def export_lines(study: Study) -> list[ExportLine]:
    """The newest files of a study, also those that have been removed since."""
    jobs = ExportJob.objects.filter(study=study).select_related("requested_by")[:SHOWN]
    return [
        ExportLine(
            job=job,
            title=str(CONTENTS[job.content].title if job.content in CONTENTS else job.content),
            badge=BADGES.get(job.state, ""),
        )
        for job in jobs
    ]


def export_open(*, job: ExportJob, by: User) -> IO[bytes]:
    """The file of a job, for a person who may read the study; the log records the download.

    Raises NotFound where it is not written, has been removed, or holds answers or a name that were
    removed.
    """
    if job.state == State.READY and not exports_over().filter(pk=job.pk).exists():
        try:
            file = file_path(job).open("rb")
        except FileNotFoundError:
            log.error("The file of export %s is gone from %s", job.public_id, settings.EXPORTS_DIR)
        else:
            audit.record(
                "exported",
                target=job.study,
                actor=by,
                content=job.content,
                with_names=job.with_names,
                downloaded=True,
            )
            return file
    raise NotFound(gettext("This file is no longer kept, or not written yet. Ask for a new one."))


def exports_sweep() -> None:
    """Release export jobs of dead workers, remove expired files."""
    for job in give_back(ExportJob.objects.filter(state=State.RUNNING), state=State.DUE):
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
