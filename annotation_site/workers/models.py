"""Which worker processes are alive."""

from django.db import models


class Worker(models.Model):
    """One running worker process. It renews `seen_at` every few seconds and goes when it stops."""

    name = models.CharField(max_length=200, unique=True)
    started_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField()
    extracts = models.BooleanField(default=True)  # takes work from the queue of extractions

    def __str__(self) -> str:
        return self.name
