"""The search over all lists."""

from typing import Any

from rest_framework import serializers

from annotation_site.annotation.studies.plans import EVERY_CATEGORY
from annotation_site.api.calls import Fields
from annotation_site.corpus.models import Kind
from annotation_site.explorer.search.finding import MATCHES, MOST_LETTERS, ORDERS
from annotation_site.explorer.search.forms import MOST_LAYER, MOST_PAGE

MOST_EXTRACTIONS = 100


class PublicIds(serializers.CharField):
    """Ids, separated by commas."""

    def to_internal_value(self, data: Any) -> Any:
        words = [word for word in super().to_internal_value(data).split(",") if word.strip()]
        if len(words) > MOST_EXTRACTIONS:
            raise serializers.ValidationError(f"Give at most {MOST_EXTRACTIONS} ids.")
        one = serializers.UUIDField()
        return tuple(one.run_validation(word.strip()) for word in words)


class ConditionsQuery(Fields):
    """Conditions of a search, all together; one that is not given leaves out nothing."""

    tokens = serializers.CharField(
        max_length=MOST_LETTERS,
        default="",
        allow_blank=True,
        help_text="words that the top tokens read, in any case; * at a word's end for all that "
        "begin so",
    )
    match = serializers.ChoiceField(
        list(MATCHES), default="all", help_text="whether a list has all or any of the tokens"
    )
    said = serializers.CharField(
        max_length=MOST_LETTERS,
        default="",
        allow_blank=True,
        help_text="words that one description of a pattern has",
    )
    category = serializers.ChoiceField(EVERY_CATEGORY, default="", allow_blank=True)
    kind = serializers.ChoiceField(Kind.choices, default="", allow_blank=True)
    layer_from = serializers.IntegerField(
        min_value=0, max_value=MOST_LAYER, default=None, allow_null=True
    )
    layer_to = serializers.IntegerField(
        min_value=0, max_value=MOST_LAYER, default=None, allow_null=True
    )
    extractions = PublicIds(
        default="",
        allow_blank=True,
        max_length=40 * MOST_EXTRACTIONS,
        help_text="ids of extractions, separated by commas",
    )
    percent_from = serializers.FloatField(
        min_value=0,
        max_value=100,
        default=None,
        allow_null=True,
        help_text="of the top tokens in concepts, at least",
    )
    percent_to = serializers.FloatField(
        min_value=0, max_value=100, default=None, allow_null=True, help_text="at most"
    )
    labelled = serializers.BooleanField(default=False, help_text="only lists with annotations")
    order = serializers.ChoiceField(
        list(ORDERS),
        default="",
        allow_blank=True,
        help_text="score where tokens are given, else origin",
    )


class SearchQuery(ConditionsQuery):
    """A page of a search."""

    page = serializers.IntegerField(min_value=1, max_value=MOST_PAGE, default=1)


class FoundToken(serializers.Serializer):
    """A top token at its rank; `wanted` if the search was for it."""

    rank = serializers.IntegerField()
    display = serializers.CharField()
    wanted = serializers.BooleanField()


class Described(serializers.Serializer):
    """A description of a list, and how many people gave it."""

    text = serializers.CharField()
    category = serializers.CharField()
    people = serializers.IntegerField()
    is_adjudicated = serializers.BooleanField()


class FoundVector(serializers.Serializer):
    """A found list, with the annotations of closed studies and of those that the reader runs.

    `rank` and `score` are the best of a searched token. `further` are searched tokens behind the
    ten of `top`. `withheld`: there are annotations that the reader does not see, because they can
    still adjudicate the list blind.
    """

    extraction = serializers.UUIDField(source="extraction.public_id")
    model = serializers.CharField(source="extraction.model.name")
    kind = serializers.ChoiceField(Kind.choices, source="vector.kind")
    layer = serializers.IntegerField(source="vector.layer")
    index = serializers.IntegerField(source="vector.index")
    rank = serializers.IntegerField(allow_null=True)
    score = serializers.FloatField(allow_null=True)
    top = FoundToken(many=True)
    further = FoundToken(many=True)
    people = serializers.IntegerField(source="labels.people")
    descriptions = Described(source="labels.descriptions", many=True)
    coverage = serializers.FloatField(source="labels.share", allow_null=True)
    withheld = serializers.BooleanField(source="labels.is_withheld")
    made_up = serializers.BooleanField(source="labels.is_made_up")


class Found(serializers.Serializer):
    """A page of found lists. `unknown` are words that no chosen model has a token for.

    `partly_hidden`: lists of unfinished studies in which the reader annotates are left out.
    """

    count = serializers.IntegerField()
    next_page = serializers.IntegerField(allow_null=True)
    unknown = serializers.ListField(child=serializers.CharField(), source="found.unknown")
    partly_hidden = serializers.BooleanField(source="found.is_partly_hidden")
    results = FoundVector(source="rows", many=True)
