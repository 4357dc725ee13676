"""Celery tasks of language models as annotators."""

from celery import shared_task

from annotation_site.machine_annotators import runs


# Acknowledged late, so that a busy worker fetches no message that an idle one could take.
@shared_task(acks_late=True)
def machine_run_work(run_id: int) -> None:
    """Let a language model annotate; a no-op if the run has ended or is in progress."""
    runs.machine_run_work(run_id=run_id)
