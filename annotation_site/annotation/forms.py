"""What a researcher fills in to make a study."""

from typing import Any

from django import forms

from annotation_site.accounts.models import Role, User
from annotation_site.annotation.models import Study
from annotation_site.annotation.plans import DEFAULT_CATEGORIES, StudyPlan
from annotation_site.corpus.models import Kind
from annotation_site.corpus.selectors import extractions_ready

CONSENT_HELP = "Annotators agree to it before their first list, and again after each change."
MOST = 2**31 - 1  # the largest version that the database holds


class StudyForm(forms.Form):
    """Fields of a StudyPlan."""

    title = forms.CharField(max_length=200)
    extraction: forms.ModelChoiceField = forms.ModelChoiceField(
        queryset=None, help_text="Whose lists are judged."
    )
    kinds = forms.MultipleChoiceField(
        choices=Kind.choices, initial=Kind.values, widget=forms.CheckboxSelectMultiple
    )
    lists_per_layer = forms.IntegerField(
        min_value=1, max_value=100_000, initial=10, help_text="Of each kind."
    )
    annotators: forms.ModelMultipleChoiceField = forms.ModelMultipleChoiceField(
        queryset=None, widget=forms.CheckboxSelectMultiple
    )
    annotators_per_list = forms.IntegerField(
        label="People per list", min_value=1, max_value=100, initial=2
    )
    categories = forms.MultipleChoiceField(
        choices=[(name, name) for name in DEFAULT_CATEGORIES],
        initial=["semantic", "syntactic"],
        widget=forms.CheckboxSelectMultiple,
        help_text="The paper used names for a word-level vocabulary only.",
    )
    min_tokens = forms.IntegerField(
        label="Minimum tokens",
        min_value=1,
        max_value=30,
        initial=4,
        help_text="A pattern with fewer tokens does not count in results.",
    )
    several_patterns_per_token = forms.BooleanField(
        label="A token may be in several patterns", required=False
    )
    show_glosses = forms.BooleanField(
        label="Show glosses beside tokens", required=False, initial=True
    )
    highlight_spellings = forms.BooleanField(
        label="Underline tokens spelled like the current one",
        required=False,
        help_text="Shows plurals and word families. The paper's annotators had no such help.",
    )
    seed = forms.IntegerField(
        min_value=0,
        max_value=2**63 - 1,
        initial=0,
        help_text="Decides which lists are drawn and who gets which.",
    )
    guidelines = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 8}),
        required=False,
        help_text="Markdown. Left empty, annotators read the paper's protocol.",
    )
    consent = forms.CharField(
        label="Consent text",
        widget=forms.Textarea(attrs={"rows": 6}),
        required=False,
        help_text=f"Markdown. {CONSENT_HELP} "
        "Left empty, they only read that lists can contain offensive words.",
    )
    on_withdrawal = forms.ChoiceField(
        label="When somebody withdraws, their submitted answers are",
        choices=[
            (Study.OnWithdrawal.KEEP, "kept, under a code instead of a name"),
            (Study.OnWithdrawal.REMOVE, "removed, and their lists given to other people"),
        ],
        initial=Study.OnWithdrawal.KEEP,
        widget=forms.RadioSelect,
        help_text="Annotators read this before they agree, so it cannot be changed later. "
        "Anybody can withdraw at any time.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["extraction"].queryset = extractions_ready()  # type: ignore[attr-defined]
        if extractions_ready().count() == 1:  # then there is nothing to choose
            self.fields["extraction"].initial = extractions_ready().get().pk
        self.fields["annotators"].queryset = User.objects.filter(  # type: ignore[attr-defined]
            role=Role.ANNOTATOR, is_active=True
        ).order_by("username")

    def plan(self) -> StudyPlan:
        """The plan that a valid form describes."""
        data = dict(self.cleaned_data)
        data["annotators"] = list(data["annotators"])
        data["extractions"] = [data.pop("extraction")]
        return StudyPlan(**data)


class TextsForm(forms.Form):
    """The texts of a study that may change while people work on it."""

    guidelines = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 14}),
        required=False,
        help_text="Markdown. Each submission keeps the version that it was made under.",
    )
    consent = forms.CharField(
        label="Consent text",
        widget=forms.Textarea(attrs={"rows": 10}),
        required=False,
        help_text=f"Markdown. {CONSENT_HELP} An empty text asks for nothing.",
    )
    guidelines_base = forms.IntegerField(min_value=0, max_value=MOST, widget=forms.HiddenInput)
    consent_base = forms.IntegerField(min_value=0, max_value=MOST, widget=forms.HiddenInput)
