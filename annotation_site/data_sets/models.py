"""Data sets that researchers asked for."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from annotation_site.annotation.models import Study
from annotation_site.workers.claims import ClaimedWork
from annotation_site.workers.queues import RESULTS_QUEUE


class DataSet(ClaimedWork):
    """A requested data set of a study. A worker writes its zip file, which expires after some days.

    The file's name holds the claim, so that a run that lost its claim never writes what another
    one said is whole.
    """

    queue, task = RESULTS_QUEUE, "annotation_site.data_sets.tasks.data_set_write_due"
    share, asked_at = "study", "requested_at"

    class State(models.TextChoices):
        DUE = "due", _("waiting for a worker")
        RUNNING = "running", _("being written")
        READY = "ready", _("ready")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")
        EXPIRED = "expired", _("removed")

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="data_sets")
    licence = models.CharField(max_length=40)  # a key of `licences.LICENCES`
    with_times = models.BooleanField(default=False)
    with_comments = models.BooleanField(default=False)
    title = models.CharField(max_length=200, blank=True)  # that is cited; empty: the study's
    authors = models.JSONField(default=list, blank=True)  # who are cited, a text each
    day = models.DateField()  # of publication
    state = models.CharField(max_length=10, choices=State, default=State.DUE)
    done = models.PositiveBigIntegerField(default=0)  # annotations; each is written twice
    total = models.PositiveBigIntegerField(default=0)
    # As they were when the writing began: where somebody's annotations were removed since, the
    # file that still holds them goes.
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
        indexes = (models.Index(fields=["state"], name="data_set_state"),)

    def __str__(self) -> str:
        return f"data set of {self.study}"

    @property
    def is_unfinished(self) -> bool:
        return self.state in (self.State.DUE, self.State.RUNNING)

    @classmethod
    def waiting(cls) -> QuerySet["DataSet"]:
        return cls.objects.filter(state=cls.State.DUE)
