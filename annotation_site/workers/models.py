"""Which worker processes are alive."""

from django.db import models


class Worker(models.Model):
    """One running worker process. It renews `seen_at` every few seconds and goes when it stops."""

    name = models.CharField(max_length=200, unique=True)
    started_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField()
    extracts = models.BooleanField(default=True)  # takes work from the queue of extractions
    # how much of the other it does at once
    tasks_at_once = models.PositiveSmallIntegerField(default=0)

    def __str__(self) -> str:
        return self.name


class Sweep(models.Model):
    """The one row that says when a worker last swept, so that one of them sweeps at a time."""

    swept_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"swept at {self.swept_at}"
