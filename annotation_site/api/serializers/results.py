"""Results as stored in snapshots."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from annotation_site.annotation.models import MOST_RANKS
from annotation_site.api.calls import MOST, Fields, PageQuery
from annotation_site.corpus.models import Kind
from annotation_site.results.models import Snapshot
from annotation_site.results.snapshots.selectors import measures_of, table_names
from annotation_site.results.tables.filters import ADJUDICATED


def some(child: serializers.Field) -> serializers.ListField:
    """A choice of at least one value; all of them if left out."""
    return serializers.ListField(child=child, required=False, allow_empty=False, max_length=1000)


def layer() -> serializers.IntegerField:
    """A layer, from 0."""
    return serializers.IntegerField(min_value=0, max_value=100_000, required=False)


class Filter(Fields):
    """The filter of results, as on the page; missing fields exclude nothing.

    `people` are their codes in the study. `min_tokens` is the study's own where it is left out.
    """

    min_tokens = serializers.IntegerField(min_value=1, max_value=MOST_RANKS, required=False)
    kinds = some(serializers.ChoiceField(Kind.choices))
    layer_from = layer()
    layer_to = layer()
    categories = some(serializers.CharField(max_length=100))
    people = some(serializers.CharField(max_length=100))
    day_from = serializers.DateField(required=False, help_text="both days are included; UTC")
    day_to = serializers.DateField(required=False)
    adjudicated = serializers.ChoiceField(list(ADJUDICATED.items()), required=False)
    machine_annotators = serializers.BooleanField(
        required=False, help_text="whether machine annotators count as people"
    )


class SnapshotQuery(Fields):
    """The snapshot: by its number, or the newest unfiltered one."""

    snapshot = serializers.IntegerField(min_value=1, max_value=MOST, default=None, allow_null=True)


class TableQuery(PageQuery, SnapshotQuery):
    """Rows of a table, and the snapshot."""


class TableEntry(serializers.Serializer):
    """A table that can be read or downloaded."""

    name = serializers.CharField()
    rows = serializers.IntegerField()


class SnapshotBrief(serializers.Serializer):
    """Results of one version of a study's data, with the progress of their computation.

    `step` says what is being done, `step_done` of `step_total` how much.
    """

    id = serializers.IntegerField(source="pk")
    state = serializers.ChoiceField(Snapshot.State.choices)
    error = serializers.CharField()
    data_version = serializers.IntegerField()
    measures_version = serializers.IntegerField()
    filters = serializers.JSONField()
    counts = serializers.JSONField()
    step = serializers.CharField()
    step_done = serializers.IntegerField()
    step_total = serializers.IntegerField()
    requested_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class SnapshotFields(SnapshotBrief):
    """The same with its tables, and the definition of each measure in them."""

    tables = serializers.SerializerMethodField()
    measures = serializers.SerializerMethodField()

    @extend_schema_field(serializers.JSONField())
    def get_measures(self, snapshot: Snapshot) -> dict[str, Any]:
        return measures_of(snapshot)

    @extend_schema_field(TableEntry(many=True))
    def get_tables(self, snapshot: Snapshot) -> list[dict[str, Any]]:
        return [
            {"name": name, "rows": len(snapshot.tables[name]["rows"])}
            for name in table_names(snapshot)
        ]


class Results(serializers.Serializer):
    """State of the results; `is_current`: the snapshot is computed from the newest annotations.

    `pending` is the one that is to come, or that failed. `people` are the codes of those who have
    answered, which a filter takes.
    """

    has_annotations = serializers.BooleanField()
    is_current = serializers.BooleanField()
    people = serializers.ListField(child=serializers.CharField())
    snapshot = SnapshotFields(allow_null=True)
    pending = SnapshotBrief(allow_null=True)


class Column(serializers.Serializer):
    """A column; undefined numbers are null."""

    name = serializers.CharField()
    kind = serializers.ChoiceField(["text", "number"])


class TablePage(serializers.Serializer):
    """Rows of a table; `limit` and `offset` choose them."""

    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    columns = Column(many=True)
    results = serializers.ListField(child=serializers.ListField(child=serializers.JSONField()))
