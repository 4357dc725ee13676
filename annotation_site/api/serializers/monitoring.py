"""A study in progress: progress, flags, adjudication."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from annotation_site.annotation.crowd import payment
from annotation_site.annotation.models import Item
from annotation_site.annotation.monitoring.progress import StudyProgress
from annotation_site.annotation.review.adjudicated_annotations import Reference
from annotation_site.api.calls import MOST, PageQuery
from annotation_site.api.serializers.lists import ListPage, SaidPattern, TrainingFields
from annotation_site.corpus.models import Kind
from annotation_site.results.pages.list_search import MOST_LETTERS, ORDERS, STATES
from annotation_site.results.pages.marks import Column


class FlagFields(serializers.Serializer):
    """One hint at hurried work. It is a hint only and rejects nothing."""

    kind = serializers.ChoiceField(["fast", "empty", "identical"])
    sentence = serializers.CharField()


class PersonFlags(serializers.Serializer):
    """A person with hints at hurried work."""

    person = serializers.UUIDField()
    flags = FlagFields(many=True)


class PaymentsQuery(PageQuery):
    """The payment rows of one open link, or of all of a study's."""

    link = serializers.UUIDField(default=None, allow_null=True)


class PaymentFields(serializers.Serializer):
    """One person who joined by an open link. Ids are empty once they are erased."""

    person = serializers.UUIDField(source="participant.membership.user.public_id")
    pseudonym = serializers.CharField()
    link = serializers.UUIDField(source="participant.link.public_id")
    participant_id = serializers.CharField(source="participant.outside_id")
    other_ids = serializers.DictField(source="participant.other_ids", child=serializers.CharField())
    joined_at = serializers.DateTimeField(source="participant.joined_at")
    submitted = serializers.IntegerField(source="work.done")
    skipped = serializers.IntegerField(source="work.skipped")
    active_seconds = serializers.IntegerField(source="work.active_seconds")
    check_attempts = serializers.IntegerField(source="participant.check_attempts")
    check_passed_at = serializers.DateTimeField(
        source="participant.check_passed_at", allow_null=True
    )
    check_failed_at = serializers.DateTimeField(
        source="participant.check_failed_at", allow_null=True
    )
    code = serializers.CharField(help_text="the completion code that was shown; else empty")
    completed_at = serializers.DateTimeField(source="participant.completed_at", allow_null=True)
    state = serializers.ChoiceField(payment.STATES)
    explanation = serializers.CharField(source="sentence", help_text="why, in one sentence")
    hints = serializers.ListField(
        child=serializers.CharField(), help_text="They are hints only and reject nothing."
    )


class PersonProgressFields(serializers.Serializer):
    """One annotator. Times are active seconds."""

    person = serializers.UUIDField(source="membership.user.public_id")
    name = serializers.CharField(source="membership.user.username")
    done = serializers.IntegerField(source="work.done")
    left = serializers.IntegerField(source="work.left")
    unopened = serializers.IntegerField(source="work.unopened")
    remaining = serializers.IntegerField(
        source="share.remaining", help_text="lists of the study itself, opened or not"
    )
    fewer_because = serializers.CharField(
        source="share.reason", help_text="why others have more lists; empty where none have"
    )
    skipped = serializers.IntegerField(source="work.skipped")
    expired = serializers.IntegerField(source="work.expired")
    active_seconds = serializers.IntegerField(source="work.active_seconds")
    cut_seconds = serializers.IntegerField(help_text="reported, and not counted")
    cut_reason = serializers.CharField(help_text="why not; empty where all counts")
    median_seconds = serializers.FloatField(source="work.median_seconds", allow_null=True)
    last_at = serializers.DateTimeField(source="work.last_at", allow_null=True)
    reference_percent = serializers.FloatField(source="work.reference_percent", allow_null=True)
    training = TrainingFields(allow_null=True)


class AnnotatedFields(serializers.Serializer):
    """The number of lists with so many annotations."""

    annotations = serializers.IntegerField()
    lists = serializers.IntegerField()


class Progress(serializers.Serializer):
    """Progress of a study."""

    lists = serializers.IntegerField()
    slots = serializers.IntegerField()
    done = serializers.IntegerField()
    active_seconds = serializers.IntegerField()
    median_seconds = serializers.FloatField(allow_null=True)
    annotated = serializers.SerializerMethodField()
    newcomer = serializers.IntegerField(
        source="shares.newcomer", help_text="lists that somebody who joins now would get, about"
    )
    people = PersonProgressFields(many=True)

    @extend_schema_field(AnnotatedFields(many=True))
    def get_annotated(self, progress: StudyProgress) -> list[dict[str, int]]:
        return [{"annotations": answers, "lists": lists} for answers, lists in progress.annotated]


class RankedQuery(PageQuery):
    """Filter and order of lists. A missing parameter excludes nothing.

    `entries` are words that a list's entries read, all of them (`king*`: what begins so), `said`
    stands in somebody's description, `person` has submitted the list, and the agreement is the
    overlap of two people's patterns.
    """

    entries = serializers.CharField(max_length=MOST_LETTERS, default="")
    said = serializers.CharField(max_length=MOST_LETTERS, default="")
    model = serializers.CharField(max_length=400, default="")
    kind = serializers.ChoiceField(Kind.choices, default="")
    layer_from = serializers.IntegerField(min_value=0, max_value=MOST, default=None)
    layer_to = serializers.IntegerField(min_value=0, max_value=MOST, default=None)
    state = serializers.ChoiceField(list(STATES.items()), default="")
    person = serializers.UUIDField(default=None)
    agreement_from = serializers.FloatField(min_value=0, max_value=1, default=None)
    agreement_below = serializers.FloatField(min_value=0, max_value=1, default=None)
    order = serializers.ChoiceField(list(ORDERS.items()), default="annotations")


class Ranked(serializers.Serializer):
    """One of the study's own lists: its origin, people at work on it, and agreement.

    `annotations` are those that tables count, `working` have opened it, `surplus` came when it had
    its k, `unblinded` were not blind; `reasons` are those of the people who skipped it.
    `overlap` is from 0 to 1, null where it is undefined or not computed. `entries` are the first
    ones. `looked_before`: it is adjudicated, and not blind.
    """

    id = serializers.IntegerField()
    model = serializers.CharField()
    kind = serializers.ChoiceField(Kind.choices)
    layer = serializers.IntegerField()
    index = serializers.IntegerField()
    annotations = serializers.IntegerField()
    working = serializers.IntegerField()
    surplus = serializers.IntegerField()
    unblinded = serializers.IntegerField()
    reasons = serializers.ListField(child=serializers.CharField())
    overlap = serializers.FloatField(allow_null=True)
    entries = serializers.SerializerMethodField()
    adjudicated = serializers.BooleanField()
    looked_before = serializers.BooleanField()

    def get_entries(self, row: dict[str, Any]) -> list[str]:
        return [entry.display for entry in row["first"]]


class MarkedPatternFields(serializers.Serializer):
    """A pattern of one person; patterns of one `group` are matched across people."""

    group = serializers.IntegerField()
    counts = serializers.BooleanField(help_text="has the study's minimum of tokens")
    description = serializers.CharField()
    category = serializers.CharField()
    stopwords = serializers.BooleanField()
    ranks = serializers.ListField(child=serializers.IntegerField())


class ListAnnotation(serializers.Serializer):
    """One annotation, repeat or skip of a list, or its adjudicated annotation."""

    letter = serializers.CharField()
    name = serializers.CharField()
    code = serializers.CharField(help_text="the person's code in tables and files; may be empty")
    state = serializers.ChoiceField(
        ["counted", "surplus", "unblinded", "repeat", "skipped", "adjudicated"]
    )
    submitted_at = serializers.DateTimeField(source="at", allow_null=True)
    active_seconds = serializers.IntegerField()
    comment = serializers.CharField()
    skip_reason = serializers.CharField()
    looked_before = serializers.BooleanField()
    patterns = serializers.SerializerMethodField()

    @extend_schema_field(MarkedPatternFields(many=True))
    def get_patterns(self, column: Column) -> list[dict[str, Any]]:
        return [
            {
                "group": pattern.mark.number,
                "counts": pattern.mark.counts,
                "description": pattern.description,
                "category": pattern.category,
                "stopwords": pattern.stopwords,
                "ranks": list(pattern.ranks),
            }
            for pattern in column.patterns
        ]


class ListEntry(serializers.Serializer):
    """One entry of a list; of `people` whose annotations count, at most `alike` say the same."""

    rank = serializers.IntegerField(source="token.rank")
    entry = serializers.CharField(source="token.display")
    gloss = serializers.CharField(source="token.gloss")
    score = serializers.FloatField(allow_null=True)
    alike = serializers.IntegerField()
    people = serializers.IntegerField()


class ListAgreementFields(serializers.Serializer):
    """Agreement of the people whose annotations count, 0 to 1; null where undefined."""

    entries = serializers.FloatField(allow_null=True)
    patterns = serializers.FloatField(allow_null=True)
    category = serializers.FloatField(allow_null=True)


class WholeList(serializers.Serializer):
    """One of the study's own lists with its origin, entries and everybody's annotations."""

    id = serializers.IntegerField(source="item.pk")
    model = serializers.CharField(source="item.vector.extraction.model.name")
    kind = serializers.ChoiceField(Kind.choices, source="item.vector.kind")
    layer = serializers.IntegerField(source="item.vector.layer")
    index = serializers.IntegerField(source="item.vector.index")
    context_text = serializers.CharField(source="item.vector.context")
    context_position = serializers.IntegerField(
        source="item.vector.context_position", allow_null=True
    )
    entries = ListEntry(source="top", many=True)
    lowest = ListEntry(source="bottom", many=True)
    annotations = ListAnnotation(source="columns", many=True)
    agreement = ListAgreementFields()
    free = serializers.IntegerField(help_text="slots that nobody holds")


class ReferenceFields(serializers.Serializer):
    """A training or reference list; `annotated`: it has its reference annotation.

    `submitted` counts people, `score` is their mean overlap with that answer, from 0 to 1.
    """

    id = serializers.IntegerField(source="item.pk")
    use = serializers.ChoiceField(Item.Use.choices, source="item.use")
    tokens = serializers.SerializerMethodField()
    annotated = serializers.BooleanField(source="is_annotated")
    submitted = serializers.IntegerField()
    score = serializers.FloatField(allow_null=True)

    def get_tokens(self, reference: Reference) -> list[str]:
        return [token.display for token in reference.tokens]


class QueueQuery(PageQuery):
    """Lists with or without an adjudicated annotation."""

    show = serializers.ChoiceField(["undecided", "decided"], default="undecided")


class Queued(serializers.Serializer):
    """A list with annotations, without its origin."""

    id = serializers.IntegerField()
    position = serializers.IntegerField()
    tokens = serializers.ListField(child=serializers.CharField())
    annotations = serializers.IntegerField()
    overlap = serializers.FloatField(allow_null=True)


class SaidAnnotation(serializers.Serializer):
    """One person's annotation, as A, B and so on."""

    letter = serializers.CharField()
    patterns = SaidPattern(many=True)


class Adjudicated(serializers.Serializer):
    """A list opened for adjudication, with people's annotations. It is submitted as any other."""

    page = ListPage()
    annotations = SaidAnnotation(many=True)
