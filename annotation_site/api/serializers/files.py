"""Files of a study: its figures, and exports by a worker."""

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from annotation_site.api.calls import Fields, PageQuery
from annotation_site.api.serializers.results import SnapshotQuery
from annotation_site.results.figures.files import TYPES
from annotation_site.results.files.jobs import CONTENTS
from annotation_site.results.models import ExportJob

DATA = "csv"


class FiguresQuery(PageQuery, SnapshotQuery):
    """Filter of figures and snapshot."""


class FigureFile(serializers.Serializer):
    """One file of a figure; `variant` is null if there is only one."""

    extension = serializers.CharField()
    url = serializers.CharField()


class FigureFields(serializers.Serializer):
    """A figure; `alt` describes it in words, `table` names the source of its numbers."""

    name = serializers.CharField()
    title = serializers.CharField()
    alt = serializers.CharField()
    table = serializers.CharField()
    files = serializers.SerializerMethodField()

    @extend_schema_field(FigureFile(many=True))
    def get_files(self, figure: dict[str, Any]) -> list[dict[str, Any]]:
        slug, snapshot = self.context["slug"], self.context["snapshot"]
        return [
            {
                "extension": extension,
                "url": reverse("api:figure", args=[slug, figure["name"], extension])
                + f"?snapshot={snapshot}",
            }
            for extension in (*TYPES, DATA)
        ]


class NewExport(Fields):
    """A file to request, with or without names; without names, everybody is a code."""

    content = serializers.ChoiceField(
        [(key, f"{content.title}: {content.help}") for key, content in CONTENTS.items()]
    )
    with_names = serializers.BooleanField(default=False)


class ExportFields(serializers.Serializer):
    """A requested file; `done` of `total` annotations are in it.

    Once it is ready it has its `size` in bytes, its `sha256`, and the time when it is removed.
    """

    id = serializers.UUIDField(source="public_id")
    content = serializers.CharField()
    with_names = serializers.BooleanField()
    state = serializers.ChoiceField(ExportJob.State.choices)
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
