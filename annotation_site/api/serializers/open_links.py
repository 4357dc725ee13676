"""Open links, by which people of a crowd join a study."""

from typing import Any

from django.urls import reverse
from rest_framework import serializers

from annotation_site.annotation.crowd import links
from annotation_site.annotation.crowd.checks import MOST_TEXT
from annotation_site.annotation.crowd.models import OpenLink
from annotation_site.api.calls import Fields


class NewOpenLink(Fields):
    """Settings of an open link."""

    name = serializers.CharField(max_length=100)
    ends_at = serializers.DateTimeField()
    most_people = serializers.IntegerField(min_value=1, max_value=links.MOST_PEOPLE)
    most_lists = serializers.IntegerField(
        min_value=1, max_value=links.MOST_LISTS, help_text="of one participant"
    )
    preset = serializers.ChoiceField(OpenLink.Preset.choices, required=False)
    parameter = serializers.CharField(
        max_length=40, allow_blank=True, required=False,
        help_text="of the address, with the participant id",
    )  # fmt: skip
    completion = serializers.ChoiceField(OpenLink.Completion.choices, required=False)
    completion_code = serializers.CharField(max_length=64, allow_blank=True, required=False)
    redirect_url = serializers.CharField(max_length=500, allow_blank=True, required=False)
    questions = serializers.CharField(
        max_length=MOST_TEXT, allow_blank=True, required=False,
        help_text="the comprehension check, written as on the page",
    )  # fmt: skip
    attempts = serializers.IntegerField(min_value=1, max_value=2, required=False)
    idle_hours = serializers.IntegerField(
        min_value=1, max_value=links.MOST_IDLE_HOURS, required=False
    )
    keep_days = serializers.IntegerField(
        min_value=1, max_value=links.MOST_DAYS, required=False,
        help_text="days until participant ids are erased",
    )  # fmt: skip


class OpenLinkChange(NewOpenLink):
    """Changed settings of an open link; what is left out stays."""

    def get_fields(self) -> dict[str, serializers.Field]:
        """The settings, all of them optional."""
        found = super().get_fields()
        for field in found.values():
            field.required = False
        return found


class OpenLinkState(Fields):
    """Whether people can join."""

    open = serializers.BooleanField()


class OpenLinkFields(serializers.Serializer):
    """An open link with its settings; `shut` says why nobody can join by it now."""

    id = serializers.UUIDField(source="public_id")
    address = serializers.SerializerMethodField()
    shut = serializers.SerializerMethodField()
    closed_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    settings = serializers.SerializerMethodField()

    def get_address(self, link: OpenLink) -> str:
        path = reverse("annotation:open_link", args=[link.token])
        return links.address_with_parameters(link, self.context["request"].build_absolute_uri(path))

    def get_shut(self, link: OpenLink) -> str:
        return links.why_shut(link)

    def get_settings(self, link: OpenLink) -> dict[str, Any]:
        given: dict[str, Any] = NewOpenLink(links.settings_of(link)).data
        return given
