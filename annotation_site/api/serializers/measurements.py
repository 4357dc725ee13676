"""Measurements, their tables and their files."""

from typing import Any

from rest_framework import serializers

from annotation_site import bounds
from annotation_site.api.calls import MOST, MOST_ROWS, Fields, PageQuery
from annotation_site.api.serializers.corpus import LogLine, Model, Step, option_field
from annotation_site.measurements.models import Measurement as Row
from annotation_site.measurements.options import OFFERED
from ffn_extract.measurements import MEASUREMENTS
from ffn_extract.options import WORDNET_CORPUS

__all__ = ["LogLine", "Model"]
NAMES = list(MEASUREMENTS)
_CELL = "a whole number, a number, a word, or null where a number is undefined"


class MeasurementsQuery(PageQuery):
    """Measurements of a model, of a kind or in a state."""

    model = serializers.IntegerField(min_value=1, max_value=MOST, default=None, allow_null=True)
    name = serializers.ChoiceField(NAMES, default="", allow_blank=True)
    state = serializers.ChoiceField(Row.State.choices, default="", allow_blank=True)


class MeasurementBrief(serializers.Serializer):
    """A measurement in a collection."""

    id = serializers.UUIDField(source="public_id")
    name = serializers.ChoiceField(NAMES)
    title = serializers.CharField()
    model = Model()
    corpus = serializers.CharField(source="corpus_source")
    corpus_name = serializers.CharField()
    state = serializers.ChoiceField(Row.State.choices)
    requested_by = serializers.UUIDField(
        source="requested_by.public_id", allow_null=True, default=None
    )
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class MeasurementFile(serializers.Serializer):
    """A file of a ready measurement."""

    name = serializers.CharField()
    media_type = serializers.CharField()
    size = serializers.IntegerField(help_text="bytes")
    sha256 = serializers.CharField()


class MeasurementWhole(MeasurementBrief):
    """A measurement with its progress, its options and what it gave.

    `about` says what it is and what each column of each table holds; `words` are its result in
    words; `tables` names the tables. All are empty until it is ready.
    """

    parameters = serializers.JSONField()
    steps = Step(many=True)
    error = serializers.CharField()
    expected_seconds = serializers.FloatField(allow_null=True)
    started_at = serializers.DateTimeField(allow_null=True)
    about = serializers.JSONField()
    words = serializers.CharField()
    counts = serializers.JSONField()
    environment = serializers.JSONField()
    digest = serializers.CharField()
    tables = serializers.ListField(child=serializers.CharField(), source="table_names")
    files = MeasurementFile(many=True, source="kept_files")


class MeasureOptions(Fields):
    """The options of `ffn-extract measure` that can be chosen here; null means the default."""

    def get_fields(self) -> dict[str, serializers.Field]:
        """A field for each option, from its declaration."""
        fields = {one.name: option_field(one) for one in OFFERED.values()}
        for field in fields.values():
            field.allow_null = True
        return fields


class NewMeasurement(Fields):
    """A measurement to enqueue, of a model that was extracted here."""

    name = serializers.ChoiceField(NAMES)
    model = serializers.IntegerField(
        min_value=1, max_value=MOST, help_text="the id of a model of `/measurements/models`"
    )
    corpus = serializers.CharField(
        max_length=bounds.MODEL,
        default=WORDNET_CORPUS,
        help_text="an uploaded corpus' reference, a file's name in CORPORA_DIR, or “wordnet”",
    )
    title = serializers.CharField(max_length=bounds.TITLE, default="", allow_blank=True)
    options = MeasureOptions(required=False)


class MeasurementRenamed(Fields):
    """Another title of a measurement."""

    title = serializers.CharField(max_length=bounds.TITLE)


class MeasurementEstimate(serializers.Serializer):
    """Estimate of a measurement: seconds of one worker, and bytes of memory."""

    seconds = serializers.FloatField()
    memory_bytes = serializers.IntegerField()


class MeasurementForecast(serializers.Serializer):
    """An estimate beside this machine's memory.

    `measured` tells whether the time rests on measurements of this site.
    """

    estimate = MeasurementEstimate()
    measured = serializers.BooleanField()
    free_memory = serializers.IntegerField(allow_null=True)
    memory_is_short = serializers.BooleanField()


class TableQuery(Fields):
    """Some rows of a table."""

    limit = serializers.IntegerField(min_value=1, max_value=MOST_ROWS * 50, default=1_000)
    offset = serializers.IntegerField(min_value=0, max_value=MOST, default=0)


class MeasurementTable(serializers.Serializer):
    """A table: its columns, what they hold, and rows of cells in the columns' order."""

    name = serializers.CharField()
    columns = serializers.ListField(child=serializers.CharField())
    about = serializers.DictField(child=serializers.CharField())
    count = serializers.IntegerField(help_text="of all rows")
    rows = serializers.ListField(
        child=serializers.ListField(child=serializers.JSONField(allow_null=True)), help_text=_CELL
    )


class JoinedRow(serializers.Serializer):
    """A row of two measurements: its keys, and of each value [first, second, difference]."""

    keys = serializers.ListField(child=serializers.JSONField(allow_null=True))
    values = serializers.ListField(
        child=serializers.ListField(child=serializers.JSONField(allow_null=True))
    )


class JoinedTable(serializers.Serializer):
    """A table of two measurements of a kind, joined on its key columns."""

    name = serializers.CharField()
    keys = serializers.ListField(child=serializers.CharField())
    values = serializers.ListField(child=serializers.CharField())
    rows = serializers.SerializerMethodField()

    def get_rows(self, table: Any) -> list[dict[str, Any]]:
        return [
            {
                "keys": list(keys),
                "values": [[pair.first, pair.second, pair.difference] for pair in pairs],
            }
            for keys, pairs in table.rows
        ]


class SideBySide(serializers.Serializer):
    """Two measurements of a kind."""

    tables = JoinedTable(many=True)
