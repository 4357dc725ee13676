"""The form of the search over all lists."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation_site.annotation.studies.plans import EVERY_CATEGORY
from annotation_site.corpus.models import Extraction, Kind
from annotation_site.exact_words import ATTRIBUTES
from annotation_site.explorer.search.finding import (
    MATCHES,
    MOST_LETTERS,
    MOST_ROWS,
    ORDERS,
    PER_PAGE,
    VectorSearch,
    search_of,
)
from annotation_site.results.forms import require_layer_order, require_order

MOST_LAYER = 100_000
MOST_PAGE = MOST_ROWS // PER_PAGE
CATEGORIES = {
    "semantic": _("semantic"),
    "syntactic": _("syntactic"),
    "names": _("names"),
    "shallow": _("shallow"),
}


class VectorSearchForm(forms.Form):
    """Conditions of a search; an empty field leaves out nothing."""

    USUAL = ("tokens", "match", "said", "category", "kind", "order")
    tokens = forms.CharField(
        label=_("Tokens"),
        max_length=MOST_LETTERS,
        required=False,
        widget=forms.TextInput(attrs=ATTRIBUTES | {"autocomplete": "off", "spellcheck": "false"}),
    )
    match = forms.ChoiceField(label=_("A list has"), choices=list(MATCHES.items()), required=False)
    said = forms.CharField(
        label=_("Words in descriptions"),
        max_length=MOST_LETTERS,
        required=False,
        widget=forms.TextInput(attrs=ATTRIBUTES),
    )
    category = forms.ChoiceField(
        label=_("Category"),
        choices=[("", _("any")), *((name, CATEGORIES[name]) for name in EVERY_CATEGORY)],
        required=False,
    )
    kind = forms.ChoiceField(
        label=_("Kind"), choices=[("", _("any")), *Kind.choices], required=False
    )
    order = forms.ChoiceField(
        label=_("Order"), choices=[("", _("the usual one")), *ORDERS.items()], required=False
    )
    extractions = forms.TypedMultipleChoiceField(
        label=_("Models"),
        required=False,
        coerce=UUID,
        widget=forms.CheckboxSelectMultiple(attrs=ATTRIBUTES),
        help_text=_("None ticked means all of them."),
        error_messages={
            "invalid_choice": _(
                "One of the chosen models is not here, or has no lists. Choose the models again."
            )
        },
    )
    layer_from = forms.IntegerField(
        label=_("From layer"), min_value=0, max_value=MOST_LAYER, required=False
    )
    layer_to = forms.IntegerField(
        label=_("To layer"), min_value=0, max_value=MOST_LAYER, required=False
    )
    percent_from = forms.FloatField(
        label=_("In concepts: at least, in percent"), min_value=0, max_value=100, required=False
    )
    percent_to = forms.FloatField(
        label=_("In concepts: at most, in percent"), min_value=0, max_value=100, required=False
    )
    labelled = forms.BooleanField(label=_("Only lists with annotations"), required=False)
    page = forms.IntegerField(
        min_value=1, max_value=MOST_PAGE, required=False, widget=forms.HiddenInput
    )

    def __init__(self, data: Any, *, extractions: Sequence[Extraction]) -> None:
        super().__init__(data, label_suffix="")
        choices = [(str(one.public_id), str(one)) for one in extractions]
        self.fields["extractions"].choices = choices  # type: ignore[attr-defined]

    @property
    def usual(self) -> list[forms.BoundField]:
        """The fields that are always open."""
        return [self[name] for name in self.USUAL]

    @property
    def more(self) -> list[forms.BoundField]:
        """The folded fields of one line."""
        names = ("layer_from", "layer_to", "percent_from", "percent_to")
        return [self[name] for name in names]

    @property
    def more_is_open(self) -> bool:
        """Whether a folded field is filled in, or has an error."""
        fields = [*self.more, self["labelled"], self["extractions"]]
        return any(field.errors or field.value() for field in fields)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        require_layer_order(data)
        require_order(
            data,
            "percent_from",
            "percent_to",
            gettext("No share is at least the first number and at most the second. Swap them."),
        )
        return data

    def search(self) -> VectorSearch:
        """The search of a valid form."""
        return search_of(self.cleaned_data)
