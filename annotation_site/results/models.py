"""Computed tables and figures, kept with what they were computed from."""

from django.db import models

from annotation_site.annotation.models import Study


class Snapshot(models.Model):
    """A study's tables for one version of its data, one filter and one version of the measures.

    `data_version` grows with any submission or removal, so each makes a new one.
    """

    class State(models.TextChoices):
        DUE = "due", "due"
        RUNNING = "running", "being computed"
        READY = "ready", "ready"
        FAILED = "failed", "failed"

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="snapshots")
    data_version = models.PositiveBigIntegerField()
    measures_version = models.PositiveIntegerField(default=1)
    filters = models.JSONField()
    filter_key = models.CharField(max_length=64)  # digest of the filters
    state = models.CharField(max_length=10, choices=State, default=State.DUE)
    attempts = models.PositiveSmallIntegerField(default=0)
    step = models.CharField(max_length=60, blank=True)
    step_done = models.PositiveSmallIntegerField(default=0)
    step_total = models.PositiveSmallIntegerField(default=0)
    tables = models.JSONField(default=dict)
    figures = models.JSONField(default=dict)  # name → title, alt, table; the files are Figure's
    counts = models.JSONField(default=dict)
    measures = models.JSONField(default=dict)  # what each measure of agreement means, by name
    error = models.TextField(blank=True)
    requested_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["study", "data_version", "filter_key", "measures_version"],
                name="snapshot_once",
            ),
        )

    def __str__(self) -> str:
        return f"{self.study} at {self.data_version}"


class Figure(models.Model):
    """One file of a snapshot's figure: a variant for the page, or for print.

    Rows of their own, so that reading a snapshot's tables does not read every picture.
    """

    snapshot = models.ForeignKey(Snapshot, on_delete=models.CASCADE, related_name="figure_files")
    name = models.SlugField(max_length=80)
    variant = models.CharField(max_length=20)  # wide-light … narrow-dark, print
    extension = models.CharField(max_length=4)  # svg, pdf, png
    content = models.BinaryField()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["snapshot", "name", "variant", "extension"], name="figure_file_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.name}.{self.variant}.{self.extension}"
