"""The logs of long work: dated sentences about what happened to it, for its readers."""

from django.db.models import QuerySet

from annotation_site.accounts.models import User
from annotation_site.corpus.models import LogEntry, LogLine

MOST_LINES = 500
"""Of one piece of work; beyond, the oldest go: a run that is retried must not fill a disk."""
_MOST_LETTERS = 2_000


def log_add(extraction_id: int, text: str, *, person: User | None = None) -> None:
    """Add a line to an extraction's log, in the caller's transaction."""
    lines = LogLine.objects.filter(extraction_id=extraction_id)
    line_add(lines, LogLine(extraction_id=extraction_id, text=text, person=person))


def line_add(lines: QuerySet[LogEntry], line: LogEntry) -> None:
    """Add a line to some others, and remove the oldest beyond MOST_LINES."""
    line.text = line.text[:_MOST_LETTERS]
    line.save()
    beyond = list(lines.order_by("-pk").values_list("pk", flat=True)[MOST_LINES : MOST_LINES + 1])
    if beyond:
        lines.filter(pk__lte=beyond[0]).delete()
