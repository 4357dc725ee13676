"""Results that a worker computes."""

from celery import shared_task

from annotation_site.results.files import jobs
from annotation_site.results.snapshots import services


@shared_task
def snapshot_compute_due(snapshot_id: int) -> None:
    """Compute a snapshot that is due; does nothing when it is there or being made."""
    if services.snapshot_compute(snapshot_id=snapshot_id):
        services.figures_print(snapshot_id=snapshot_id)


@shared_task
def snapshot_print(snapshot_id: int) -> None:
    """Draw the figures of a snapshot for print; does nothing when they are there."""
    services.figures_print(snapshot_id=snapshot_id)


@shared_task
def export_write(job_id: int) -> None:
    """Write a file that was asked for; does nothing when it is there or being written."""
    jobs.export_run(job_id=job_id)
