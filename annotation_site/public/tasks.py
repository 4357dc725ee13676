"""Celery tasks of public pages."""

from celery import shared_task

from annotation_site.public import writing


@shared_task
def publication_write_due(publication_id: int) -> None:
    """Write the files of a public page; a no-op if they are written or in progress."""
    writing.publication_write(publication_id=publication_id)
