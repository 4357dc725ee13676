"""The form that asks for a data set."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation_site.data_sets.licences import LICENCES
from annotation_site.data_sets.options import AUTHOR, MOST_AUTHORS, TITLE


class DataSetForm(forms.Form):
    """Licence, what is added, and how the data set is cited."""

    licence = forms.ChoiceField(
        label=_("Licence"),
        choices=[("", _("Choose a licence")), *((key, one.title) for key, one in LICENCES.items())],
        help_text=_("What others may do with the annotations. It cannot be taken back later."),
    )
    with_times = forms.BooleanField(
        label=_("Add times of work"),
        required=False,
        help_text=_("When each list was opened and submitted, and the seconds of active time."),
    )
    with_comments = forms.BooleanField(
        label=_("Add comments"),
        required=False,
        help_text=_("As people wrote them. Read them first: they can hold names."),
    )
    title = forms.CharField(
        label=_("Title"),
        required=False,
        max_length=TITLE,
        help_text=_("Under which the data set is cited. Empty: the study’s title."),
    )
    authors = forms.CharField(
        label=_("Authors"),
        required=False,
        max_length=MOST_AUTHORS * (AUTHOR + 2),
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_(
            "Who are cited, one per line. Empty: the researchers of the study, without names."
        ),
    )

    def choices(self) -> dict[str, Any]:
        """The choices of a valid form, as `data_set_request` takes them."""
        lines = self.cleaned_data["authors"].splitlines()
        return {**self.cleaned_data, "authors": [line.strip() for line in lines if line.strip()]}
