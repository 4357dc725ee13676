"""A clock that a test sets."""

from datetime import datetime, timedelta


class Clock:
    """Stands in for `timezone.now`."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def after(self, **passed: float) -> None:
        self.now += timedelta(**passed)
