"""Celery tasks of data sets."""

from celery import shared_task

from annotation_site.data_sets import services


@shared_task
def data_set_write_due(data_set_id: int) -> None:
    """Write a requested data set; a no-op if it exists or is in progress."""
    services.data_set_run(data_set_id=data_set_id)
