"""Requests about traces: the form of a prompt, and the look of a page with its changes."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation_site import bounds
from annotation_site.errors import Invalid
from annotation_site.exact_words import ATTRIBUTES
from annotation_site.traces.page import OVERALL, Look
from annotation_site.traces.page import Change as Typed
from annotation_site.traces.selectors import TraceableModel
from annotation_site.traces.services import MOST_INTERVENTIONS, MOST_NEW_TOKENS, NEW_TOKENS

_PLACE = re.compile(r"(\d{1,6})\.(\d{1,9})")
ORDERS = ("size", "push")
FIRST_ACTION, FIRST_VALUE = "scale", "-1"
Change = dict[str, Any]


class PromptForm(forms.Form):
    """A prompt and the model that continues it."""

    prompt = forms.CharField(
        label=_("Prompt"), max_length=bounds.PROMPT, strip=False, required=False,
        widget=forms.TextInput(attrs=ATTRIBUTES),
    )  # fmt: skip
    model = forms.TypedChoiceField(label=_("Model"), coerce=int)
    new_tokens = forms.IntegerField(
        label=_("Tokens to continue with"), min_value=0, max_value=MOST_NEW_TOKENS,
        initial=NEW_TOKENS, required=False,
    )  # fmt: skip
    position = forms.IntegerField(min_value=0, required=False, widget=forms.HiddenInput)
    token_id = forms.IntegerField(min_value=0, required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, models: Sequence[TraceableModel], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["model"]
        field.choices = [(one.model.pk, one.model.name) for one in models if not one.refusal]
        field.widget.attrs.update(translate="no", **{"class": "notranslate"})
        if "\n" in str(self["prompt"].value() or ""):  # which one line would lose
            self.fields["prompt"].widget = forms.Textarea(attrs={**ATTRIBUTES, "rows": 3})

    def clean_prompt(self) -> str:
        """The prompt with the line ends that it had before a browser sent it."""
        return str(self.cleaned_data["prompt"]).replace("\r\n", "\n")


def changes_of(data: QueryDict) -> list[Change]:
    """The vectors that a page's form has chosen to change, each once, as they were typed.

    `change` are those with a line of their own. `tick` are the ticked ones of those that `shown`
    lists, where one that is not ticked is chosen no more.
    """
    shown = set(data.get("shown", "").split(","))
    ticked = data.getlist("tick")
    kept = [name for name in data.getlist("change") if name not in shown or name in ticked]
    found = []
    for name in dict.fromkeys([*kept, *ticked]):
        place = _PLACE.fullmatch(name)
        if place is not None:
            found.append(
                {
                    "layer": int(place[1]),
                    "index": int(place[2]),
                    "action": data.get(f"action-{name}", FIRST_ACTION)[:10],
                    "value": data.get(f"value-{name}", FIRST_VALUE)[:20],
                    "from_position": data.get(f"from-{name}", "0")[:6],
                }
            )
    return found[: MOST_INTERVENTIONS + 1]


def changes_typed(changes: Sequence[Mapping[str, Any]]) -> list[Typed]:
    """The same as lines of a form that knows no trace."""
    return [
        Typed(
            one["layer"], one["index"], one["action"], one["value"], _whole(one["from_position"]),
            None,
        )
        for one in changes
    ]  # fmt: skip


def interventions_of(changes: Sequence[Mapping[str, Any]]) -> list[Change]:
    """The changes as a request has them. Raises Invalid for what is no number."""
    found = []
    for one in changes:
        name = f"{one['layer']}.{one['index']}"
        try:
            value = 0.0 if one["action"] == "zero" else _number(one["value"])
            start = int(one["from_position"] or 0)
        except ValueError as error:
            raise Invalid(
                gettext("Give a number for the vector %(vector)s.") % {"vector": name}
            ) from error
        found.append({**one, "value": value, "from_position": start})
    return found


def _number(text: str) -> float:
    return float(text.strip().replace("−", "-").replace(",", "."))


def look_of(data: QueryDict, stored: Sequence[Mapping[str, Any]]) -> Look:
    """The look that an address chooses, with the `stored` changes where it names none."""
    layer = data.get("layer", "")
    order = data.get("order", "")
    number = OVERALL if layer == "all" else int(layer) if re.fullmatch(r"\d{1,6}", layer) else None
    changes = changes_of(data) if "own" in data else stored
    cleaned = [{**one, "from_position": _whole(one["from_position"])} for one in changes]
    return Look(number, order if order in ORDERS else "size", cleaned)


def _whole(value: Any) -> int:
    text = str(value)
    return int(text) if text.isdecimal() else 0


def query_of(changes: Sequence[Mapping[str, Any]]) -> str:
    """The part of an address that names changes, so that links keep them."""
    pairs: list[tuple[str, Any]] = [("own", 1)]
    for one in changes:
        name = f"{one['layer']}.{one['index']}"
        value = one["value"]
        pairs += [
            ("change", name),
            (f"action-{name}", one["action"]),
            (f"value-{name}", value if isinstance(value, str) else f"{value:g}"),
            (f"from-{name}", one["from_position"]),
        ]
    return urlencode(pairs)
