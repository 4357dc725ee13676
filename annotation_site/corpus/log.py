"""The log of an extraction: dated sentences about what happened to it, for admins."""

from annotation_site.accounts.models import User
from annotation_site.corpus.models import LogLine

MOST_LINES = 500
"""Of one extraction; beyond, the oldest go: a retried run of many layers must not fill a disk."""
_MOST_LETTERS = 2_000


def log_add(extraction_id: int, text: str, *, person: User | None = None) -> None:
    """Add a line, in the caller's transaction."""
    LogLine.objects.create(extraction_id=extraction_id, text=text[:_MOST_LETTERS], person=person)
    lines = LogLine.objects.filter(extraction_id=extraction_id)
    beyond = list(lines.order_by("-pk").values_list("pk", flat=True)[MOST_LINES : MOST_LINES + 1])
    if beyond:
        lines.filter(pk__lte=beyond[0]).delete()
