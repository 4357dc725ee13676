"""Queries of live workers."""

from datetime import timedelta

from django.db.models import QuerySet

from annotation_site.workers.clocks import silent_for
from annotation_site.workers.models import Worker

# A worker beats every 2 seconds; one that missed a few beats is taken for dead.
ALIVE_FOR = timedelta(seconds=10)


def workers_alive() -> QuerySet[Worker]:
    """Workers seen within the last `ALIVE_FOR`."""
    return Worker.objects.exclude(silent_for(ALIVE_FOR, "seen_at")).order_by("name")


def workers_extracting() -> QuerySet[Worker]:
    """Live workers that take extractions."""
    return workers_alive().filter(extracts=True)
