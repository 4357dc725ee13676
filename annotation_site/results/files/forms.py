"""Form of a file request."""

from django import forms

from annotation_site.results.files.jobs import CONTENTS


class ExportForm(forms.Form):
    """The file to request, with or without names."""

    content = forms.ChoiceField(
        label="File",
        choices=[(key, f"{content.title}: {content.help}") for key, content in CONTENTS.items()],
        initial="archive",
        widget=forms.RadioSelect,
    )
    with_names = forms.BooleanField(
        label="Name people in it",
        required=False,
        help_text="Without this, everybody appears under a code that means nothing outside the "
        "study. With it, the file is personal data: share it with nobody who may not know who "
        "said what.",
    )
