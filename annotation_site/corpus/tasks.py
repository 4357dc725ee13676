"""Celery tasks of the corpus."""

from celery import shared_task

from annotation_site.corpus import extraction_runs


# Acknowledged late, so that a busy worker fetches no message that an idle one could take.
@shared_task(acks_late=True)
def extraction_work(extraction_id: int) -> None:
    """Do the next piece of an extraction: all of it, or one layer; a no-op if others have it."""
    extraction_runs.extraction_work(extraction_id=extraction_id)
