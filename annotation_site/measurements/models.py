"""Measurements of models, and the files that they gave."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from annotation_site import bounds
from annotation_site.corpus.models import Corpus, LanguageModel, LogEntry
from annotation_site.workers.claims import DEAD_AFTER, ClaimedWork
from annotation_site.workers.clocks import silent_for
from annotation_site.workers.queues import EXTRACTION_QUEUE
from ffn_extract.measurements import RUN_NO_MODEL


class Measurement(ClaimedWork):
    """One measurement of a model that was extracted here, and what it gave.

    Annotators never see one: it names a model, its layers and its vectors.
    """

    queue, task = EXTRACTION_QUEUE, "annotation_site.measurements.tasks.measurement_work"
    share, asked_at = "requested_by", "created_at"

    class State(models.TextChoices):
        QUEUED = "queued", _("waiting for a worker")
        RUNNING = "running", _("measuring")
        READY = "ready", _("ready")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")
        DELETING = "deleting", _("being deleted")

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=40)  # a key of ffn_extract.measurements.MEASUREMENTS
    title = models.CharField(max_length=bounds.TITLE)
    model = models.ForeignKey(LanguageModel, on_delete=models.PROTECT, related_name="measurements")
    # How the model's files are found, as the extraction found them: a hub id or a folder's name,
    # and options of `ExtractOptions`.
    model_source = models.CharField(max_length=300)
    reading = models.JSONField(default=dict)
    # The word wordnet, an uploaded corpus' reference or the name of a file in CORPORA_DIR; and what
    # people call it.
    corpus_source = models.CharField(max_length=300)
    corpus_name = models.CharField(max_length=300)
    # An uploaded corpus, as long as a worker may need it: it cannot be deleted until then.
    corpus = models.ForeignKey(Corpus, null=True, on_delete=models.PROTECT, related_name="+")
    parameters = models.JSONField(default=dict)  # every option that was offered, with its value
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    step = models.CharField(max_length=40, blank=True)
    step_done = models.PositiveBigIntegerField(default=0)
    step_total = models.PositiveBigIntegerField(default=0)
    # What is known once it is ready: what the measurement is (title, definition, source, and what
    # each column of each table holds), its result in words, the manifest and parts of it.
    about = models.JSONField(default=dict)
    words = models.TextField(blank=True)
    counts = models.JSONField(default=dict)
    environment = models.JSONField(default=dict)
    manifest = models.TextField(blank=True)
    digest = models.CharField(max_length=80, blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    expected_seconds = models.FloatField(null=True)  # the estimate as it was enqueued

    class Meta:
        ordering = ("-created_at", "-id")
        indexes = (models.Index(fields=["state"], name="measurement_state"),)

    def __str__(self) -> str:
        return self.title

    @property
    def is_unfinished(self) -> bool:
        return self.state in UNFINISHED

    @property
    def is_ready(self) -> bool:
        return self.state == self.State.READY

    @property
    def reads_corpus(self) -> bool:
        """Whether it runs the model over text."""
        return self.name not in RUN_NO_MODEL

    @property
    def seed(self) -> int:
        """The seed of examples, random vectors and intervals."""
        return int(self.parameters.get("seed", 0))

    @classmethod
    def waiting(cls) -> QuerySet["Measurement"]:
        """Waiting measurements: enqueued ones and interrupted deletions."""
        interrupted = Q(silent_for(DEAD_AFTER), state=cls.State.DELETING)
        return cls.objects.filter(Q(state=cls.State.QUEUED) | interrupted)


UNFINISHED = (Measurement.State.QUEUED, Measurement.State.RUNNING)


class MeasurementLine(LogEntry):
    """An entry of a measurement's log."""

    measurement = models.ForeignKey(Measurement, on_delete=models.CASCADE, related_name="log")


class MeasurementFile(models.Model):
    """A file of a ready measurement's folder: a table, a figure, examples, README or manifest.

    In the database, not in a folder: every process of the site has it, whatever folders they share;
    a backup holds it, and it comes and goes in one transaction with its measurement.
    """

    measurement = models.ForeignKey(Measurement, on_delete=models.CASCADE, related_name="files")
    name = models.CharField(max_length=120)
    media_type = models.CharField(max_length=100)
    size = models.PositiveBigIntegerField()  # bytes
    sha256 = models.CharField(max_length=64)

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=["measurement", "name"], name="measurement_file_once"),
        )

    def __str__(self) -> str:
        return self.name


class MeasurementContent(models.Model):
    """The bytes of a file, apart so that no page reads them by chance."""

    file = models.OneToOneField(
        MeasurementFile, primary_key=True, on_delete=models.CASCADE, related_name="content"
    )
    compressed = models.BinaryField()  # zlib

    def __str__(self) -> str:
        return f"content of {self.file_id}"
