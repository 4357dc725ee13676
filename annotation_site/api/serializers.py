"""What the API accepts, field by field. Answers are checked by annotation.answers."""

import json
from collections.abc import Iterator
from typing import Any

from rest_framework import serializers

from annotation_site.annotation.answers import is_storable
from annotation_site.annotation.submissions import MOST_DRAFT_BYTES


class DraftContent(serializers.JSONField):
    """An unfinished answer: an object of bounded size, otherwise the page's own business."""

    def to_internal_value(self, data: Any) -> Any:
        value = super().to_internal_value(data)
        if not isinstance(value, dict):
            raise serializers.ValidationError("A draft is a JSON object.")
        if len(json.dumps(value)) > MOST_DRAFT_BYTES:
            raise serializers.ValidationError(f"A draft has at most {MOST_DRAFT_BYTES} bytes.")
        if not all(is_storable(text) for text in _texts(value)):
            raise serializers.ValidationError("A draft holds NUL or half of a character.")
        return value


def _texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


class DraftSerializer(serializers.Serializer):
    base_version = serializers.IntegerField(min_value=0)
    content = DraftContent()
    active_seconds = serializers.IntegerField(min_value=0, max_value=10_000_000)


class SubmitSerializer(serializers.Serializer):
    base_version = serializers.IntegerField(min_value=0)
    key = serializers.UUIDField()
    answer = serializers.JSONField()
    active_seconds = serializers.IntegerField(min_value=0, max_value=10_000_000)


class SkipSerializer(serializers.Serializer):
    base_version = serializers.IntegerField(min_value=0)
    key = serializers.UUIDField()
    reason = serializers.CharField(max_length=500)
    active_seconds = serializers.IntegerField(min_value=0, max_value=10_000_000, default=0)
