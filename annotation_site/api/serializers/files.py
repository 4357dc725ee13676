"""Files of a study: its figures, and exports by a worker."""

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from annotation_site.api.calls import Fields, PageQuery
from annotation_site.api.serializers.results import SnapshotQuery
from annotation_site.public.selectors import STATES
from annotation_site.results.figures.files import TYPES
from annotation_site.results.files.jobs import CONTENTS
from annotation_site.results.models import ExportJob

DATA = "csv"
# Fields of a publication's state that have its attributes' names.
STATE = ("is_public", "is_indexed", "state", "is_current", "problem", "against", "error",
         "switched_on_at")  # fmt: skip


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


class NewPublication(Fields):
    """Whether to switch a study's public page on, or to write it for a look alone, and whether
    search engines may list it."""

    is_public = serializers.BooleanField(default=True)
    is_indexed = serializers.BooleanField(default=False)


class PublicationFields(serializers.Serializer):
    """A study's public page. `state` is that of its files, "none" without any, and `is_current`
    whether they are of the study's newest data.

    `problem` says why the study may have no public page, `against` which unfinished studies stand
    against it; both are empty where nothing does. `url` is null while the page is off.
    """

    is_public = serializers.BooleanField()
    is_indexed = serializers.BooleanField()
    state = serializers.ChoiceField(STATES)
    is_current = serializers.BooleanField()
    problem = serializers.CharField(allow_blank=True)
    against = serializers.CharField(allow_blank=True)
    error = serializers.CharField(allow_blank=True)
    switched_on_at = serializers.DateTimeField(allow_null=True)
    url = serializers.CharField(allow_null=True)
