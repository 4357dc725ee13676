"""What a researcher fills in to ask for a file."""

from django import forms
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from annotation_site.results.files.jobs import CONTENTS


class ExportForm(forms.Form):
    """Which file, and whether it names people."""

    content = forms.ChoiceField(
        label=_("File"),
        choices=[
            (key, format_lazy("{}: {}", content.title, content.help))
            for key, content in CONTENTS.items()
        ],
        initial="archive",
        widget=forms.RadioSelect,
    )
    with_names = forms.BooleanField(
        label=_("Include people's names"),
        required=False,
        help_text=_(
            "Without names, people appear under codes that mean nothing outside the study. With "
            "names, the file is personal data: share it only with people who may know who "
            "annotated what."
        ),
    )
