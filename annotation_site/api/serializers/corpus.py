"""Models, extractions and their vectors."""

from typing import Any

from drf_spectacular.drainage import set_override
from rest_framework import serializers

from annotation_site import bounds
from annotation_site.api.calls import Fields, PageQuery
from annotation_site.corpus.models import Extraction, Kind
from annotation_site.corpus.receiving import MOST_FILES
from ffn_extract.bundle import BUNDLE_FILES, OPTIONAL_FILES
from ffn_extract.chosen_vectors import MAX_VECTORS
from ffn_extract.option_types import Choice, Flag, Integer, Names, Number, Places, Text
from ffn_extract.options import OPTIONS, USUAL_KINDS, Option

MAX_PLACE = 30
"""Characters of one chosen vector, LAYER:INDEX."""


class Model(serializers.Serializer):
    """A model with extracted vectors."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    revision = serializers.CharField()
    model_type = serializers.CharField()
    n_layers = serializers.IntegerField()
    d_model = serializers.IntegerField()
    d_ff = serializers.IntegerField()
    vocab_size = serializers.IntegerField()
    vocabulary = serializers.CharField()
    weights_digest = serializers.CharField()


class ExtractionsQuery(PageQuery):
    """Extractions in one state."""

    state = serializers.ChoiceField(Extraction.State.choices, default="", allow_blank=True)


class Brief(serializers.Serializer):
    """An extraction in a collection."""

    id = serializers.UUIDField(source="public_id")
    title = serializers.CharField()
    model_source = serializers.CharField()
    model = Model(allow_null=True)
    state = serializers.ChoiceField(Extraction.State.choices)
    kinds = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)

    def get_kinds(self, extraction: Extraction) -> list[str]:
        return list(extraction.parameters.get("kinds", USUAL_KINDS))


class Step(serializers.Serializer):
    """One step of a run."""

    key = serializers.CharField()
    title = serializers.CharField()
    state = serializers.ChoiceField(["waiting", "running", "done", "failed"])
    done = serializers.IntegerField()
    total = serializers.IntegerField()


class Layer(serializers.Serializer):
    """One layer of an extraction of all vectors; `rate` in vectors a second."""

    layer = serializers.IntegerField()
    state = serializers.CharField()
    worker = serializers.CharField()
    done = serializers.IntegerField()
    total = serializers.IntegerField()
    seconds = serializers.FloatField(allow_null=True)
    rate = serializers.FloatField(allow_null=True)
    attempts = serializers.IntegerField()


class Layers(serializers.Serializer):
    """Progress of the layers."""

    layers = Layer(many=True)
    layers_done = serializers.IntegerField()
    done = serializers.IntegerField()
    total = serializers.IntegerField()
    rate = serializers.FloatField(allow_null=True)
    seconds_left = serializers.FloatField(allow_null=True)


class Whole(Brief):
    """An extraction with its progress, parameters and digests."""

    parameters = serializers.JSONField()
    steps = Step(many=True)
    layers = Layers(source="layers_state", allow_null=True)
    error = serializers.CharField()
    bundle_digest = serializers.CharField(allow_null=True)
    same_as = serializers.UUIDField(source="same_as.public_id", allow_null=True, default=None)
    counts = serializers.JSONField()
    environment = serializers.JSONField()
    started_at = serializers.DateTimeField(allow_null=True)


class PerLayer(serializers.IntegerField):
    """A whole number, or a word in its place."""

    def __init__(self, word: str, **options: Any) -> None:
        super().__init__(**options)
        self.word = word
        number = {"type": "integer", "minimum": self.min_value, "maximum": self.max_value}
        set_override(self, "field", {"oneOf": [number, {"enum": [word]}]})

    def run_validation(self, data: Any = serializers.empty) -> Any:
        return data if data == self.word else super().run_validation(data)


def option_field(option: Option) -> serializers.Field:
    """The field of an option, from its declaration.

    null is the same as nothing, so that an extraction's parameters can be sent again.
    """
    help = option.help if option.page_help is None else option.page_help
    settings: dict[str, Any] = {"required": False, "help_text": help or None}
    if option.optional:
        settings["allow_null"] = True
    match option.type:
        case Flag():
            return serializers.BooleanField(**settings)
        case Choice(meanings):
            return serializers.ChoiceField(list(meanings), **settings)
        case Names(known):
            word = serializers.ChoiceField(list(known))
            return serializers.ListField(child=word, max_length=len(known), **settings)
        case Integer(low, high, in_place, most=most):
            settings |= {"min_value": low, "max_value": most or high}
            return (
                PerLayer(in_place, **settings) if in_place else serializers.IntegerField(**settings)
            )
        case Number():
            return serializers.FloatField(**settings)
        case Places():
            child = serializers.CharField(max_length=MAX_PLACE)
            return serializers.ListField(
                child=child, allow_empty=False, max_length=MAX_VECTORS, **settings
            )
        case Text(most=most):
            return serializers.CharField(max_length=most, **settings)
    raise TypeError(f"no field for {option.type}")


class NewExtraction(Fields):
    """An extraction to enqueue, with the options of `ffn_extract extract`; ExtractOptions checks
    them.
    """

    model = serializers.CharField(max_length=bounds.MODEL)
    title = serializers.CharField(
        max_length=bounds.TITLE,
        required=False,
        help_text="what pages call the extraction; else a name made of the model and the options",
    )

    def get_fields(self) -> dict[str, serializers.Field]:
        """The model, and a field for each option."""
        return {**super().get_fields(), **{o.name: option_field(o) for o in OPTIONS.values()}}


class Renamed(Fields):
    """Another title of an extraction."""

    title = serializers.CharField(max_length=bounds.TITLE)


class Estimate(serializers.Serializer):
    """Estimate of an extraction: seconds of one worker, bytes of memory and of disk."""

    lists = serializers.IntegerField()
    tokens = serializers.IntegerField()
    seconds = serializers.FloatField()
    memory_bytes = serializers.IntegerField()
    disk_bytes = serializers.IntegerField()


class Forecast(serializers.Serializer):
    """An estimate beside the machine's resources; null while a model's sizes are unknown.

    `measured` tells whether the time rests on extractions of this site.
    """

    estimate = Estimate(allow_null=True)
    measured = serializers.BooleanField()
    free_disk = serializers.IntegerField(allow_null=True)
    free_memory = serializers.IntegerField(allow_null=True)
    disk_is_short = serializers.BooleanField()
    memory_is_short = serializers.BooleanField()


class BundleFiles(Fields):
    """A bundle made elsewhere."""

    files = serializers.ListField(
        child=serializers.FileField(),
        max_length=MOST_FILES,
        help_text=f"{', '.join(sorted(BUNDLE_FILES))} and, where the bundle has them, "
        f"{' and '.join(sorted(OPTIONAL_FILES))}; or one .zip of the folder that holds them",
    )


class Corpus(serializers.Serializer):
    """An uploaded corpus; an extraction names it as `reference`."""

    id = serializers.UUIDField(source="public_id")
    reference = serializers.CharField()
    name = serializers.CharField()
    licence = serializers.CharField()
    sentences = serializers.IntegerField()
    size = serializers.IntegerField(help_text="bytes of UTF-8")
    digest = serializers.CharField()
    uploaded_by = serializers.UUIDField(
        source="uploaded_by.public_id", allow_null=True, default=None
    )
    created_at = serializers.DateTimeField()


class CorpusWords(Fields):
    """The name and licence of a corpus."""

    name = serializers.CharField(max_length=bounds.CORPUS_NAME)
    licence = serializers.CharField(max_length=bounds.LICENCE, default="", allow_blank=True)


class NewCorpus(CorpusWords):
    """A corpus to upload."""

    file = serializers.FileField(help_text="UTF-8 text with a sentence on each line")


class LogLine(serializers.Serializer):
    """An entry of an extraction's log; `person` is the actor, if there is one."""

    at = serializers.DateTimeField()
    text = serializers.CharField()
    person = serializers.UUIDField(source="person.public_id", allow_null=True, default=None)


class WorkerFields(serializers.Serializer):
    """One worker; `extraction` is its current extraction, `what` the step or layer, `since` its
    start.
    """

    host = serializers.CharField()
    process = serializers.CharField()
    extracts = serializers.BooleanField()
    is_alive = serializers.BooleanField()
    started_at = serializers.DateTimeField()
    seen_at = serializers.DateTimeField()
    extraction = serializers.UUIDField(source="doing.public_id", allow_null=True, default=None)
    what = serializers.CharField()
    since = serializers.DateTimeField(allow_null=True)


class Workers(serializers.Serializer):
    """All workers, how many are alive and extract, and how much work waits."""

    workers = WorkerFields(many=True)
    extracting = serializers.IntegerField()
    extractions_waiting = serializers.IntegerField()
    layers_waiting = serializers.IntegerField()


class VectorsQuery(Fields):
    """Vectors of a kind, of a layer, and with a token in their list."""

    kind = serializers.ChoiceField(Kind.choices, default="", allow_blank=True)
    layer = serializers.IntegerField(min_value=0, max_value=100_000, default=None, allow_null=True)
    token = serializers.CharField(
        max_length=bounds.SEARCHED_TOKEN,
        default="",
        allow_blank=True,
        help_text="in any case, whole or a piece",
    )
    page = serializers.IntegerField(min_value=1, max_value=1_000_000, default=1)


class ShownToken(serializers.Serializer):
    """A token at its rank; `wanted` if the query searched for it."""

    rank = serializers.IntegerField()
    display = serializers.CharField()
    wanted = serializers.BooleanField()


class ShownVector(serializers.Serializer):
    """A vector with its highest-scoring tokens and, where stored, its lowest."""

    kind = serializers.ChoiceField(Kind.choices, source="vector.kind")
    layer = serializers.IntegerField(source="vector.layer")
    index = serializers.IntegerField(source="vector.index")
    norm = serializers.FloatField(source="vector.norm", allow_null=True)
    context = serializers.CharField(source="vector.context")  # type: ignore[assignment]
    top = ShownToken(many=True)
    bottom = ShownToken(many=True)


class Vectors(serializers.Serializer):
    """A page of vectors. Counting stops early: `more_than_counted` says that there are more.

    `left_out` lists of the whole extraction are hidden from the person, whatever is asked for.
    """

    count = serializers.IntegerField()
    more_than_counted = serializers.BooleanField(source="is_more")
    left_out = serializers.IntegerField()
    next_page = serializers.IntegerField(allow_null=True)
    results = ShownVector(source="vectors", many=True)
