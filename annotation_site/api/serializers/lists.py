"""A person's own work: studies to annotate, lists, annotations."""

import json
from collections.abc import Iterator
from typing import Any

from rest_framework import serializers

from annotation_site.annotation.lists.annotation_format import MOST_PATTERNS, is_storable
from annotation_site.annotation.models import Assignment, Study
from annotation_site.annotation.work.submissions import MOST_DRAFT_BYTES
from annotation_site.api.calls import MOST, Fields, PageQuery
from annotation_site.bounds import ANSWER, SKIP_REASON
from annotation_site.old_names import annotation_renamed

MOST_SECONDS = 10_000_000


MOST_ANNOTATION_BYTES = (MOST_PATTERNS + 2) * ANSWER * len(r"\uffff")  # every letter written out


class BoundedJSON(serializers.JSONField):
    """A JSON value of at most so many bytes, in ASCII."""

    def __init__(self, *, max_bytes: int, **options: Any) -> None:
        self.max_bytes = max_bytes
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> Any:
        value = super().to_internal_value(data)
        if len(json.dumps(value)) > self.max_bytes:
            raise serializers.ValidationError(f"This has at most {self.max_bytes} bytes.")
        return value


class DraftContent(BoundedJSON):
    """A draft: an object of bounded size, otherwise unchecked."""

    def to_internal_value(self, data: Any) -> Any:
        value = annotation_renamed(super().to_internal_value(data))
        if not isinstance(value, dict):
            raise serializers.ValidationError("A draft is a JSON object.")
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


class Draft(Fields):
    """A draft; `base_version` is the version that it was made from."""

    base_version = serializers.IntegerField(min_value=0, max_value=MOST)
    content = DraftContent(max_bytes=MOST_DRAFT_BYTES)
    active_seconds = serializers.IntegerField(min_value=0, max_value=MOST_SECONDS)


class Submission(Fields):
    """An annotation to submit. The same `key` again is the same submission."""

    base_version = serializers.IntegerField(min_value=0, max_value=MOST)
    key = serializers.UUIDField()
    annotation = BoundedJSON(max_bytes=MOST_ANNOTATION_BYTES)
    active_seconds = serializers.IntegerField(min_value=0, max_value=MOST_SECONDS)

    def to_internal_value(self, data: Any) -> Any:
        return super().to_internal_value(annotation_renamed(data))


class Skip(Fields):
    """The reason for skipping a list. The same `key` again is the same skip."""

    base_version = serializers.IntegerField(min_value=0, max_value=MOST)
    key = serializers.UUIDField()
    reason = serializers.CharField(max_length=SKIP_REASON)
    active_seconds = serializers.IntegerField(min_value=0, max_value=MOST_SECONDS, default=0)


class Saved(serializers.Serializer):
    """The draft's version now: the next `base_version`."""

    version = serializers.IntegerField()


class ShownList(serializers.Serializer):
    """A list as its annotator sees it: [token, gloss] by rank, and its stopwords.

    In a list of prefixes, [last token, "", text before it] by rank.

    `senses` has, by rank, [part of speech, gloss] of each sense that the study shows, best first.
    """

    id = serializers.UUIDField()
    position = serializers.IntegerField()
    total = serializers.IntegerField()
    state = serializers.ChoiceField(Assignment.State.choices)
    submitted_version = serializers.IntegerField()
    tokens = serializers.ListField(child=serializers.ListField(child=serializers.CharField()))
    senses = serializers.ListField(
        child=serializers.ListField(child=serializers.ListField(child=serializers.CharField()))
    )
    stopwords = serializers.ListField(child=serializers.IntegerField())


class ShownRules(serializers.Serializer):
    """The rules of the list's study."""

    title = serializers.CharField()
    list_source = serializers.ChoiceField(Study.ListSource.choices)
    categories = serializers.ListField(child=serializers.CharField())
    min_tokens = serializers.IntegerField()
    several_patterns_per_token = serializers.BooleanField()
    show_glosses = serializers.BooleanField()
    highlight_spellings = serializers.BooleanField()
    open = serializers.BooleanField()
    skipped_goes_on = serializers.BooleanField(
        help_text="whether the study has somebody else for a list that you skip"
    )


class ShownDraft(serializers.Serializer):
    """The last saved draft."""

    version = serializers.IntegerField()
    content = serializers.JSONField(allow_null=True)


class ShownUrls(serializers.Serializer):
    """Addresses for the annotation, and the pages for people."""

    draft = serializers.CharField()
    submit = serializers.CharField()
    skip = serializers.CharField(allow_null=True)
    page = serializers.CharField()
    previous = serializers.CharField(allow_null=True)


class ListPage(serializers.Serializer):
    """All data of a list for its annotator."""

    list = ShownList()
    study = ShownRules()
    draft = ShownDraft()
    active_seconds = serializers.IntegerField()
    urls = ShownUrls()


class Next(serializers.Serializer):
    """The next list, already opened; null if none is left or consent is needed first."""

    next = ListPage(allow_null=True)
    next_url = serializers.CharField()


class SaidPattern(serializers.Serializer):
    """A submitted pattern."""

    number = serializers.IntegerField()
    description = serializers.CharField()
    category = serializers.CharField()
    ranks = serializers.ListField(child=serializers.IntegerField())


class MatchedPatterns(serializers.Serializer):
    """A pattern of the reference annotation and its match; null if there is none."""

    reference = SaidPattern(source="theirs", allow_null=True)
    yours = SaidPattern(allow_null=True)


class Feedback(serializers.Serializer):
    """Comparison of a training annotation; null if the list has lost its reference annotation."""

    percent = serializers.IntegerField(allow_null=True)
    patterns = MatchedPatterns(many=True, source="comparison.pairs", allow_null=True, default=None)


class TrainingFields(serializers.Serializer):
    """A person's progress in training; `score` from 0 to 1."""

    lists = serializers.IntegerField()
    submitted = serializers.IntegerField()
    left = serializers.IntegerField()
    score = serializers.FloatField(allow_null=True)
    needed = serializers.IntegerField(allow_null=True)
    waived = serializers.BooleanField()
    passed = serializers.BooleanField()


class PaceFields(serializers.Serializer):
    """A person's pace in active time; `left_seconds` is a range for the rest."""

    median_seconds = serializers.FloatField()
    lists_per_hour = serializers.FloatField()
    left_seconds = serializers.ListField(child=serializers.IntegerField())


class KeptFields(serializers.Serializer):
    """An opened list, and the end of its lease."""

    id = serializers.UUIDField(source="public_id")
    position = serializers.IntegerField()
    until = serializers.DateTimeField()
    is_over = serializers.BooleanField()


class Work(serializers.Serializer):
    """A study that the person annotates, with their progress.

    `pace` is null while there are too few lists to tell; `kept` are lists that others get soon.
    """

    study = serializers.SlugField(source="membership.study.slug")
    title = serializers.CharField(source="membership.study.title")
    state = serializers.ChoiceField(Study.State.choices, source="membership.study.state")
    made_up = serializers.BooleanField(source="membership.study.made_up")
    lists = serializers.IntegerField(source="membership.total")
    left = serializers.IntegerField(source="membership.left")
    submitted = serializers.IntegerField(source="membership.submitted")
    needs_consent = serializers.BooleanField()
    can_go_on = serializers.BooleanField()
    training = TrainingFields()
    pace = PaceFields(allow_null=True)
    kept = KeptFields(source="leases", many=True)


class WorkDetail(Work):
    """The same with guidelines and consent text."""

    consent_version = serializers.IntegerField(source="membership.study.consent_version")
    consent = serializers.CharField(source="membership.consent")
    guidelines = serializers.CharField(source="membership.guidelines")
    on_withdrawal = serializers.ChoiceField(
        Study.OnWithdrawal.choices, source="membership.study.on_withdrawal"
    )
    may_publish = serializers.BooleanField(source="membership.study.may_publish")
    may_share = serializers.BooleanField(source="membership.study.may_share")


class Consent(Fields):
    """The version of the consent text to agree to; 0 if the study has none."""

    version = serializers.IntegerField(min_value=0, max_value=MOST)


class OwnListsQuery(PageQuery):
    """The person's own lists that are no longer waiting."""

    state = serializers.ChoiceField(
        ["submitted", "set aside"],
        default="submitted",
        help_text="submitted, or set aside: skipped, or no longer kept for the person",
    )


class OwnList(serializers.Serializer):
    """One of the person's own lists, by its number in their order.

    `changed`: it was re-opened and changed, and not submitted again.
    """

    id = serializers.UUIDField(source="public_id")
    position = serializers.IntegerField()
    state = serializers.ChoiceField(Assignment.State.choices)
    training = serializers.SerializerMethodField()
    active_seconds = serializers.IntegerField()
    submitted_at = serializers.DateTimeField(allow_null=True)
    patterns = serializers.IntegerField(source="n_patterns", allow_null=True, default=None)
    changed = serializers.SerializerMethodField()
    skip_reason = serializers.CharField()

    def get_training(self, row: Assignment) -> bool:
        return row.purpose == Assignment.Purpose.TRAINING

    def get_changed(self, row: Assignment) -> bool:
        return row.pk in self.context["changed"]


class WorkDay(serializers.Serializer):
    """A day's work in one study."""

    day = serializers.DateField()
    study = serializers.CharField()
    active_seconds = serializers.IntegerField()
    lists = serializers.IntegerField()
    cut_seconds = serializers.IntegerField(help_text="reported, and not counted")
    cut_reason = serializers.CharField(help_text="why not; empty where all counts")
