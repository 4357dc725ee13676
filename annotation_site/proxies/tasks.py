"""Celery tasks of proxies."""

from celery import shared_task

from annotation_site.proxies import runs


# Acknowledged late, so that a busy worker fetches no message that an idle one could take.
@shared_task(acks_late=True)
def proxy_work(run_id: int) -> None:
    """Compute a proxy; a no-op if it is ready or in progress."""
    runs.proxy_work(run_id=run_id)
