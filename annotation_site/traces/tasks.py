"""Celery tasks of traces."""

from celery import shared_task

from annotation_site.traces import runs


# Acknowledged late, so that a busy worker fetches no message that an idle one could take.
@shared_task(acks_late=True)
def trace_work(trace_id: int) -> None:
    """Do a trace, and those that are next in turn; a no-op if others have it."""
    runs.trace_work(trace_id=trace_id)
