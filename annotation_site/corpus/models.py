"""Models, extractions, tokens and vectors. Imported whole, never edited."""

import uuid
from typing import Any, ClassVar

import numpy as np
from django.conf import settings
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Lower
from django.db.models.sql.compiler import SQLCompiler
from django.utils.translation import gettext_lazy as _

from annotation_site import bounds
from annotation_site.sentences import SentenceField
from annotation_site.workers.claims import DEAD_AFTER, ClaimedWork
from annotation_site.workers.clocks import silent_for
from annotation_site.workers.queues import EXTRACTION_QUEUE


class Float32ArrayField(models.BinaryField):
    """A list of float32 values, four little-endian bytes each: 120 bytes for 30 scores."""

    def get_prep_value(self, value: object) -> bytes | None:
        return None if value is None else np.asarray(value, dtype="<f4").tobytes()

    def from_db_value(self, value: bytes | None, *_: object) -> list[float] | None:
        return None if value is None else np.frombuffer(value, dtype="<f4").tolist()


class TokenIdsField(models.JSONField):
    """Token ids, best first. JSON, so that PostgreSQL can index them: `token_ids__holds=7`."""


@TokenIdsField.register_lookup
class Holds(models.Lookup):
    """Database lookup whether one token id is among a vector's."""

    lookup_name = "holds"
    prepare_rhs = False

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, Any]:
        column, values = self.process_lhs(compiler, connection)
        token_id = int(self.rhs)
        if connection.vendor == "postgresql":
            return f"{column} @> %s::jsonb", (*values, f"[{token_id}]")
        within = f"EXISTS (SELECT 1 FROM json_each({column}) WHERE value = %s)"  # noqa: S608
        return within, (*values, token_id)


@TokenIdsField.register_lookup
class HoldsAny(models.Lookup):
    """Database lookup whether one of several token ids is among a vector's.

    Looks through the lists that the other conditions leave; `holds` has an index.
    """

    lookup_name = "holds_any"
    prepare_rhs = False

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, Any]:
        column, values = self.process_lhs(compiler, connection)
        # Numbers, so that as many can be given as a vocabulary has.
        ids = ", ".join(str(int(token_id)) for token_id in self.rhs)
        if connection.vendor == "postgresql":
            within = f"jsonb_array_elements({column}) AS held(value) WHERE held.value::int"
        else:
            within = f"json_each({column}) WHERE value"
        return f"EXISTS (SELECT 1 FROM {within} IN ({ids}))", values  # noqa: S608


class LanguageModel(models.Model):
    """A language model with extracted vectors: one row per name, revision and weights."""

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


class Extraction(ClaimedWork):
    """One run of `ffn_extract`, here or elsewhere, and its bundle."""

    queue, task = EXTRACTION_QUEUE, "annotation_site.corpus.tasks.extraction_work"
    share, asked_at = "requested_by", "created_at"
    at_work = ("running", "loading")

    class State(models.TextChoices):
        QUEUED = "queued", _("waiting for a worker")
        RUNNING = "running", _("extracting")
        LAYERS = "layers", _("extracting layer by layer")
        LOADING = "loading", _("loading")
        READY = "ready", _("ready")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")
        DELETING = "deleting", _("being deleted")

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    # What pages call it wherever somebody chooses an extraction: `corpus.titles` gives each one.
    title = models.CharField(max_length=bounds.TITLE, blank=True)
    model_source = models.CharField(max_length=300)  # a hub id or a folder's name
    model = models.ForeignKey(LanguageModel, null=True, on_delete=models.PROTECT)
    parameters = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    step = models.CharField(max_length=40, blank=True)
    step_done = models.PositiveBigIntegerField(default=0)
    step_total = models.PositiveBigIntegerField(default=0)
    imported = models.BooleanField(default=False)  # from a bundle made elsewhere, by a command
    uploaded = models.BooleanField(default=False)  # from one that came by page; a worker loads it
    # What the lists depend on, as the worker found it that cut the layers; others must find it too.
    plan = models.JSONField(default=dict)
    notice = SentenceField(blank=True)  # why a worker takes no part in the layers
    # Null before there is a bundle: unlike "", null does not count as a duplicate.
    bundle_digest = models.CharField(max_length=80, null=True)  # noqa: DJ001
    # Of an extraction that came with a study's archive, which holds the study's lists alone: the
    # number of value vectors in each layer of the whole one. Null for every other.
    restored = models.JSONField(null=True)
    # A run that gave the very lists another extraction holds keeps none of its own.
    same_as = models.ForeignKey("self", null=True, on_delete=models.SET_NULL)
    counts = models.JSONField(default=dict)
    environment = models.JSONField(default=dict)
    manifest = models.TextField(blank=True)  # the bundle's, as it was loaded
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    # The estimate of one worker's time as it was enqueued, where the model's sizes were known. The
    # real times of earlier runs beside it say how far estimates are off here.
    expected_seconds = models.FloatField(null=True)

    class Meta:
        ordering = ("-created_at", "-id")
        constraints = (
            models.UniqueConstraint(
                fields=["bundle_digest"],
                condition=Q(restored__isnull=True),
                name="bundle_once",
            ),
            models.UniqueConstraint(
                Lower("title"), condition=~Q(title=""), name="extraction_title_once"
            ),
        )

    def __str__(self) -> str:
        return self.title or self.model_source

    @property
    def is_unfinished(self) -> bool:
        return self.state in UNFINISHED

    @classmethod
    def waiting(cls) -> QuerySet["Extraction"]:
        """Waiting extractions: new ones, those with all layers done, interrupted deletions."""
        layers = ExtractionLayer.objects.filter(extraction=OuterRef("pk"))
        unfinished = layers.exclude(state=ExtractionLayer.State.DONE)
        return cls.objects.filter(
            Q(state=cls.State.QUEUED)
            | Q(~Exists(unfinished), state=cls.State.LAYERS)
            | Q(silent_for(DEAD_AFTER), state=cls.State.DELETING)
        )


UNFINISHED = (
    Extraction.State.QUEUED,
    Extraction.State.RUNNING,
    Extraction.State.LAYERS,
    Extraction.State.LOADING,
)


class LogEntry(models.Model):
    """Abstract model of an entry in the log of long work. Entries are added, never changed.

    A person is named by a reference, so that a line stays as it is when somebody is erased.
    """

    at = models.DateTimeField(auto_now_add=True)
    text = models.TextField()
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        abstract = True
        ordering: ClassVar[tuple[str, ...]] = ("pk",)

    def __str__(self) -> str:
        return self.text

    @property
    def in_full(self) -> str:
        """The entry with the name of its actor."""
        return f"{self.text} ({self.person})" if self.person else self.text


class LogLine(LogEntry):
    """An entry of an extraction's log."""

    extraction = models.ForeignKey(Extraction, on_delete=models.CASCADE, related_name="log")


class ExtractionLayer(ClaimedWork):
    """One layer of an extraction of every value vector, done by one worker at a time."""

    queue, task = Extraction.queue, Extraction.task
    share, asked_at, target = "extraction__requested_by", "extraction__created_at", "extraction"

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("running")
        DONE = "done", _("done")

    extraction = models.ForeignKey(Extraction, on_delete=models.CASCADE, related_name="layers")
    layer = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    done = models.PositiveBigIntegerField(default=0)  # vectors
    total = models.PositiveBigIntegerField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("layer",)
        constraints = (models.UniqueConstraint(fields=["extraction", "layer"], name="layer_once"),)

    def __str__(self) -> str:
        return f"layer {self.layer}"

    @classmethod
    def of_those_at_work(cls) -> QuerySet["ExtractionLayer"]:
        """Layers of extractions in the layer step.

        By a subquery, not a join: an UPDATE would put a join and with it the layer's own conditions
        into a subquery, which PostgreSQL does not look at again after waiting for another's UPDATE.
        """
        at_work = Extraction.objects.filter(state=Extraction.State.LAYERS)
        return cls.objects.filter(extraction__in=at_work)

    @classmethod
    def waiting(cls) -> QuerySet["ExtractionLayer"]:
        return cls.of_those_at_work().filter(state=cls.State.WAITING)

    def held(self) -> QuerySet["ExtractionLayer"]:
        # A claim may cross the end of the extraction.
        return self.of_those_at_work().filter(pk=self.pk, claim=self.claim)


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
    gloss_part = models.CharField(max_length=20, blank=True)  # noun, verb, adjective or adverb
    senses = models.JSONField(default=list)  # at most four: gloss, lemma, part, count; best first
    is_stopword = models.BooleanField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["extraction", "token_id"], name="token_once"),
        )
        indexes = (models.Index("extraction", Lower("display"), name="token_by_spelling"),)

    def __str__(self) -> str:
        return self.display


class Kind(models.TextChoices):
    """The kinds of a bundle, in the order of every table."""

    VALUE = "value", _("value vectors")
    RANDOM = "random", _("random vectors")
    UPDATE = "update", _("FFN updates")
    KEY = "key", _("key vectors")
    RANDOM_KEY = "random-key", _("random key vectors")
    RANDOM_COVARIANCE = "random-covariance", _("random vectors with covariance")
    PERMUTED = "permuted", _("permuted value vectors")
    SHUFFLED = "shuffled", _("shuffled tokens")


USUAL_KINDS = (Kind.VALUE.value, Kind.RANDOM.value, Kind.UPDATE.value)
"""The kinds of a study of top tokens that names none."""

KEY_KINDS = (Kind.KEY.value, Kind.RANDOM_KEY.value)
"""The kinds that have trigger prefixes."""


class Vector(models.Model):
    """One vector and its projection: the highest- and lowest-scoring tokens, best first.

    Ranks are positions in the arrays, from 1. Scores are packed, nobody searches them. Shuffled
    tokens have neither a norm nor scores. A migration gives PostgreSQL its index of which vectors
    hold a token.
    """

    extraction = models.ForeignKey(Extraction, on_delete=models.CASCADE, related_name="vectors")
    kind = models.CharField(max_length=20, choices=Kind)
    layer = models.PositiveIntegerField()
    index = models.PositiveIntegerField()
    norm = models.FloatField(null=True)
    token_ids = TokenIdsField()
    scores = Float32ArrayField(null=True)
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


class ListSegment(models.Model):
    """A part of an extraction's lists in the index of tokens: at most 65,536 of them.

    An ordinal is a list's position in it. `packed` are their kinds, layers and indices: see
    `corpus.postings`. The index of an extraction is whole when its last segment is there.
    """

    extraction = models.ForeignKey(
        Extraction, on_delete=models.CASCADE, related_name="segments", db_index=False
    )
    number = models.PositiveIntegerField()
    lists = models.PositiveIntegerField()
    last_key = models.BigIntegerField()  # the primary key of its last vector
    is_last = models.BooleanField()
    packed = models.BinaryField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["extraction", "number"], name="segment_once"),
        )

    def __str__(self) -> str:
        return f"segment {self.number}"


class TokenPostings(models.Model):
    """The lists of a segment that hold one of 16 tokens in a row, with their scores, packed.

    `block` is the token ids divided by 16. A token of very many lists has a row of its own: see
    `corpus.postings`. It can be written from the vectors again.
    """

    extraction = models.ForeignKey(
        Extraction, on_delete=models.CASCADE, related_name="postings", db_index=False
    )
    segment = models.PositiveIntegerField()
    block = models.PositiveIntegerField()
    entries = models.BinaryField()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["extraction", "block", "segment"], name="postings_once"
            ),
        )

    def __str__(self) -> str:
        return f"block {self.block} of segment {self.segment}"


class ValueStatistics(models.Model):
    """Numbers about one value vector, whether its list was extracted or not.

    `kurtosis` (0 for a normal distribution) and `skew` are of its scores over the vocabulary.
    """

    extraction = models.ForeignKey(
        Extraction, on_delete=models.CASCADE, related_name="value_statistics"
    )
    layer = models.PositiveIntegerField()
    index = models.PositiveIntegerField()
    norm = models.FloatField()
    kurtosis = models.FloatField(null=True)
    skew = models.FloatField(null=True)
    key_cosine = models.FloatField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["extraction", "layer", "index"], name="value_statistics_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.layer}.{self.index}"


class TriggerPrefixes(models.Model):
    """The prefixes that activate a key most, on one side: at most 50, best first.

    Each is an object with `sentence` and `position` (both from 0), `prefix`, `token_id` (its last
    token's), `coefficient`, `copies`, `gate_sign` and `up_sign`. Annotators never see them.
    """

    class Side(models.TextChoices):
        POSITIVE = "positive", _("positive coefficients")
        NEGATIVE = "negative", _("negative coefficients")

    extraction = models.ForeignKey(
        Extraction, on_delete=models.CASCADE, related_name="trigger_prefixes"
    )
    kind = models.CharField(max_length=20, choices=Kind)
    layer = models.PositiveIntegerField()
    index = models.PositiveIntegerField()
    side = models.CharField(max_length=10, choices=Side)
    prefixes = models.JSONField()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["extraction", "kind", "layer", "index", "side"],
                name="trigger_prefixes_once",
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.layer}.{self.index} {self.side}"


class Corpus(models.Model):
    """Sentences that a researcher uploaded, one per line. Never edited.

    Extractions name a corpus by its `reference`; `digest` is the one that bundles hold.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=bounds.CORPUS_NAME, unique=True)
    licence = models.CharField(max_length=bounds.LICENCE, blank=True)
    sentences = models.PositiveIntegerField()
    size = models.PositiveBigIntegerField()  # bytes of UTF-8
    digest = models.CharField(max_length=64)
    beginning = models.CharField(max_length=200)
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    @property
    def reference(self) -> str:
        return f"{UPLOADED}{self.public_id}"


UPLOADED = "uploaded:"
"""Begins the name of an uploaded corpus among an extraction's parameters; no file's name has it."""


class CorpusContent(models.Model):
    """The sentences of a corpus, apart so that no page reads them by chance."""

    corpus = models.OneToOneField(
        Corpus, primary_key=True, on_delete=models.CASCADE, related_name="content"
    )
    compressed = models.BinaryField()  # zlib, of UTF-8 with one sentence on a line

    def __str__(self) -> str:
        return f"content of {self.corpus_id}"


class VectorSet(models.Model):
    """A named set of a model's value vectors, shared with the team.

    `members` are pairs of layer and index, both from 0, in order and each once. Studies that
    are made from a set keep the members that it had.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    title = models.CharField(max_length=bounds.TITLE)
    note = models.TextField(blank=True)
    model = models.ForeignKey(LanguageModel, on_delete=models.PROTECT, related_name="vector_sets")
    members = models.JSONField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("-changed_at", "-pk")
        constraints = (models.UniqueConstraint(Lower("title"), name="vector_set_title_once"),)

    def __str__(self) -> str:
        return self.title
