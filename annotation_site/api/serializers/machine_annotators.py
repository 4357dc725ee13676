"""Fields of language models as machine annotators: prompts, forecasts, runs, exchanges."""

from typing import Any

from rest_framework import serializers

from annotation_site.api.calls import MOST, Fields, PageQuery
from annotation_site.machine_annotators.limits import (
    HOTTEST,
    LEAST_REPLY_TOKENS,
    MILLIONTH,
    MOST_COST,
    MOST_REQUESTS,
    MOST_SEED,
    MOST_TOKENS,
)
from annotation_site.machine_annotators.messages import PROMPT_MOST
from annotation_site.machine_annotators.models import MachineExchange, MachineRun

MOST_EXCHANGES = 20  # of one response: a reply can be long
STATES = MachineExchange.State.values


def _cost(**options: Any) -> serializers.DecimalField:
    return serializers.DecimalField(max_digits=14, decimal_places=6, **options)


class PromptQuery(Fields):
    """An earlier version of the prompt; 0 is the text that the site comes with."""

    version = serializers.IntegerField(min_value=0, max_value=MOST, required=False)


class NewMachinePrompt(Fields):
    """A changed prompt, with the version that it was written from."""

    text = serializers.CharField(max_length=PROMPT_MOST)
    base = serializers.IntegerField(min_value=0, max_value=MOST)


class MachinePromptFields(serializers.Serializer):
    """A version of the prompt; version 0 is the text that the site comes with."""

    version = serializers.IntegerField()
    text = serializers.CharField()


class _Asked(Fields):
    covers = serializers.ChoiceField(MachineRun.Covers.choices, default=MachineRun.Covers.LISTS)
    most_reply_tokens = serializers.IntegerField(
        min_value=LEAST_REPLY_TOKENS, max_value=MOST, required=False
    )


class MachineForecastQuery(_Asked):
    """A run to forecast. Without `most_reply_tokens` a reply may be as long as the site allows."""


class NewMachineRun(_Asked):
    """A run to request. `most_cost` is needed where the model has a price.

    The forecast has the limits under which it can do all lists.
    """

    temperature = serializers.FloatField(min_value=0, max_value=HOTTEST, default=0)
    seed = serializers.IntegerField(min_value=0, max_value=MOST_SEED, default=0)
    most_requests = serializers.IntegerField(min_value=1, max_value=MOST_REQUESTS)
    most_tokens = serializers.IntegerField(min_value=1, max_value=MOST_TOKENS)
    most_cost = _cost(min_value=MILLIONTH, max_value=MOST_COST, allow_null=True, default=None)


class NewLimits(Fields):
    """New limits of a run, with what is spent so far; one that is left out stays."""

    most_requests = serializers.IntegerField(min_value=1, max_value=MOST_REQUESTS, required=False)
    most_tokens = serializers.IntegerField(min_value=1, max_value=MOST_TOKENS, required=False)
    most_cost = _cost(min_value=MILLIONTH, max_value=MOST_COST, required=False)


class MessageFields(serializers.Serializer):
    """A message as it is sent."""

    role = serializers.CharField()
    content = serializers.CharField()


class ForecastOnce(serializers.Serializer):
    """Requests, tokens and cost of a run at most, if no reply is malformed."""

    requests = serializers.IntegerField()
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cost = _cost(allow_null=True)


class MachineForecastFields(ForecastOnce):
    """Requests, tokens and cost of a run at most, with the exact messages of one list.

    At most: every reply is as long as it may be, malformed, and asked again. `once` has the numbers
    where none is. Nothing is sent for a forecast. Where `looked_at` is below `lists`, tokens and
    cost are about so much: the longest list of those that were looked at stands for the others.
    """

    model = serializers.CharField()
    endpoint = serializers.CharField(allow_blank=True)
    lists = serializers.IntegerField()
    looked_at = serializers.IntegerField()
    currency = serializers.CharField(allow_blank=True)
    once = ForecastOnce()
    messages_of_first = MessageFields(many=True)


class MachineRunFields(serializers.Serializer):
    """A run of a language model: `done` of `total` lists, of these `failed`.

    `name` is the annotator in tables and files. `requests`, tokens and `cost` are what is spent.
    """

    id = serializers.UUIDField(source="public_id")
    name = serializers.CharField()
    model = serializers.CharField()
    endpoint = serializers.CharField(allow_blank=True)
    model_version = serializers.CharField(allow_blank=True)
    versions_differ = serializers.BooleanField()
    covers = serializers.ChoiceField(MachineRun.Covers.choices)
    prompt_version = serializers.IntegerField()
    guidelines_version = serializers.IntegerField()
    temperature = serializers.FloatField()
    seed = serializers.IntegerField()
    most_reply_tokens = serializers.IntegerField()
    state = serializers.ChoiceField(MachineRun.State.choices)
    error = serializers.CharField(allow_blank=True)
    done = serializers.IntegerField()
    failed = serializers.IntegerField()
    total = serializers.IntegerField()
    requests = serializers.IntegerField()
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cost = _cost()
    currency = serializers.CharField(allow_blank=True)
    most_requests = serializers.IntegerField()
    most_tokens = serializers.IntegerField()
    most_cost = _cost(allow_null=True)
    restored = serializers.BooleanField()
    requested_by = serializers.UUIDField(
        source="requested_by.public_id", allow_null=True, default=None
    )
    requested_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class ExchangesQuery(PageQuery):
    """Which exchanges: of one state, of one of the study's lists by its number."""

    limit = serializers.IntegerField(min_value=1, max_value=MOST_EXCHANGES, default=10)
    state = serializers.ChoiceField(["", *STATES], default="")
    list = serializers.IntegerField(min_value=0, max_value=MOST, required=False)


class MachineExchangeFields(serializers.Serializer):
    """A request and its reply, word for word. `list` is the number of the study's list.

    For a vector that is no list of the study, `list` is null, and `layer` and `index` name it.
    Tokens and cost of a request without a reply are upper bounds. It is deleted after `kept_until`.
    """

    list = serializers.IntegerField(allow_null=True)
    layer = serializers.IntegerField(allow_null=True)
    index = serializers.IntegerField(allow_null=True)
    number = serializers.IntegerField()
    state = serializers.ChoiceField(MachineExchange.State.choices)
    messages = MessageFields(many=True)
    reply = serializers.CharField(allow_blank=True)
    failure = serializers.CharField(allow_blank=True)
    model_version = serializers.CharField(allow_blank=True)
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cost = _cost()
    seconds = serializers.FloatField(allow_null=True)
    sent_at = serializers.DateTimeField()
    kept_until = serializers.DateTimeField()
