"""Proxies that a worker computed for every value vector, and what is known of each model."""

import uuid

import numpy as np
from django.conf import settings
from django.db import models
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from numpy.typing import NDArray

from annotation_site.corpus.models import Extraction
from annotation_site.workers.claims import ClaimedWork
from annotation_site.workers.queues import EXTRACTION_QUEUE


class ProxyRun(ClaimedWork):
    """The computation of a proxy for every value vector of an extraction, layer by layer.

    It belongs to the extraction, and all studies of the model use it. It takes minutes, so it waits
    in the queue of extractions, after those.
    """

    queue, task = EXTRACTION_QUEUE, "annotation_site.proxies.tasks.proxy_work"
    share, asked_at, turn = "requested_by", "requested_at", 1

    class State(models.TextChoices):
        QUEUED = "queued", _("waiting for a worker")
        RUNNING = "running", _("being computed")
        READY = "ready", _("ready")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    extraction = models.ForeignKey(Extraction, on_delete=models.CASCADE, related_name="proxy_runs")
    proxy = models.CharField(max_length=60)  # a key of `registry.PROXIES`
    min_tokens = models.PositiveSmallIntegerField()  # of a machine annotator's pattern
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    done = models.PositiveBigIntegerField(default=0)  # vectors
    total = models.PositiveBigIntegerField(default=0)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    requested_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-requested_at", "-pk")
        constraints = (
            models.UniqueConstraint(
                fields=["extraction", "proxy", "min_tokens"], name="proxy_run_once"
            ),
        )
        indexes = (models.Index(fields=["state"], name="proxy_run_state"),)

    def __str__(self) -> str:
        return f"{self.proxy} of {self.extraction}"

    @property
    def is_unfinished(self) -> bool:
        return self.state in UNFINISHED

    @property
    def is_ready(self) -> bool:
        return self.state == self.State.READY

    @property
    def percent(self) -> int:
        """The share that is done, in whole percent; 100 is for a ready one."""
        if self.is_ready:
            return 100
        return min(99, 100 * self.done // self.total) if self.total else 0

    @classmethod
    def waiting(cls) -> QuerySet["ProxyRun"]:
        return cls.objects.filter(state=cls.State.QUEUED)


UNFINISHED = (ProxyRun.State.QUEUED, ProxyRun.State.RUNNING)


class ProxyLayer(models.Model):
    """A proxy's values in one layer, packed as float32 in the order of the vectors' indices.

    `mean` is theirs, computed in float64 from the packed values.
    """

    run = models.ForeignKey(ProxyRun, on_delete=models.CASCADE, related_name="layers")
    layer = models.PositiveIntegerField()
    vectors = models.PositiveIntegerField()
    mean = models.FloatField()
    packed = models.BinaryField()

    class Meta:
        ordering = ("layer",)
        constraints = (models.UniqueConstraint(fields=["run", "layer"], name="proxy_layer_once"),)

    def __str__(self) -> str:
        return f"layer {self.layer}"

    @property
    def values(self) -> NDArray[np.float32]:
        """The values, one per vector, in the order of their indices."""
        return np.frombuffer(bytes(self.packed), dtype="<f4")


class KnownOfModel(models.Model):
    """Digest of the censuses of a model as its studies were last told of them.

    Where `known` changes, the tables of the model's studies are computed again.
    """

    weights_digest = models.CharField(max_length=80, unique=True)
    known = models.CharField(max_length=64)

    def __str__(self) -> str:
        return self.weights_digest
