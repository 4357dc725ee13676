"""Studies, their rules, plans and texts."""

import uuid
from typing import Any

from rest_framework import serializers

from annotation_site.annotation.lists.look_up import SEARCH_ENGINES
from annotation_site.annotation.models import Study
from annotation_site.annotation.studies.plans import EVERY_CATEGORY, NUMBERS
from annotation_site.api.calls import MOST, Fields, PageQuery
from annotation_site.bounds import MARKDOWN, TITLE
from annotation_site.corpus.models import Kind


class StudiesQuery(PageQuery):
    """Studies in one state."""

    state = serializers.ChoiceField(Study.State.choices, default="", allow_blank=True)


class StudyFields(serializers.Serializer):
    """A study and its rules. `slots` counts each list k times, `annotations` what is submitted."""

    slug = serializers.SlugField()
    title = serializers.CharField()
    state = serializers.ChoiceField(Study.State.choices)
    extractions = serializers.SerializerMethodField()
    list_source = serializers.ChoiceField(Study.ListSource.choices)
    full_lists_only = serializers.BooleanField()
    kinds = serializers.ListField(child=serializers.ChoiceField(Kind.choices))
    drawn_from = serializers.SerializerMethodField()
    lists_per_layer = serializers.IntegerField()
    annotators_per_list = serializers.IntegerField()
    categories = serializers.ListField(child=serializers.CharField())
    min_tokens = serializers.IntegerField()
    several_patterns_per_token = serializers.BooleanField()
    training_pass_percent = serializers.IntegerField(allow_null=True)
    repeat_percent = serializers.IntegerField()
    lease_hours = serializers.IntegerField()
    idle_days = serializers.IntegerField()
    show_glosses = serializers.BooleanField()
    gloss_rule = serializers.ChoiceField(Study.GlossRule.choices)
    highlight_spellings = serializers.BooleanField()
    search_engine = serializers.ChoiceField(list(SEARCH_ENGINES))
    encyclopedia = serializers.CharField(allow_blank=True)
    team_may_annotate = serializers.BooleanField()
    seed = serializers.IntegerField()
    on_withdrawal = serializers.ChoiceField(Study.OnWithdrawal.choices)
    may_publish = serializers.BooleanField()
    may_share = serializers.BooleanField()
    made_up = serializers.BooleanField()
    slots = serializers.IntegerField()
    annotations = serializers.IntegerField()
    created_at = serializers.DateTimeField()

    def get_drawn_from(self, study: Study) -> str | None:
        """The title of the set that values and keys are drawn from."""
        return study.drawn_from["title"] if study.drawn_from else None

    def get_extractions(self, study: Study) -> list[uuid.UUID]:
        return [extraction.public_id for extraction in study.extractions.all()]


class StudyWhole(StudyFields):
    """The same with the other lists of the study; `frozen`: the rules are fixed."""

    training_lists = serializers.IntegerField()
    reference_lists = serializers.IntegerField()
    pilot_lists = serializers.IntegerField()
    frozen = serializers.BooleanField()


def number(name: str, **options: Any) -> serializers.IntegerField:
    """A number of a plan, within its bounds."""
    _, least, most = NUMBERS[name]
    return serializers.IntegerField(min_value=least, max_value=most, **options)


class Rules(Fields):
    """Rules of a study; missing fields stay as they are."""

    title = serializers.CharField(max_length=TITLE, required=False)
    extractions = serializers.ListField(
        child=serializers.UUIDField(), max_length=100, required=False
    )
    list_source = serializers.ChoiceField(Study.ListSource.choices, required=False)
    full_lists_only = serializers.BooleanField(required=False)
    kinds = serializers.ListField(
        child=serializers.ChoiceField(Kind.choices), max_length=len(Kind), required=False
    )
    vector_set = serializers.UUIDField(
        required=False,
        allow_null=True,
        help_text="values and keys are drawn from this set, as it is now; null: from all",
    )
    lists_per_layer = number("lists_per_layer", required=False)
    annotators_per_list = number("annotators_per_list", required=False)
    categories = serializers.ListField(
        child=serializers.ChoiceField(list(EVERY_CATEGORY)),
        max_length=len(EVERY_CATEGORY),
        required=False,
    )
    min_tokens = number("min_tokens", required=False)
    several_patterns_per_token = serializers.BooleanField(required=False)
    training_lists = number("training_lists", required=False)
    training_pass_percent = serializers.IntegerField(
        min_value=0, max_value=100, allow_null=True, required=False
    )
    reference_lists = number("reference_lists", required=False)
    repeat_percent = number("repeat_percent", required=False)
    pilot_lists = number("pilot_lists", required=False)
    lease_hours = number("lease_hours", required=False)
    idle_days = number("idle_days", required=False)
    show_glosses = serializers.BooleanField(required=False)
    gloss_rule = serializers.ChoiceField(Study.GlossRule.choices, required=False)
    highlight_spellings = serializers.BooleanField(required=False)
    search_engine = serializers.ChoiceField(list(SEARCH_ENGINES), required=False)
    encyclopedia = serializers.CharField(max_length=20, required=False, allow_blank=True)
    team_may_annotate = serializers.BooleanField(required=False)
    seed = number("seed", required=False)
    on_withdrawal = serializers.ChoiceField(Study.OnWithdrawal.choices, required=False)
    may_publish = serializers.BooleanField(required=False)
    may_share = serializers.BooleanField(required=False)


class Plan(Rules):
    """A whole plan; missing rules have the form's defaults, by `list_source`."""

    title = serializers.CharField(max_length=TITLE)
    extractions = serializers.ListField(child=serializers.UUIDField(), max_length=100)
    annotators = serializers.ListField(
        child=serializers.UUIDField(), max_length=500, required=False
    )
    guidelines = serializers.CharField(required=False, allow_blank=True, max_length=MARKDOWN)
    consent = serializers.CharField(required=False, allow_blank=True, max_length=MARKDOWN)


class PlanToPreview(Plan):
    """A plan, and the study whose variances predict its precision."""

    variances_from = serializers.SlugField(
        required=False,
        allow_null=True,
        max_length=80,
        help_text="the slug of a study that you run, with results of such lists",
    )


class NewStudy(Plan):
    """The plan of a study, which begins as a draft, or open if `open` is true."""

    open = serializers.BooleanField(default=False)


class DrawnFields(serializers.Serializer):
    """How many lists of one model and kind a study would hold, each layer `fewest` to `most`."""

    model = serializers.CharField()
    kind = serializers.CharField()
    layers = serializers.IntegerField()
    fewest = serializers.IntegerField()
    most = serializers.IntegerField()
    lists = serializers.IntegerField()


class PartFields(serializers.Serializer):
    """Number of annotations for one purpose."""

    what = serializers.CharField()
    annotations = serializers.IntegerField()


class DesignFields(serializers.Serializer):
    """A design's hours and precision, as shares of 1: half the 95% interval of coverage, and the
    smallest difference that 80% of such studies detect; null where there is none.

    With `_people` for people like these. `is_plan` marks the plan's own design.
    """

    lists_per_layer = serializers.IntegerField()
    annotators_per_list = serializers.IntegerField()
    hours = serializers.FloatField()
    half_width = serializers.FloatField(allow_null=True)
    smallest_difference = serializers.FloatField(allow_null=True)
    half_width_people = serializers.FloatField(allow_null=True)
    smallest_difference_people = serializers.FloatField(allow_null=True)
    is_plan = serializers.BooleanField()


class BasisFields(serializers.Serializer):
    """The annotations that the variances were estimated from; `purpose` is annotation or pilot."""

    purpose = serializers.CharField()
    annotations = serializers.IntegerField()
    annotators = serializers.IntegerField()
    lists = serializers.IntegerField()
    warnings = serializers.ListField(child=serializers.CharField())


class PrecisionFields(serializers.Serializer):
    """Prediction for a plan from a past study; `reason` says why there is none.

    `control` is the kind that `kind` is compared with, empty without one.
    """

    variances_from = serializers.SlugField(source="chosen.slug")
    basis = BasisFields(allow_null=True)
    kind = serializers.ChoiceField(Kind.choices)
    control = serializers.ChoiceField(Kind.choices, allow_blank=True)
    people = serializers.IntegerField()
    reason = serializers.CharField(allow_blank=True)
    people_reason = serializers.CharField(allow_blank=True)
    curve = DesignFields(many=True)


class PreviewFields(serializers.Serializer):
    """The preview of a plan; `measured` is the number of annotations behind the time per list, 0
    for a guess.

    Of trigger prefixes, `never_active` counts keys of the chosen kinds that have no list, and
    `short_lists` those whose list is shorter than 25 prefixes.
    """

    rows = DrawnFields(many=True)
    parts = PartFields(many=True)
    lists = serializers.IntegerField()
    annotations = serializers.IntegerField()
    people = serializers.IntegerField()
    annotations_each = serializers.IntegerField()
    never_active = serializers.IntegerField()
    short_lists = serializers.IntegerField()
    seconds_per_list = serializers.FloatField()
    measured = serializers.IntegerField()
    hours = serializers.FloatField()
    hours_each = serializers.FloatField()
    precision = PrecisionFields(allow_null=True, default=None)


class Extension(Fields):
    """A larger number of lists of each kind and layer."""

    lists_per_layer = number("lists_per_layer")


class Copy(Fields):
    """The title of a copy."""

    title = serializers.CharField(max_length=TITLE)


class StateChange(Fields):
    """The new state of a study."""

    state = serializers.ChoiceField(Study.State.choices)


class Texts(serializers.Serializer):
    """The texts of a study, and their versions."""

    guidelines = serializers.CharField(allow_blank=True)
    guidelines_base = serializers.IntegerField()
    consent = serializers.CharField(allow_blank=True)
    consent_base = serializers.IntegerField()


class NewTexts(Fields):
    """New texts, with the versions that they edit."""

    guidelines = serializers.CharField(allow_blank=True, max_length=MARKDOWN)
    guidelines_base = serializers.IntegerField(min_value=0, max_value=MOST)
    consent = serializers.CharField(allow_blank=True, max_length=MARKDOWN)
    consent_base = serializers.IntegerField(min_value=0, max_value=MOST)
