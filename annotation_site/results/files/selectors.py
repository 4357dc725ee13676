"""Queries of requested files."""

from dataclasses import dataclass

from annotation_site.annotation.models import Study
from annotation_site.results.files.jobs import CONTENTS
from annotation_site.results.models import ExportJob

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
            title=CONTENTS[job.content].title if job.content in CONTENTS else job.content,
            badge=BADGES.get(job.state, ""),
        )
        for job in jobs
    ]
