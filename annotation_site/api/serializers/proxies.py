"""Fields of proxies of all value vectors."""

from typing import Any

from rest_framework import serializers

from annotation_site.api.calls import Fields
from annotation_site.proxies.models import ProxyRun
from annotation_site.proxies.registry import PROXIES

STATES = ("known", "possible", "impossible", "queued", "running", "failed", "cancelled")


class NewProxy(Fields):
    """A proxy to compute for every value vector of the study's models."""

    proxy = serializers.ChoiceField([name for name, one in PROXIES.items() if one.is_computed])


class ProxyRunFields(serializers.Serializer):
    """The computation of a proxy for every value vector; `done` of `total` vectors.

    `min_tokens` is the minimum of a machine annotator's pattern: the study's.
    """

    id = serializers.UUIDField(source="public_id")
    proxy = serializers.CharField()
    extraction = serializers.UUIDField(source="extraction.public_id")
    model = serializers.CharField(source="extraction.model.name")
    min_tokens = serializers.IntegerField()
    state = serializers.ChoiceField(ProxyRun.State.choices)
    done = serializers.IntegerField()
    total = serializers.IntegerField()
    error = serializers.CharField(allow_blank=True)
    requested_by = serializers.UUIDField(
        source="requested_by.public_id", allow_null=True, default=None
    )
    requested_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class ProxyRuns(serializers.Serializer):
    """The computations that a request began, or found: one for each model of the study."""

    runs = ProxyRunFields(many=True)


class ProxyModelFields(serializers.Serializer):
    """A proxy of one of the study's models: "known", "possible" to compute, "impossible" for the
    `reason`, or the state of its `run`.
    """

    model = serializers.CharField()
    state = serializers.ChoiceField(STATES)
    reason = serializers.SerializerMethodField()
    run = serializers.UUIDField(source="run.public_id", allow_null=True, default=None)

    def get_reason(self, one: Any) -> str:
        return str(one.reason)


class ProxyFields(serializers.Serializer):
    """A proxy: its name, what it is, and its state in each of the study's models.

    The order of the collection is announced: the site's figure uses the first that is known.
    """

    name = serializers.CharField(source="proxy.name")
    title = serializers.CharField()
    description = serializers.CharField()
    is_computed = serializers.BooleanField(source="proxy.is_computed")
    models = ProxyModelFields(source="of_models", many=True)
