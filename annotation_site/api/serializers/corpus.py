"""Models, extractions and their vectors."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from annotation_site.api.calls import MOST, Fields, PageQuery
from annotation_site.corpus.models import Extraction, Kind
from ffn_extract.options import ALL, KINDS, ORIENTATIONS, PROJECTIONS, RANDOM_GRAINS


class Model(serializers.Serializer):
    """A model whose vectors were read."""

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
    """An extraction in a list."""

    id = serializers.UUIDField(source="public_id")
    model_source = serializers.CharField()
    model = Model(allow_null=True)
    state = serializers.ChoiceField(Extraction.State.choices)
    kinds = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)

    def get_kinds(self, extraction: Extraction) -> list[str]:
        return list(extraction.parameters.get("kinds", KINDS))


class Step(serializers.Serializer):
    """One step of a run."""

    key = serializers.CharField()
    title = serializers.CharField()
    state = serializers.ChoiceField(["waiting", "running", "done", "failed"])
    done = serializers.IntegerField()
    total = serializers.IntegerField()


class Layer(serializers.Serializer):
    """One layer of a run that is cut by layer; `rate` in vectors a second."""

    layer = serializers.IntegerField()
    state = serializers.CharField()
    worker = serializers.CharField()
    done = serializers.IntegerField()
    total = serializers.IntegerField()
    seconds = serializers.FloatField(allow_null=True)
    rate = serializers.FloatField(allow_null=True)
    attempts = serializers.IntegerField()


class Layers(serializers.Serializer):
    """How far the layers are."""

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


@extend_schema_field({"oneOf": [{"type": "integer", "minimum": 1}, {"enum": [ALL]}]})
class PerLayer(serializers.Field):
    """A number of vectors, or the word all."""

    def to_internal_value(self, data: Any) -> Any:
        return data  # ExtractOptions says what is wrong with it

    def to_representation(self, value: Any) -> Any:
        return value


class NewExtraction(Fields):
    """What to extract, in the words of `ffn_extract extract`; ExtractOptions checks the whole."""

    model = serializers.CharField(max_length=300)
    kinds = serializers.ListField(child=serializers.ChoiceField(list(KINDS)), required=False)
    per_layer = PerLayer(required=False, help_text=f"a number, or “{ALL}”")
    drawn_per_layer = serializers.IntegerField(required=False, min_value=1, max_value=MOST)
    top_k = serializers.IntegerField(required=False, min_value=1, max_value=100)
    seed = serializers.IntegerField(required=False, min_value=0, max_value=2**63 - 1)
    projection = serializers.ChoiceField(list(PROJECTIONS), required=False)
    random_grain = serializers.ChoiceField(list(RANDOM_GRAINS), required=False)
    glosses = serializers.ListField(child=serializers.CharField(max_length=40), required=False)
    drop_special = serializers.BooleanField(required=False)
    through_head = serializers.BooleanField(required=False)
    revision = serializers.CharField(required=False, max_length=200)
    name = serializers.CharField(required=False, max_length=300)
    value_tensor = serializers.CharField(required=False, max_length=300)
    key_tensor = serializers.CharField(required=False, max_length=300)
    unembedding_tensor = serializers.CharField(required=False, max_length=300)
    orientation = serializers.ChoiceField(list(ORIENTATIONS), required=False)


class VectorsQuery(Fields):
    """Vectors of a kind, of a layer, and with a token in their list."""

    kind = serializers.ChoiceField(Kind.choices, default="", allow_blank=True)
    layer = serializers.IntegerField(min_value=0, max_value=100_000, default=None, allow_null=True)
    token = serializers.CharField(
        max_length=200, default="", allow_blank=True, help_text="in any case, whole or a piece"
    )
    page = serializers.IntegerField(min_value=1, max_value=1_000_000, default=1)


class ShownToken(serializers.Serializer):
    """A token at its rank; `wanted` where it is one that was searched for."""

    rank = serializers.IntegerField()
    display = serializers.CharField()
    wanted = serializers.BooleanField()


class ShownVector(serializers.Serializer):
    """A vector with its highest-scoring tokens and, where stored, its lowest."""

    kind = serializers.ChoiceField(Kind.choices, source="vector.kind")
    layer = serializers.IntegerField(source="vector.layer")
    index = serializers.IntegerField(source="vector.index")
    norm = serializers.FloatField(source="vector.norm")
    context = serializers.CharField(source="vector.context")  # type: ignore[assignment]
    top = ShownToken(many=True)
    bottom = ShownToken(many=True)


class Vectors(serializers.Serializer):
    """A page of vectors. Counting stops early: `more_than_counted` says that there are more."""

    count = serializers.IntegerField()
    more_than_counted = serializers.BooleanField(source="is_more")
    next_page = serializers.IntegerField(allow_null=True)
    results = ShownVector(source="vectors", many=True)
