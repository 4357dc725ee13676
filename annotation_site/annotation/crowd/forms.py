"""Forms of open links."""

from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from annotation_site.annotation.crowd import checks, links
from annotation_site.annotation.crowd.models import OpenLink
from annotation_site.exact_words import ATTRIBUTES

EXAMPLE = "How many tokens does a pattern need?\n* four\n- one\n- thirty"


class OpenLinkForm(forms.Form):
    """Settings of an open link."""

    name = forms.CharField(
        label=_("Name"),
        max_length=100,
        help_text=_("For your own list. Participants don’t see it."),
    )
    last_day = forms.DateField(
        label=_("Last day"),
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text=_("In UTC. People who have joined can finish after it."),
    )
    most_people = forms.IntegerField(
        label=_("At most how many participants"),
        min_value=1,
        max_value=links.MOST_PEOPLE,
        initial=50,
        help_text=_(
            "A participant who leaves, fails the check or stays away makes room for another."
        ),
    )
    most_lists = forms.IntegerField(
        label=_("Lists per participant, at most"),
        min_value=1,
        max_value=links.MOST_LISTS,
        initial=10,
    )
    preset = forms.ChoiceField(
        label=_("Crowd platform"),
        choices=OpenLink.Preset.choices,
        initial=OpenLink.Preset.PLAIN,
        widget=forms.RadioSelect,
        help_text=_("Only says which parameters the address has. Nothing contacts the platform."),
    )
    parameter = forms.CharField(
        label=_("Parameter with the participant id"),
        max_length=40,
        required=False,
        help_text=_("For another platform, for example workerId."),
        widget=forms.TextInput(attrs={"autocapitalize": "none", **ATTRIBUTES}),
    )
    completion = forms.ChoiceField(
        label=_("Participants who finish get"),
        choices=OpenLink.Completion.choices,
        initial=OpenLink.Completion.CODE,
        widget=forms.RadioSelect,
    )
    completion_code = forms.CharField(
        label=_("Completion code"),
        max_length=64,
        required=False,
        help_text=_("Empty means that one is made."),
        widget=forms.TextInput(attrs={"autocapitalize": "none", **ATTRIBUTES}),
    )
    redirect_url = forms.CharField(
        label=_("Address of the way back"),
        max_length=500,
        required=False,
        help_text=_("Begins with https://, as the platform gives it."),
        widget=forms.URLInput(attrs=ATTRIBUTES),
    )
    questions = forms.CharField(
        label=_("Comprehension check"),
        max_length=checks.MOST_TEXT,
        required=False,
        widget=forms.Textarea(attrs={"rows": 8, "placeholder": EXAMPLE, **ATTRIBUTES}),
        help_text=_(
            "A line is a question; below it stand its answers, the right one behind *, the others "
            "behind -. Participants get lists only after they answer all of them correctly. Empty "
            "means no check."
        ),
    )
    attempts = forms.TypedChoiceField(
        label=_("Attempts at the check"),
        choices=[(1, "1"), (2, "2")],
        coerce=int,
        initial=2,
    )
    idle_hours = forms.IntegerField(
        label=_("Hours of absence until unopened lists go to others"),
        min_value=1,
        max_value=links.MOST_IDLE_HOURS,
        initial=24,
    )
    keep_days = forms.IntegerField(
        label=_("Days until participant ids are erased"),
        min_value=1,
        max_value=links.MOST_DAYS,
        initial=90,
        help_text=_("Counted from the day on which the participant joined. Pay before."),
    )

    SECTIONS = (
        (_("Who can join"), ("name", "last_day", "most_people", "most_lists")),
        (
            _("Platform and completion"),
            ("preset", "parameter", "completion", "completion_code", "redirect_url"),
        ),
        (_("Check"), ("questions", "attempts")),
        (_("Absence and ids"), ("idle_hours", "keep_days")),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["last_day"].initial = timezone.now().date() + timedelta(days=14)

    @property
    def sections(self) -> list[tuple[Any, list[forms.BoundField]]]:
        """The form's fields under their headings."""
        return [(heading, [self[name] for name in names]) for heading, names in self.SECTIONS]

    def settings(self) -> links.LinkSettings:
        """The settings of a valid form."""
        values = dict(self.cleaned_data)
        return links.LinkSettings(ends_at=end_of(values.pop("last_day")), **values)


def end_of(day: date) -> datetime:
    """The moment at which a day ends, in UTC."""
    return datetime.combine(day, time(), tzinfo=UTC) + timedelta(days=1)


def link_initial(link: OpenLink) -> dict[str, Any]:
    """Initial values of the form for a link."""
    initial = asdict(links.settings_of(link))
    ends_at = initial.pop("ends_at") - timedelta(seconds=1)
    return {**initial, "last_day": ends_at.astimezone(UTC).date()}
