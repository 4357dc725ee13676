"""Forms of language models as machine annotators: the prompt, a new run, a run's limits."""

from typing import Any

from django import forms
from django.core.validators import MaxValueValidator
from django.utils.translation import gettext_lazy as _

from annotation_site.exact_words import ATTRIBUTES
from annotation_site.machine_annotators.answerers import Configured
from annotation_site.machine_annotators.limits import (
    HOTTEST,
    LEAST_REPLY_TOKENS,
    MILLIONTH,
    MOST_COST,
    MOST_REQUESTS,
    MOST_SEED,
    MOST_TOKENS,
)
from annotation_site.machine_annotators.messages import PROMPT_MOST
from annotation_site.machine_annotators.models import MachineRun

MOST = 2**31 - 1  # the largest version that the database holds


class PromptForm(forms.Form):
    """The prompt of a study's language models, and the version that it was written from."""

    text = forms.CharField(
        label=_("Prompt"),
        max_length=PROMPT_MOST,
        widget=forms.Textarea(attrs={"rows": 16, **ATTRIBUTES}),
    )
    base = forms.IntegerField(min_value=0, max_value=MOST, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["text"].help_text = _("Plain text, at most %(most)s characters.") % {
            "most": f"{PROMPT_MOST:,}"
        }

    def clean_text(self) -> str:
        """The text with one character for each line's end: browsers send two."""
        return "\n".join(self.cleaned_data["text"].splitlines())


class LimitsForm(forms.Form):
    """The limits of a run; without a price there is none of its cost."""

    most_requests = forms.IntegerField(
        label=_("Most requests"),
        min_value=1,
        max_value=MOST_REQUESTS,
        help_text=_("A list takes one, and a second one after a malformed reply."),
    )
    most_tokens = forms.IntegerField(
        label=_("Most tokens"),
        min_value=1,
        max_value=MOST_TOKENS,
        help_text=_("Of all requests and replies together."),
    )
    most_cost = forms.DecimalField(
        label=_("Most cost"), min_value=MILLIONTH, max_value=MOST_COST, decimal_places=6
    )

    def __init__(self, *args: Any, has_price: bool, currency: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not has_price:
            del self.fields["most_cost"]
        elif currency:
            self.fields["most_cost"].label = _("Most cost (%(currency)s)") % {"currency": currency}

    def limits(self) -> dict[str, Any]:
        """The cleaned limits; a cost of None is no limit of it."""
        return {
            name: self.cleaned_data.get(name)
            for name in ("most_requests", "most_tokens", "most_cost")
        }


class RunForm(LimitsForm):
    """A new run. Limits that are empty are what is needed at most, which the next page shows."""

    covers = forms.ChoiceField(
        label=_("Lists"),
        choices=MachineRun.Covers.choices,
        initial=MachineRun.Covers.LISTS,
        widget=forms.RadioSelect,
        help_text=_("Only a run of every value vector can be a proxy for estimates."),
    )
    temperature = forms.FloatField(
        label=_("Temperature"),
        min_value=0,
        max_value=HOTTEST,
        initial=0,
        help_text=_("0 takes the likeliest token each time."),
    )
    seed = forms.IntegerField(
        label=_("Seed"),
        min_value=0,
        max_value=MOST_SEED,
        initial=0,
        help_text=_("Not every endpoint keeps to it."),
    )
    most_reply_tokens = forms.IntegerField(
        label=_("Most tokens of a reply"),
        min_value=LEAST_REPLY_TOKENS,
        help_text=_("A longer reply is cut there, and is malformed."),
    )
    field_order = (
        "covers", "temperature", "seed", "most_reply_tokens", "most_requests", "most_tokens",
        "most_cost",
    )  # fmt: skip

    def __init__(self, *args: Any, model: Configured, **kwargs: Any) -> None:
        super().__init__(*args, has_price=has_price(model), currency=model.currency, **kwargs)
        reply_tokens = _at_most(self.fields["most_reply_tokens"], model.most_reply_tokens)
        reply_tokens.initial = model.most_reply_tokens
        for name in self.limit_names:
            self.fields[name].required = False

    @property
    def limit_names(self) -> list[str]:
        return [name for name in LimitsForm.base_fields if name in self.fields]

    @property
    def usual(self) -> list[forms.BoundField]:
        """The fields that say what is asked."""
        return [self[name] for name in self.fields if name not in self.limit_names]

    @property
    def limit_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.limit_names]

    def asked(self) -> dict[str, Any]:
        """The cleaned values besides limits."""
        names = ("covers", "temperature", "seed", "most_reply_tokens")
        return {name: self.cleaned_data[name] for name in names}


def has_price(model: Configured) -> bool:
    """Whether the cost of a run is known: the site's settings name a price."""
    return model.price_input is not None or model.price_output is not None


def _at_most(field: forms.Field, most: int) -> forms.Field:
    """A number's field with the site's limit, which its browser knows too."""
    field.max_value = most  # type: ignore[attr-defined]
    field.validators = [*field.validators, MaxValueValidator(most)]
    field.widget.attrs["max"] = most
    return field
