"""Celery tasks of results."""

from celery import shared_task

from annotation_site.results.files import deletion, jobs
from annotation_site.results.snapshots import services


@shared_task
def snapshot_compute_due(snapshot_id: int) -> None:
    """Compute a due snapshot; a no-op if it is ready or in progress."""
    services.snapshot_compute(snapshot_id=snapshot_id)


@shared_task
def snapshot_draw(snapshot_id: int, for_print: bool) -> None:
    """Draw the figures of a snapshot, for the page or for print, unless somebody does so."""
    services.figures_draw(snapshot_id=snapshot_id, for_print=for_print)


@shared_task
def export_write(job_id: int) -> None:
    """Write a requested file; a no-op if it exists or is in progress."""
    jobs.export_run(job_id=job_id)


@shared_task
def study_delete_due(deletion_id: int) -> None:
    """Delete a study that somebody asked to delete; a no-op if it is gone or in progress."""
    deletion.study_delete_run(deletion_id=deletion_id)
