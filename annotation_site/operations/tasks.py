"""What beat asks of a worker."""

from annotation_site.celery import app
from annotation_site.operations import tidy


@app.task
def tidy_daily() -> None:
    """Remove what is over, unless a worker did within a day."""
    tidy.tidy_daily()
