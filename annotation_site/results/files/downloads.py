"""Downloads of a study: tables, adjudicated annotations, and files of export jobs.

The log records each download.
"""

import logging
from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext

from annotation_site.accounts import audit
from annotation_site.accounts.models import User
from annotation_site.annotation.models import Study
from annotation_site.downloads import Download, require_format, table_as_file
from annotation_site.errors import NotFound
from annotation_site.results.files.adjudicated_export import ADJUDICATED_FORMATS
from annotation_site.results.files.jobs import CONTENTS, exports_over, file_path
from annotation_site.results.models import ExportJob, Snapshot
from annotation_site.results.snapshots.selectors import table_of

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


def table_download(*, study: Study, snapshot: Snapshot, table: str, extension: str) -> Download:
    """A table of a snapshot. Raises NotFound for another table or format."""
    if table not in snapshot.tables:
        raise NotFound(
            gettext("There is no such table. Choose one of these: %(tables)s.")
            % {"tables": ", ".join(snapshot.tables)}
        )
    download = table_as_file(
        table_of(snapshot, table), name=f"{study.slug}-{table}", extension=extension
    )
    audit.record("exported", target=study, table=table, format=extension)
    return download


def adjudicated_download(*, study: Study, extension: str) -> Download:
    """A study's adjudicated annotations. Raises NotFound for another format."""
    require_format(ADJUDICATED_FORMATS, extension)
    export = ADJUDICATED_FORMATS[extension]
    audit.record("exported", target=study, table="adjudicated", format=extension)
    name = f"{study.slug}-adjudicated.{extension}"
    return Download(name, export.media_type, export.write(study))


def export_download(*, job: ExportJob, by: User) -> Download:
    """The file of a job, for a person who may read the study.

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
            return Download(_name(job), CONTENTS[job.content].media_type, file)
    raise NotFound(gettext("This file is no longer kept, or not written yet. Ask for a new one."))


def _name(job: ExportJob) -> str:
    what = "archive" if job.content == "archive" else "labels"
    return f"{job.study.slug}-{what}.{CONTENTS[job.content].extension}"
