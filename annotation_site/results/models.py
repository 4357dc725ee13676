"""Computed tables, kept with what they were computed from."""

from django.db import models

from annotation_site.annotation.models import Study


class Snapshot(models.Model):
    """A study's tables for one version of its data and one filter.

    `data_version` grows with any submission or removal, so each makes a new one.
    """

    class State(models.TextChoices):
        DUE = "due", "due"
        RUNNING = "running", "being computed"
        READY = "ready", "ready"
        FAILED = "failed", "failed"

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="snapshots")
    data_version = models.PositiveBigIntegerField()
    filters = models.JSONField()
    filter_key = models.CharField(max_length=64)  # digest of the filters
    state = models.CharField(max_length=10, choices=State, default=State.DUE)
    tables = models.JSONField(default=dict)
    figures = models.JSONField(default=dict)
    counts = models.JSONField(default=dict)
    error = models.TextField(blank=True)
    requested_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["study", "data_version", "filter_key"], name="snapshot_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.study} at {self.data_version}"
