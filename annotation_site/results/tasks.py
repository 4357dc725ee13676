"""Results that a worker computes."""

from annotation_site.annotation.models import Study
from annotation_site.celery import app
from annotation_site.results import jobs, services


@app.task
def snapshot_refresh(study_id: int) -> None:
    """Compute the study's newest snapshot; does nothing when it is there or being made."""
    study = Study.objects.filter(pk=study_id).first()
    if study is not None:
        services.snapshot_refresh_now(study=study)


@app.task
def export_write(job_id: int) -> None:
    """Write a file that was asked for; does nothing when it is there or being written."""
    jobs.export_run(job_id=job_id)
