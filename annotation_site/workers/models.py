"""Rows of live workers, and of the last sweep."""

from django.db import models


class Worker(models.Model):
    """A running worker process. It renews `seen_at` every few seconds and deletes its row at the
    end.
    """

    name = models.CharField(max_length=200, unique=True)
    started_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField()
    extracts = models.BooleanField(default=True)  # takes work from the queue of extractions
    # how much of the other it does at once
    tasks_at_once = models.PositiveSmallIntegerField(default=0)
    version = models.CharField(max_length=30, blank=True)
    # Of all its processes, and what its machine has free; null where the system does not say.
    memory_bytes = models.PositiveBigIntegerField(null=True)
    free_memory_bytes = models.PositiveBigIntegerField(null=True)

    def __str__(self) -> str:
        return self.name


class Sweep(models.Model):
    """The one row with the time of the last sweep, so that one worker sweeps at a time."""

    swept_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"swept at {self.swept_at}"
