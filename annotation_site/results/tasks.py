"""Results that a worker computes."""

from annotation_site.annotation.models import Study
from annotation_site.celery import app
from annotation_site.results import jobs, services


@app.task
def snapshot_refresh(study_id: int) -> None:
    """Compute the study's newest snapshot; does nothing when it is there or being made."""
    study = Study.objects.filter(pk=study_id).first()
    if study is not None:
        snapshot = services.snapshot_refresh_rested(study=study)
        if snapshot is not None:
            services.figures_print(snapshot_id=snapshot.pk)


@app.task
def snapshot_compute_due(snapshot_id: int) -> None:
    """Compute a snapshot that a page asked for; does nothing when it is there or being made."""
    if services.snapshot_compute(snapshot_id=snapshot_id):
        services.figures_print(snapshot_id=snapshot_id)


@app.task
def snapshot_print(snapshot_id: int) -> None:
    """Draw the figures of a snapshot for print; does nothing when they are there."""
    services.figures_print(snapshot_id=snapshot_id)


@app.task
def export_write(job_id: int) -> None:
    """Write a file that was asked for; does nothing when it is there or being written."""
    jobs.export_run(job_id=job_id)
