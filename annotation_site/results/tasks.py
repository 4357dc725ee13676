"""Results that a worker computes."""

from annotation_site.annotation.models import Study
from annotation_site.celery import app
from annotation_site.results import services


@app.task
def snapshot_refresh(study_id: int) -> None:
    """Compute the study's newest snapshot; does nothing when it is there or being made."""
    study = Study.objects.filter(pk=study_id).first()
    if study is not None:
        services.snapshot_refresh_rested(study=study)


@app.task
def snapshot_compute_due(snapshot_id: int) -> None:
    """Compute a snapshot that a page asked for; does nothing when it is there or being made."""
    services.snapshot_compute(snapshot_id=snapshot_id)
