"""Celery tasks of measurements."""

from celery import shared_task

from annotation_site.measurements import runs


# Acknowledged late, so that a busy worker fetches no message that an idle one could take.
@shared_task(acks_late=True)
def measurement_work(measurement_id: int) -> None:
    """Do a measurement, and those of its model that are next in turn; a no-op if others have it."""
    runs.measurement_work(measurement_id=measurement_id)
