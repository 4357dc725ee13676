"""Files of a study: its figures, and exports by a worker."""

from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from annotation_site.api.calls import Fields, PageQuery
from annotation_site.api.serializers.results import SnapshotQuery
from annotation_site.results.files.jobs import CONTENTS
from annotation_site.results.models import ExportJob

VARIANTS = ["wide-light", "wide-dark", "narrow-light", "narrow-dark"]
"""Layouts and themes of an SVG; a PDF or PNG is for print and has one."""
DATA = "csv"


class FiguresQuery(PageQuery, SnapshotQuery):
    """Filter of figures and snapshot."""


class FigureQuery(SnapshotQuery):
    """The snapshot of a figure, and for an SVG its layout and theme."""

    variant = serializers.ChoiceField(VARIANTS, default=VARIANTS[0])


class FigureFile(serializers.Serializer):
    """One file of a figure; `variant` is null if there is only one."""

    extension = serializers.CharField()
    variant = serializers.CharField(allow_null=True)
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
        found: list[tuple[str, str | None]] = [("svg", variant) for variant in VARIANTS]
        found += [(extension, None) for extension in ("pdf", "png", DATA)]
        return [
            {
                "extension": extension,
                "variant": variant,
                "url": reverse("api:figure", args=[slug, figure["name"], extension])
                + "?"
                + urlencode({"snapshot": snapshot} | ({"variant": variant} if variant else {})),
            }
            for extension, variant in found
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
