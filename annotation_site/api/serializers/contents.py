"""Contents of a study: people, lists, assignments, annotations."""

from rest_framework import serializers

from annotation_site.annotation.models import Assignment, Item, Membership, Pattern, Study
from annotation_site.api.calls import Fields, PageQuery
from annotation_site.corpus.models import Kind


class Member(serializers.Serializer):
    """A person in a study, with their progress."""

    person = serializers.UUIDField(source="user.public_id")
    name = serializers.CharField(source="user.username")
    role = serializers.ChoiceField(Membership.Role.choices)
    withdrawn_at = serializers.DateTimeField(allow_null=True)
    removed_at = serializers.DateTimeField(allow_null=True)
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
    """Lists of a kind, of a layer, or for a use."""

    use = serializers.ChoiceField(Item.Use.choices, default="", allow_blank=True)
    kind = serializers.ChoiceField(Kind.choices, default="", allow_blank=True)
    layer = serializers.IntegerField(min_value=0, max_value=100_000, default=None, allow_null=True)


class ItemFields(serializers.Serializer):
    """A list of a study, with its origin. `annotations` counts those that results use.

    Its entries are `tokens` or `prefixes`; the other is empty.
    """

    id = serializers.IntegerField()
    use = serializers.ChoiceField(Item.Use.choices)
    model = serializers.CharField(source="vector.extraction.model.name")
    kind = serializers.ChoiceField(Kind.choices, source="vector.kind")
    layer = serializers.IntegerField(source="vector.layer")
    index = serializers.IntegerField(source="vector.index")
    annotations = serializers.IntegerField()
    tokens = serializers.SerializerMethodField()
    prefixes = serializers.SerializerMethodField()

    def get_tokens(self, item: Item) -> list[str]:
        return self._entries(item, Study.ListSource.TOP_TOKENS)

    def get_prefixes(self, item: Item) -> list[str]:
        return self._entries(item, Study.ListSource.TRIGGER_PREFIXES)

    def _entries(self, item: Item, source: str) -> list[str]:
        shown: list[str] = self.context["entries"][item.pk]
        return shown if self.context["study"].list_source == source else []


class AssignmentsQuery(PageQuery):
    """Assignments of one person, in one state, for one purpose."""

    person = serializers.UUIDField(default=None, allow_null=True)
    state = serializers.ChoiceField(Assignment.State.choices, default="", allow_blank=True)
    purpose = serializers.ChoiceField(Assignment.Purpose.choices, default="", allow_blank=True)


class AssignmentFields(serializers.Serializer):
    """An assignment of a list to a person, with its state."""

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
    """Annotations of one person or for one purpose."""

    person = serializers.UUIDField(default=None, allow_null=True)
    purpose = serializers.ChoiceField(Assignment.Purpose.choices, default="", allow_blank=True)


class PatternFields(serializers.Serializer):
    """A pattern of an annotation; ranks count from 1."""

    number = serializers.IntegerField()
    description = serializers.CharField()
    category = serializers.CharField()
    stopwords_proposed = serializers.BooleanField()
    stopwords = serializers.BooleanField()
    ranks = serializers.SerializerMethodField()

    def get_ranks(self, pattern: Pattern) -> list[int]:
        return sorted(member.rank for member in pattern.members.all())


class Annotation(serializers.Serializer):
    """A submitted annotation; without patterns it says that there is none."""

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
    """The number of affected objects."""

    count = serializers.IntegerField()
