"""Runs of language models that annotate a study's lists, and what they were asked and replied."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from annotation_site.analysis.machine_annotators import machine_title
from annotation_site.annotation.models import Study, VersionedText
from annotation_site.corpus.models import Vector
from annotation_site.workers.claims import ClaimedWork
from annotation_site.workers.queues import EXTRACTION_QUEUE


class MachinePrompt(VersionedText):
    """A version of the instructions that a study's language models read, before the guidelines."""


class MachineRun(ClaimedWork):
    """One language model annotates lists of a study, each in a request of its own.

    Its annotations are tied to lists, so a worker that takes over continues with the next one.
    What is spent is counted before a request is sent, so a killed worker cannot spend it twice.
    """

    queue, task = EXTRACTION_QUEUE, "annotation_site.machine_annotators.tasks.machine_run_work"
    share, asked_at, turn = "requested_by", "queued_at", 2

    class State(models.TextChoices):
        QUEUED = "queued", _("waiting for a worker")
        RUNNING = "running", _("annotating")
        READY = "ready", _("ready")
        STOPPED = "stopped", _("stopped at a limit")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    class Covers(models.TextChoices):
        LISTS = "lists", _("the study’s lists")
        VECTORS = "vectors", _("the study’s lists and every value vector of its models")

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="machine_runs")
    # The annotator in tables and files: "machine-" and the model, with a number where it is not
    # the study's first run of that model.
    name = models.CharField(max_length=60)
    covers = models.CharField(max_length=10, choices=Covers, default=Covers.LISTS)
    model = models.CharField(max_length=200)  # as the site's settings name it
    endpoint = models.CharField(max_length=253, blank=True)  # its host; empty for a local model
    model_version = models.CharField(max_length=200, blank=True)  # as the first reply says it
    # A later reply says another one: the endpoint changed its model while the run went on.
    versions_differ = models.BooleanField(default=False)
    prompt_version = models.PositiveIntegerField()  # 0 is the text that the site comes with
    guidelines_version = models.PositiveIntegerField()  # 0 where the study has none
    # The study's rules as they were requested; empty for a run that came with an archive.
    rules = models.JSONField(default=dict)
    temperature = models.FloatField(default=0)
    seed = models.PositiveIntegerField(default=0)
    most_reply_tokens = models.PositiveIntegerField()  # of one reply
    # Prices of a million tokens when the run was requested; empty where none was set.
    price_input = models.DecimalField(max_digits=12, decimal_places=4, null=True)
    price_output = models.DecimalField(max_digits=12, decimal_places=4, null=True)
    currency = models.CharField(max_length=3, blank=True)
    # Its limits. A run stops before the request that could exceed one.
    most_requests = models.PositiveIntegerField()
    most_tokens = models.PositiveBigIntegerField()
    most_cost = models.DecimalField(max_digits=14, decimal_places=6, null=True)
    # What is spent, with the upper bound of requests that have no reply yet, or never had one.
    requests = models.PositiveIntegerField(default=0)
    input_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    cost = models.DecimalField(max_digits=14, decimal_places=6, default=0)
    # Lists: annotated or failed, of these failed, and all.
    done = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    restored = models.BooleanField(default=False)  # came with an archive, without its exchanges
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    requested_at = models.DateTimeField(auto_now_add=True)
    queued_at = models.DateTimeField(default=timezone.now)  # last; a run gives its place back
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-requested_at", "-pk")
        constraints = (
            models.UniqueConstraint(fields=["study", "name"], name="machine_run_name_once"),
        )
        indexes = (models.Index(fields=["state"], name="machine_run_state"),)

    def __str__(self) -> str:
        return f"{self.name} in {self.study}"

    @property
    def title(self) -> str:
        """The annotator's name on pages."""
        return machine_title(self.name)

    @property
    def is_unfinished(self) -> bool:
        return self.state in UNFINISHED

    @property
    def is_ready(self) -> bool:
        return self.state == self.State.READY

    @property
    def is_local(self) -> bool:
        """Whether the site's own workers run the model."""
        return not self.endpoint

    @property
    def percent(self) -> int:
        """The share of lists that are done, in whole percent; 100 is for a ready run."""
        if self.is_ready:
            return 100
        return min(99, 100 * self.done // self.total) if self.total else 0

    @classmethod
    def waiting(cls) -> QuerySet["MachineRun"]:
        return cls.objects.filter(state=cls.State.QUEUED)


UNFINISHED = (MachineRun.State.QUEUED, MachineRun.State.RUNNING)


class MachineAnnotation(models.Model):
    """A run's annotation of one list, as read from a reply; without one where replies failed.

    `annotation` is the JSON of `annotation_format.Annotation`. It is never edited.
    """

    run = models.ForeignKey(MachineRun, on_delete=models.CASCADE, related_name="annotations")
    vector = models.ForeignKey(Vector, on_delete=models.CASCADE, related_name="+")
    annotation = models.JSONField(null=True)  # null where replies failed
    failure = models.CharField(max_length=300, blank=True)  # why, in English

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["run", "vector"], name="machine_annotation_once"),
        )

    def __str__(self) -> str:
        return f"{self.run_id}: {self.vector_id}"


class MachineExchange(models.Model):
    """A request to a language model and its reply, kept for a set number of days.

    `messages` are all that was sent but for the model's name and numbers that the run has. The row
    is there before the request is sent, with the upper bound of its tokens and cost.
    """

    class State(models.TextChoices):
        SENT = "sent", _("no reply yet")
        REPLIED = "replied", _("replied")
        MALFORMED = "malformed", _("malformed reply")
        NO_REPLY = "no reply", _("no reply")

    run = models.ForeignKey(MachineRun, on_delete=models.CASCADE, related_name="exchanges")
    vector = models.ForeignKey(Vector, on_delete=models.CASCADE, related_name="+")
    number = models.PositiveSmallIntegerField()  # of the run's requests about this list, from 1
    state = models.CharField(max_length=10, choices=State, default=State.SENT)
    messages = models.JSONField()
    reply = models.TextField(blank=True)
    failure = models.CharField(max_length=300, blank=True)  # why a reply was not taken, in English
    model_version = models.CharField(max_length=200, blank=True)
    input_tokens = models.PositiveIntegerField()
    output_tokens = models.PositiveIntegerField()
    cost = models.DecimalField(max_digits=14, decimal_places=6, default=0)
    sent_at = models.DateTimeField(auto_now_add=True)
    seconds = models.FloatField(null=True)

    class Meta:
        ordering = ("pk",)
        constraints = (
            models.UniqueConstraint(
                fields=["run", "vector", "number"], name="machine_exchange_once"
            ),
        )
        indexes = (models.Index(fields=["sent_at"], name="machine_exchange_age"),)

    def __str__(self) -> str:
        return f"{self.run_id}: {self.vector_id}/{self.number}"


class MachineSpending(models.Model):
    """The cost of one day's requests, of all runs, for the site's budget.

    A deleted run takes nothing away from it.
    """

    day = models.DateField()  # in UTC
    currency = models.CharField(max_length=3)
    cost = models.DecimalField(max_digits=20, decimal_places=6, default=0)

    class Meta:
        verbose_name_plural = "machine spending"
        constraints = (
            models.UniqueConstraint(fields=["day", "currency"], name="machine_spending_once"),
        )

    def __str__(self) -> str:
        return f"{self.day}: {self.cost} {self.currency}"
