"""Forms of sets of vectors."""

from typing import Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation_site.bounds import TITLE, VECTOR_SET_NOTE
from annotation_site.corpus.models import LanguageModel, VectorSet
from annotation_site.corpus.selectors import extractions_ready
from annotation_site.corpus.vector_sets import MOST_LETTERS, places_typed, vector_sets
from annotation_site.errors import Invalid
from annotation_site.exact_words import ATTRIBUTES

MANY = _("These are more vectors than a set can have. Name fewer.")


class SetForm(forms.Form):
    """Title, note and vectors of a set."""

    title = forms.CharField(
        label=_("Name"), max_length=TITLE, widget=forms.TextInput(attrs=ATTRIBUTES)
    )
    note = forms.CharField(
        label=_("Note"),
        max_length=VECTOR_SET_NOTE,
        required=False,
        widget=forms.Textarea(attrs=ATTRIBUTES | {"rows": 2}),
        help_text=_("What the vectors have in common, for the others of the team."),
    )
    places = forms.CharField(
        label=_("Vectors"),
        required=False,  # all can be hidden from the person; the service refuses a set of none
        max_length=MOST_LETTERS,
        error_messages={"max_length": MANY},
        widget=forms.Textarea(attrs={**ATTRIBUTES, "rows": 6, "class": "notranslate mono"}),
        help_text=_(
            "Value vectors, each as LAYER:INDEX, such as 14:518, both from 0: on lines of their "
            "own, or separated by commas."
        ),
    )

    as_of = forms.CharField(max_length=60, required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["places"].one_of = True  # type: ignore[attr-defined]  # not "(optional)"

    def clean_places(self) -> list[tuple[int, int]]:
        """The places that were typed."""
        try:
            return places_typed(self.cleaned_data["places"])
        except Invalid as refused:
            raise forms.ValidationError(refused.message) from refused


class NewSetForm(SetForm):
    """The same of a new set, with its model."""

    field_order = ("title", "model", "places", "note")
    as_of = None  # type: ignore[assignment]
    model = forms.ModelChoiceField(
        queryset=LanguageModel.objects.none(),
        label=_("Model"),
        empty_label=None,
        widget=forms.Select(attrs=ATTRIBUTES),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        model = cast("forms.ModelChoiceField[LanguageModel]", self.fields["model"])
        ready = extractions_ready().order_by().values("model")
        model.queryset = LanguageModel.objects.filter(pk__in=ready).order_by("name", "pk")


class SaveFoundForm(forms.Form):
    """The name of a set of found lists, and the address's search that found them."""

    title = forms.CharField(label=_("Name"), max_length=TITLE, required=False)
    search = forms.CharField(max_length=4_000, required=False)


class AddToSetForm(forms.Form):
    """A set, and vectors to add to it."""

    vector_set = forms.ModelChoiceField(
        queryset=VectorSet.objects.none(), to_field_name="public_id", label=_("Set")
    )
    places = forms.CharField(max_length=MOST_LETTERS, error_messages={"max_length": MANY})

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        chosen = cast("forms.ModelChoiceField[VectorSet]", self.fields["vector_set"])
        chosen.queryset = vector_sets()

    clean_places = SetForm.clean_places
