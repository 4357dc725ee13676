"""Work on the corpus that a worker does."""

from annotation_site.celery import app
from annotation_site.corpus import services


@app.task
def extraction_run(extraction_id: int) -> None:
    """Extract and load one queued extraction; does nothing when another worker has it."""
    extraction = services.extraction_claim(extraction_id=extraction_id)
    if extraction is not None:
        services.extraction_run_here(extraction=extraction)
