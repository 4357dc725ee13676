"""Results as snapshots hold them."""

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from annotation_site.results.models import Snapshot


class TableEntry(serializers.Serializer):
    """A table that can be read or downloaded."""

    name = serializers.CharField()
    rows = serializers.IntegerField()


class SnapshotFields(serializers.Serializer):
    """Tables of one version of a study's data."""

    data_version = serializers.IntegerField()
    finished_at = serializers.DateTimeField(allow_null=True)
    filters = serializers.JSONField()
    counts = serializers.JSONField()
    tables = serializers.SerializerMethodField()

    @extend_schema_field(TableEntry(many=True))
    def get_tables(self, snapshot: Snapshot) -> list[dict[str, object]]:
        return [
            {"name": name, "rows": len(table["rows"])} for name, table in snapshot.tables.items()
        ]


class PendingFields(serializers.Serializer):
    """A snapshot that is to come, or that failed."""

    state = serializers.ChoiceField(Snapshot.State.choices)
    error = serializers.CharField()


class Results(serializers.Serializer):
    """Where a study's results stand; `is_current`: computed from the newest answers."""

    has_answers = serializers.BooleanField()
    is_current = serializers.BooleanField()
    snapshot = SnapshotFields(allow_null=True)
    pending = PendingFields(allow_null=True)


class Column(serializers.Serializer):
    """A column; cells of numbers are null where nothing is defined."""

    name = serializers.CharField()
    kind = serializers.ChoiceField(["text", "number"])


class TablePage(serializers.Serializer):
    """Rows of a table; `limit` and `offset` choose them."""

    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    columns = Column(many=True)
    results = serializers.ListField(child=serializers.ListField(child=serializers.JSONField()))
