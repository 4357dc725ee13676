"""Snapshots, figures, pseudonyms, export jobs and deletions."""

import uuid
from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from annotation_site.annotation.models import Study
from annotation_site.workers.claims import ClaimedWork
from annotation_site.workers.queues import RESULTS_QUEUE


class Snapshot(ClaimedWork):
    """A study's tables for one version of its data, one filter and one version of the measures.

    `data_version` grows with whatever changes the tables, so each change makes a new one.
    """

    queue, task = RESULTS_QUEUE, "annotation_site.results.tasks.snapshot_compute_due"
    share, asked_at, turn = "study", "requested_at", 1

    class State(models.TextChoices):
        DUE = "due", _("due")
        RUNNING = "running", _("being computed")
        READY = "ready", _("ready")
        FAILED = "failed", _("failed")

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="snapshots")
    data_version = models.PositiveBigIntegerField()
    measures_version = models.PositiveIntegerField(default=1)
    filters = models.JSONField()
    filter_key = models.CharField(max_length=64)  # digest of the filters
    state = models.CharField(max_length=10, choices=State, default=State.DUE)
    step = models.CharField(max_length=60, blank=True)
    step_done = models.PositiveSmallIntegerField(default=0)
    step_total = models.PositiveSmallIntegerField(default=0)
    tables = models.JSONField(default=dict)
    figures = models.JSONField(default=dict)  # name → title, alt, table, sizes of the SVG
    counts = models.JSONField(default=dict)
    measures = models.JSONField(default=dict)  # what each measure of agreement means, by name
    requested_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
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

    @property
    def lacks_methods(self) -> bool:
        """Whether it is ready, but of a version that stored nothing for a methods paragraph."""
        return self.state == self.State.READY and "methods" not in self.counts

    @classmethod
    def waiting(cls) -> QuerySet["Snapshot"]:
        return cls.objects.filter(state=cls.State.DUE)


class Pseudonym(models.Model):
    """A person's code in a study's exports, drawn at random.

    It stays the same in every export of the study, and is another one in every other study.
    """

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="pseudonyms")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="pseudonyms"
    )
    name = models.CharField(max_length=32)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["study", "user"], name="pseudonym_once_per_person"),
            models.UniqueConstraint(fields=["study", "name"], name="pseudonym_once_per_study"),
        )

    def __str__(self) -> str:
        return self.name


class ExportJob(ClaimedWork):
    """A requested file: labels or an archive. A worker writes it, and it expires after some days.

    The file's name holds the claim, so that a run that lost its claim never writes what another
    one said is whole.
    """

    queue, task = RESULTS_QUEUE, "annotation_site.results.tasks.export_write"
    share, asked_at = "study", "requested_at"

    class State(models.TextChoices):
        DUE = "due", _("waiting for a worker")
        RUNNING = "running", _("being written")
        READY = "ready", _("ready")
        FAILED = "failed", _("failed")
        EXPIRED = "expired", _("removed")

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="exports")
    content = models.CharField(max_length=20)  # a key of results.jobs.CONTENTS
    with_names = models.BooleanField(default=False)
    state = models.CharField(max_length=10, choices=State, default=State.DUE)
    done = models.PositiveBigIntegerField(default=0)  # annotations
    total = models.PositiveBigIntegerField(default=0)
    # As they were when the writing began: where somebody's answers were removed since, the file
    # that still holds them goes.
    data_version = models.PositiveBigIntegerField(null=True)
    removals = models.PositiveBigIntegerField(null=True)
    size = models.PositiveBigIntegerField(null=True)  # bytes
    sha256 = models.CharField(max_length=64, blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    requested_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-requested_at", "-pk")
        indexes = (models.Index(fields=["state"], name="export_job_state"),)

    def __str__(self) -> str:
        return f"{self.content} of {self.study}"

    @property
    def is_unfinished(self) -> bool:
        return self.state in (self.State.DUE, self.State.RUNNING)

    @classmethod
    def waiting(cls) -> QuerySet["ExportJob"]:
        return cls.objects.filter(state=cls.State.DUE)


class StudyDeletion(ClaimedWork):
    """The deletion of a study, which a worker does in chunks. It goes with the study."""

    queue, task = RESULTS_QUEUE, "annotation_site.results.tasks.study_delete_due"
    share, asked_at = "study", "requested_at"
    AGAIN_AFTER = timedelta(minutes=5)  # what failed

    class State(models.TextChoices):
        DUE = "due", _("waiting for a worker")
        RUNNING = "running", _("running")
        FAILED = "failed", _("failed")

    study = models.OneToOneField(Study, on_delete=models.CASCADE, related_name="deletion")
    state = models.CharField(max_length=10, choices=State, default=State.DUE)
    requested_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)  # when it failed

    def __str__(self) -> str:
        return f"deletion of {self.study}"

    @classmethod
    def waiting(cls) -> QuerySet["StudyDeletion"]:
        return cls.objects.filter(state=cls.State.DUE)
