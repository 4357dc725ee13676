"""Sets of vectors."""

from rest_framework import serializers

from annotation_site import bounds
from annotation_site.api.calls import MOST, Fields
from annotation_site.corpus.vector_sets import MOST_PLACES

MOST_WORD = 20  # characters of a layer and an index


class PlacesField(serializers.ListField):
    """Places as texts: LAYER:INDEX."""

    child = serializers.RegexField(r"^[0-9]{1,9}:[0-9]{1,9}$", max_length=MOST_WORD)


class BriefSet(serializers.Serializer):
    """A set; `vectors` counts those that the reader sees. `model` is the number of its model."""

    id = serializers.UUIDField(source="vector_set.public_id")
    title = serializers.CharField(source="vector_set.title")
    note = serializers.CharField(source="vector_set.note")
    model = serializers.IntegerField(source="vector_set.model_id")
    model_name = serializers.CharField(source="vector_set.model.name")
    vectors = serializers.IntegerField()
    created_by = serializers.UUIDField(
        source="vector_set.created_by.public_id", allow_null=True, default=None
    )
    created_at = serializers.DateTimeField(source="vector_set.created_at")
    changed_at = serializers.DateTimeField(source="vector_set.changed_at")


class WholeSet(BriefSet):
    """A set with its vectors. `hidden` are so many that the reader annotates and does not see."""

    members = serializers.ListField(child=serializers.CharField(), source="places")
    hidden = serializers.IntegerField()


class ChangedSet(Fields):
    """Changes of a set. Vectors that the reader does not see stay members."""

    title = serializers.CharField(max_length=bounds.TITLE, required=False)
    note = serializers.CharField(
        max_length=bounds.VECTOR_SET_NOTE, required=False, allow_blank=True
    )
    members = PlacesField(source="places", required=False, max_length=MOST_PLACES)
    add = PlacesField(required=False, max_length=MOST_PLACES)


class NewSet(Fields):
    """A set of vectors to make."""

    title = serializers.CharField(max_length=bounds.TITLE)
    note = serializers.CharField(max_length=bounds.VECTOR_SET_NOTE, default="", allow_blank=True)
    model = serializers.IntegerField(min_value=1, max_value=MOST)
    members = PlacesField(
        source="places", max_length=MOST_PLACES, help_text="LAYER:INDEX, both from 0"
    )
