"""Data sets of a study."""

from rest_framework import serializers

from annotation_site.api.calls import Fields
from annotation_site.data_sets.licences import LICENCES
from annotation_site.data_sets.models import DataSet
from annotation_site.data_sets.options import AUTHOR, MOST_AUTHORS, TITLE


class NewDataSet(Fields):
    """A data set to request. There is no default licence; without `authors`, nobody is named."""

    licence = serializers.ChoiceField([(key, one.title) for key, one in LICENCES.items()])
    with_times = serializers.BooleanField(default=False)
    with_comments = serializers.BooleanField(default=False)
    title = serializers.CharField(max_length=TITLE, default="", allow_blank=True)
    authors = serializers.ListField(
        child=serializers.CharField(max_length=AUTHOR), max_length=MOST_AUTHORS, default=list
    )


class DataSetFields(serializers.Serializer):
    """A requested data set. Each annotation is written twice, so `total` is twice their number.

    Once it is ready it has its `size` in bytes, its `sha256`, and the time when it is removed.
    """

    id = serializers.UUIDField(source="public_id")
    licence = serializers.CharField()
    with_times = serializers.BooleanField()
    with_comments = serializers.BooleanField()
    title = serializers.CharField(allow_blank=True)
    authors = serializers.ListField(child=serializers.CharField())
    day = serializers.DateField()
    state = serializers.ChoiceField(DataSet.State.choices)
    done = serializers.IntegerField()
    total = serializers.IntegerField()
    size = serializers.IntegerField(allow_null=True)
    sha256 = serializers.CharField()
    error = serializers.CharField()
    requested_by = serializers.UUIDField(
        source="requested_by.public_id", allow_null=True, default=None
    )
    requested_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
