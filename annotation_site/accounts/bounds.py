"""Daily limits: how many rows a person or an object may add per day."""

from typing import Any

from django.utils import timezone

from annotation_site.errors import Invalid


class DayIsFull(Invalid):
    """The day's limit of rows is reached; nothing is deleted to make room."""

    code = "day_is_full"


def require_room(rows: Any, *, most: int, sentence: str, at: str = "created_at") -> None:
    """Raises DayIsFull with the sentence if `most` of the rows were made today, in UTC.

    The caller holds a lock under which rows are added, or lets two at once pass by one.
    """
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    if rows.filter(**{f"{at}__gte": midnight})[:most].count() >= most:
        raise DayIsFull(sentence)
