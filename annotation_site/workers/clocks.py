"""Detect silent workers by the clock, even if clocks are set back.

A time in the future was written before that, or by a machine whose clock is wrong. Who is alive
replaces it within seconds; what is left belongs to nobody, and must not wait for its time to come.
"""

from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

JUST_NOW = timedelta(seconds=5)  # so long a message may be on its way


def silent_for(span: timedelta, field: str = "heartbeat_at") -> Q:
    """Filter of rows without a heartbeat within `span`, before or after now."""
    now = timezone.now()
    return Q(**{f"{field}__lt": now - span}) | Q(**{f"{field}__gt": now + span})


def just_now(field: str) -> Q:
    """Filter of times within the last seconds."""
    now = timezone.now()
    return Q(**{f"{field}__range": (now - JUST_NOW, now + JUST_NOW)})
