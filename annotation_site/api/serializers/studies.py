"""Studies, and what is in them."""

from typing import Any

from rest_framework import serializers

from annotation_site.annotation.models import Assignment, Item, Membership, Pattern, Study
from annotation_site.annotation.studies import DEFAULT_CATEGORIES
from annotation_site.api.calls import MOST, Fields, PageQuery
from annotation_site.corpus.models import Kind

MOST_TEXT = 200_000


class StudiesQuery(PageQuery):
    """Studies in one state."""

    state = serializers.ChoiceField(Study.State.choices, default="", allow_blank=True)


class StudyFields(serializers.Serializer):
    """A study and its rules. `places` are lists that somebody has or had, `answers` submitted."""

    slug = serializers.SlugField()
    title = serializers.CharField()
    state = serializers.ChoiceField(Study.State.choices)
    extractions = serializers.SerializerMethodField()
    kinds = serializers.ListField(child=serializers.ChoiceField(Kind.choices))
    lists_per_layer = serializers.IntegerField()
    annotators_per_list = serializers.IntegerField()
    categories = serializers.ListField(child=serializers.CharField())
    min_tokens = serializers.IntegerField()
    several_patterns_per_token = serializers.BooleanField()
    show_glosses = serializers.BooleanField()
    highlight_spellings = serializers.BooleanField()
    lease_hours = serializers.IntegerField()
    seed = serializers.IntegerField()
    on_withdrawal = serializers.ChoiceField(Study.OnWithdrawal.choices)
    places = serializers.IntegerField()
    answers = serializers.IntegerField()
    created_at = serializers.DateTimeField()

    def get_extractions(self, study: Study) -> list[str]:
        return [str(extraction.public_id) for extraction in study.extractions.all()]


class NewStudy(Fields):
    """The plan of a study. It begins as a draft, or open where `open` is true."""

    title = serializers.CharField(max_length=200)
    extraction = serializers.UUIDField()
    annotators = serializers.ListField(child=serializers.UUIDField(), max_length=500)
    kinds = serializers.ListField(child=serializers.ChoiceField(Kind.choices), required=False)
    lists_per_layer = serializers.IntegerField(required=False, min_value=1, max_value=100_000)
    annotators_per_list = serializers.IntegerField(required=False, min_value=1, max_value=100)
    categories = serializers.ListField(
        child=serializers.ChoiceField(list(DEFAULT_CATEGORIES)), required=False
    )
    min_tokens = serializers.IntegerField(required=False, min_value=1, max_value=30)
    several_patterns_per_token = serializers.BooleanField(required=False)
    show_glosses = serializers.BooleanField(required=False)
    highlight_spellings = serializers.BooleanField(required=False)
    seed = serializers.IntegerField(required=False, min_value=0, max_value=2**63 - 1)
    guidelines = serializers.CharField(required=False, allow_blank=True, max_length=MOST_TEXT)
    consent = serializers.CharField(required=False, allow_blank=True, max_length=MOST_TEXT)
    on_withdrawal = serializers.ChoiceField(Study.OnWithdrawal.choices, required=False)
    open = serializers.BooleanField(default=False)


class StateChange(Fields):
    """Another state."""

    state = serializers.ChoiceField(Study.State.choices)


class Texts(serializers.Serializer):
    """What annotators read, and the versions that this is."""

    guidelines = serializers.CharField(allow_blank=True)
    guidelines_base = serializers.IntegerField()
    consent = serializers.CharField(allow_blank=True)
    consent_base = serializers.IntegerField()


class NewTexts(Fields):
    """New texts, with the versions that they were written from."""

    guidelines = serializers.CharField(allow_blank=True, max_length=MOST_TEXT)
    guidelines_base = serializers.IntegerField(min_value=0, max_value=MOST)
    consent = serializers.CharField(allow_blank=True, max_length=MOST_TEXT)
    consent_base = serializers.IntegerField(min_value=0, max_value=MOST)


class Member(serializers.Serializer):
    """A person in a study, and how far they are."""

    person = serializers.UUIDField(source="user.public_id")
    name = serializers.CharField(source="user.username")
    role = serializers.ChoiceField(Membership.Role.choices)
    withdrawn_at = serializers.DateTimeField(allow_null=True)
    lists = serializers.IntegerField(source="total")
    left = serializers.IntegerField()
    submitted = serializers.IntegerField()
    skipped = serializers.IntegerField()
    expired = serializers.IntegerField()
    active_seconds = serializers.IntegerField()


class NewMember(Fields):
    """An annotator to add."""

    person = serializers.UUIDField()


class ItemsQuery(PageQuery):
    """Lists of a kind or of a layer."""

    kind = serializers.ChoiceField(Kind.choices, default="", allow_blank=True)
    layer = serializers.IntegerField(min_value=0, max_value=100_000, default=None, allow_null=True)


class ItemFields(serializers.Serializer):
    """A list of a study, with where it comes from."""

    id = serializers.IntegerField()
    use = serializers.ChoiceField(Item.Use.choices)
    model = serializers.CharField(source="vector.extraction.model.name")
    kind = serializers.ChoiceField(Kind.choices, source="vector.kind")
    layer = serializers.IntegerField(source="vector.layer")
    index = serializers.IntegerField(source="vector.index")
    answers = serializers.IntegerField()
    tokens = serializers.SerializerMethodField()

    def get_tokens(self, item: Item) -> list[str]:
        return self.context["tokens"][item.pk]


class AssignmentsQuery(PageQuery):
    """Assignments of one person, in one state, for one purpose."""

    person = serializers.UUIDField(default=None, allow_null=True)
    state = serializers.ChoiceField(Assignment.State.choices, default="", allow_blank=True)
    purpose = serializers.ChoiceField(Assignment.Purpose.choices, default="", allow_blank=True)


class AssignmentFields(serializers.Serializer):
    """Who has which list, and how far it is."""

    id = serializers.UUIDField(source="public_id")
    item = serializers.IntegerField(source="item_id")
    person = serializers.UUIDField(source="membership.user.public_id")
    purpose = serializers.ChoiceField(Assignment.Purpose.choices)
    position = serializers.IntegerField()
    state = serializers.ChoiceField(Assignment.State.choices)
    surplus = serializers.BooleanField()
    unblinded = serializers.BooleanField()
    active_seconds = serializers.IntegerField()
    skip_reason = serializers.CharField()
    opened_at = serializers.DateTimeField(allow_null=True)
    submitted_at = serializers.DateTimeField(allow_null=True)


class AnnotationsQuery(PageQuery):
    """Answers of one person or for one purpose."""

    person = serializers.UUIDField(default=None, allow_null=True)
    purpose = serializers.ChoiceField(Assignment.Purpose.choices, default="", allow_blank=True)


class PatternFields(serializers.Serializer):
    """A concept that a person recognised; ranks count from 1."""

    number = serializers.IntegerField()
    description = serializers.CharField()
    category = serializers.CharField()
    stopwords_proposed = serializers.BooleanField()
    stopwords = serializers.BooleanField()
    ranks = serializers.SerializerMethodField()

    def get_ranks(self, pattern: Pattern) -> list[int]:
        return sorted(member.rank for member in pattern.members.all())


class Annotation(serializers.Serializer):
    """A submitted answer; without patterns it says that there is none."""

    id = serializers.UUIDField(source="public_id")
    item = serializers.IntegerField(source="item_id")
    person = serializers.UUIDField(source="membership.user.public_id")
    purpose = serializers.ChoiceField(Assignment.Purpose.choices)
    surplus = serializers.BooleanField()
    unblinded = serializers.BooleanField()
    version = serializers.IntegerField()
    guidelines_version = serializers.IntegerField(allow_null=True)
    active_seconds = serializers.IntegerField()
    submitted_at = serializers.DateTimeField(allow_null=True)
    comment = serializers.CharField()
    patterns = PatternFields(many=True)


class Count(serializers.Serializer):
    """A number of things that were done."""

    count = serializers.IntegerField()


def plan_values(body: dict[str, Any]) -> dict[str, Any]:
    """What of a request's body is a plan's own fields."""
    return {k: v for k, v in body.items() if k not in ("open", "extraction", "annotators")}
