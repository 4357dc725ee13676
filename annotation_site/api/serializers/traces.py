"""Fields of traces."""

from rest_framework import serializers

from annotation_site import bounds
from annotation_site.api.calls import MOST, Fields
from annotation_site.api.serializers.corpus import Model
from annotation_site.traces.models import Trace as Row
from annotation_site.traces.services import (
    ACTIONS,
    MOST_INTERVENTIONS,
    MOST_NEW_TOKENS,
    MOST_TOKENS,
    MOST_VALUE,
    NEW_TOKENS,
)


class TraceBrief(serializers.Serializer):
    """A trace in a collection. Its prompt and result are deleted at `expires_at`."""

    id = serializers.UUIDField(source="public_id")
    model = Model()
    prompt = serializers.CharField()
    state = serializers.ChoiceField(Row.State.choices)
    is_shared = serializers.BooleanField(help_text="whether the team sees it")
    requested_by = serializers.UUIDField(
        source="requested_by.public_id", allow_null=True, default=None
    )
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField()


class TraceWhole(TraceBrief):
    """A trace with its request, and with its result once it is ready.

    `before` counts the traces that have their turn before it. The result is that of `ffn-extract
    trace --format json`, with labels. What the reader annotates in an unfinished study is left out:
    `hidden` counts it for each layer, `pushed_most_hidden` over all.
    """

    request = serializers.JSONField(source="request_seen")
    error = serializers.CharField()
    before = serializers.IntegerField(allow_null=True)
    result = serializers.JSONField(allow_null=True)


class TraceRequested(TraceWhole):
    """A trace that was just requested.

    Its prompt is null where the request is repeated under its Idempotency-Key: the site keeps the
    answer to a key for a day, and a prompt no longer than its trace.
    """

    prompt = serializers.CharField(allow_null=True)


class TraceIntervention(Fields):
    """A coefficient to set or to scale by a value, or to zero, from a position on."""

    layer = serializers.IntegerField(min_value=0, max_value=MOST)
    index = serializers.IntegerField(min_value=0, max_value=MOST)
    action = serializers.ChoiceField(ACTIONS)
    value = serializers.FloatField(min_value=-MOST_VALUE, max_value=MOST_VALUE, default=0.0)
    from_position = serializers.IntegerField(min_value=0, max_value=MOST_TOKENS - 1, default=0)


class NewTrace(Fields):
    """A prompt to trace. Null means the last position, and the model's own next token."""

    model = serializers.IntegerField(
        min_value=1, max_value=MOST, help_text="the id of a model of `/measurements/models`"
    )
    prompt = serializers.CharField(max_length=bounds.PROMPT, trim_whitespace=False)
    position = serializers.IntegerField(
        min_value=0, max_value=MOST_TOKENS - 1, default=None, allow_null=True
    )
    token_id = serializers.IntegerField(min_value=0, max_value=MOST, default=None, allow_null=True)
    new_tokens = serializers.IntegerField(
        min_value=0, max_value=MOST_NEW_TOKENS, default=NEW_TOKENS
    )
    interventions = serializers.ListField(
        child=TraceIntervention(), default=list, max_length=MOST_INTERVENTIONS
    )
    is_shared = serializers.BooleanField(default=False)


class TraceShared(Fields):
    """Whether the team sees a trace."""

    is_shared = serializers.BooleanField()
