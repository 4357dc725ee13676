"""Traces of prompts, and their answers."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import QuerySet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation_site import bounds
from annotation_site.corpus.models import LanguageModel
from annotation_site.workers.claims import ClaimedWork
from annotation_site.workers.queues import EXTRACTION_QUEUE
from ffn_extract.progress import TRACE_STEPS


class Trace(ClaimedWork):
    """One prompt through a model that was extracted here, layer by layer.

    It has its turn before extractions and measurements: it takes seconds, and a person waits. It
    belongs to the person who asked for it; shared, the team sees it. It is deleted at `expires_at`.
    """

    queue, task = EXTRACTION_QUEUE, "annotation_site.traces.tasks.trace_work"
    share, asked_at, turn = "requested_by", "created_at", -1

    class State(models.TextChoices):
        QUEUED = "queued", _("waiting for a worker")
        RUNNING = "running", _("tracing")
        READY = "ready", _("ready")
        FAILED = "failed", _("failed")

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    model = models.ForeignKey(LanguageModel, on_delete=models.PROTECT, related_name="traces")
    # How the model's files are found, as the extraction found them: a hub id or a folder's name,
    # and options of `ExtractOptions`.
    model_source = models.CharField(max_length=300)
    reading = models.JSONField(default=dict)
    prompt = models.CharField(max_length=bounds.PROMPT)
    # position (null: the last), token_id (null: the final top token), new_tokens, interventions
    request = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    step = models.CharField(max_length=40, blank=True)
    is_shared = models.BooleanField(default=False)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()

    class Meta:
        ordering = ("-created_at", "-id")
        indexes = (
            models.Index(fields=["state"], name="trace_state"),
            models.Index(fields=["expires_at"], name="trace_expires"),
        )

    def __str__(self) -> str:
        return self.prompt

    @property
    def step_title(self) -> str:
        """The step that a worker is at, in words; empty before the first one."""
        return gettext(_STEPS[self.step]) if self.step in _STEPS else ""

    @property
    def is_unfinished(self) -> bool:
        return self.state in UNFINISHED

    @property
    def is_ready(self) -> bool:
        return self.state == self.State.READY

    @classmethod
    def waiting(cls) -> QuerySet["Trace"]:
        """Traces that a worker could claim now."""
        return cls.objects.filter(state=cls.State.QUEUED)


_STEPS = dict(TRACE_STEPS)
UNFINISHED = (Trace.State.QUEUED, Trace.State.RUNNING)


class TraceContent(models.Model):
    """The answer of a trace, apart so that no page reads it by chance."""

    trace = models.OneToOneField(
        Trace, primary_key=True, on_delete=models.CASCADE, related_name="content"
    )
    compressed = models.BinaryField()  # JSON, by zlib

    def __str__(self) -> str:
        return f"content of {self.trace_id}"
