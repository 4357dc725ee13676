"""What people judge: lists of tokens from a model's vectors. Imported whole, never edited."""

import uuid

import numpy as np
from django.conf import settings
from django.db import models


class Float32ArrayField(models.BinaryField):
    """A list of float32 values, four little-endian bytes each: 120 bytes for 30 scores."""

    def get_prep_value(self, value: object) -> bytes | None:
        return None if value is None else np.asarray(value, dtype="<f4").tobytes()

    def from_db_value(self, value: bytes | None, *_: object) -> list[float] | None:
        return None if value is None else np.frombuffer(value, dtype="<f4").tolist()


class LanguageModel(models.Model):
    """A model whose vectors were read: one row per name, revision and weights."""

    name = models.CharField(max_length=300)
    revision = models.CharField(max_length=200, blank=True)
    model_type = models.CharField(max_length=100)
    n_layers = models.PositiveIntegerField()
    d_model = models.PositiveIntegerField()
    d_ff = models.PositiveIntegerField()
    vocab_size = models.PositiveIntegerField()
    vocabulary = models.CharField(max_length=10)  # "word" or "subword"
    weights_digest = models.CharField(max_length=80)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["name", "revision", "weights_digest"], name="model_once_per_weights"
            ),
        )

    def __str__(self) -> str:
        return self.name


class Extraction(models.Model):
    """One run of `ffn_extract`, made here or elsewhere, and the bundle that came of it."""

    class State(models.TextChoices):
        QUEUED = "queued", "waiting for a worker"
        RUNNING = "running", "extracting"
        LOADING = "loading", "loading"
        READY = "ready", "ready"
        FAILED = "failed", "failed"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    model_source = models.CharField(max_length=300)  # a hub id or a folder's name
    model = models.ForeignKey(LanguageModel, null=True, on_delete=models.PROTECT)
    parameters = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    step = models.CharField(max_length=40, blank=True)
    step_done = models.PositiveBigIntegerField(default=0)
    step_total = models.PositiveBigIntegerField(default=0)
    heartbeat_at = models.DateTimeField(null=True)
    claim = models.UUIDField(null=True)  # whose run it is; a run that lost its claim stops
    attempts = models.PositiveSmallIntegerField(default=0)
    imported = models.BooleanField(default=False)  # from a bundle made elsewhere, by a command
    error = models.TextField(blank=True)
    # Null before there is a bundle: unlike "", null does not count as a duplicate.
    bundle_digest = models.CharField(max_length=80, unique=True, null=True)  # noqa: DJ001
    # A run that gave the very lists another extraction holds keeps none of its own.
    same_as = models.ForeignKey("self", null=True, on_delete=models.SET_NULL)
    counts = models.JSONField(default=dict)
    environment = models.JSONField(default=dict)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-created_at", "-id")

    def __str__(self) -> str:
        return f"{self.model_source} ({self.created_at:%Y-%m-%d})"

    @property
    def is_unfinished(self) -> bool:
        return self.state in (self.State.QUEUED, self.State.RUNNING, self.State.LOADING)


class Token(models.Model):
    """A vocabulary entry that occurs in an extraction's lists, with its gloss.

    Tokens belong to the extraction, not to the model: another run of the same model, with other
    glosses, must not change what the annotators of this one see.
    """

    extraction = models.ForeignKey(Extraction, on_delete=models.CASCADE, related_name="tokens")
    token_id = models.PositiveIntegerField()
    text = models.TextField()
    display = models.TextField()
    gloss = models.TextField(blank=True)
    gloss_source = models.CharField(max_length=40, blank=True)
    gloss_lemma = models.TextField(blank=True)
    is_stopword = models.BooleanField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["extraction", "token_id"], name="token_once"),
        )

    def __str__(self) -> str:
        return self.display


class Kind(models.TextChoices):
    VALUE = "value", "value vectors"
    RANDOM = "random", "random vectors"
    UPDATE = "update", "FFN updates"


class Vector(models.Model):
    """One vector and its projection: the highest- and lowest-scoring tokens, best first.

    Ranks are positions in the arrays, from 1. Ids are JSON so that PostgreSQL can index which
    vectors hold a token; scores are packed, nobody searches them.
    """

    extraction = models.ForeignKey(Extraction, on_delete=models.CASCADE, related_name="vectors")
    kind = models.CharField(max_length=10, choices=Kind)
    layer = models.PositiveIntegerField()
    index = models.PositiveIntegerField()
    norm = models.FloatField()
    token_ids = models.JSONField()
    scores = Float32ArrayField()
    bottom_token_ids = models.JSONField(null=True)
    bottom_scores = Float32ArrayField(null=True)
    context = models.TextField(blank=True)
    context_position = models.PositiveIntegerField(null=True)
    context_token = models.TextField(blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["extraction", "kind", "layer", "index"], name="vector_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.layer}.{self.index}"
