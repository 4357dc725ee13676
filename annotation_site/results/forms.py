"""The forms of a study's results: the filters of its tables and lists, and its files."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.utils.datastructures import MultiValueDict
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation_site.annotation.lists.nouns import nouns_of
from annotation_site.annotation.models import MOST_RANKS, Study
from annotation_site.corpus.models import Kind
from annotation_site.exact_words import ATTRIBUTES, NamesSelect
from annotation_site.results.files.jobs import CONTENTS
from annotation_site.results.pages.list_search import (
    MOST_LETTERS,
    ORDERS,
    STATES,
    ListFilters,
)
from annotation_site.results.snapshots.selectors import longest_list
from annotation_site.results.tables.filters import ADJUDICATED, Filters

_DATE = forms.DateInput(attrs={"type": "date"})


def require_order(data: Mapping[str, Any], first: str, last: str, sentence: str) -> None:
    """Raises ValidationError with the sentence where the first of two bounds is above the last."""
    low, high = data.get(first), data.get(last)
    if low is not None and high is not None and low > high:
        raise forms.ValidationError(sentence)


def require_layer_order(data: Mapping[str, Any]) -> None:
    """Raises ValidationError where `layer_from` is above `layer_to`."""
    said = gettext("The first layer comes after the last one. Swap them.")
    require_order(data, "layer_from", "layer_to", said)


class FilterForm(forms.Form):
    """Filter of results; its boxes are ticked where they apply.

    Only what the study holds can be chosen: its kinds, categories and people. A group that an
    address leaves out takes everything; a form that was sent says so with `ticked`, and needs a
    box of each group.
    """

    min_tokens = forms.IntegerField(
        label=_("Tokens that a pattern needs"), min_value=1, max_value=MOST_RANKS
    )
    kinds = forms.MultipleChoiceField(
        label=_("Kinds"), required=False, widget=forms.CheckboxSelectMultiple
    )
    layer_from = forms.IntegerField(
        label=_("From layer"), min_value=0, max_value=100_000, required=False
    )
    layer_to = forms.IntegerField(
        label=_("To layer"), min_value=0, max_value=100_000, required=False
    )
    categories = forms.MultipleChoiceField(
        label=_("Categories"), required=False, widget=forms.CheckboxSelectMultiple(attrs=ATTRIBUTES)
    )
    people = forms.MultipleChoiceField(
        label=_("People"), required=False, widget=forms.CheckboxSelectMultiple(attrs=ATTRIBUTES)
    )
    day_from = forms.DateField(label=_("Submitted from"), required=False, widget=_DATE)
    day_to = forms.DateField(label=_("Submitted until"), required=False, widget=_DATE)
    adjudicated = forms.ChoiceField(
        label=_("Adjudicated lists"), choices=list(ADJUDICATED.items()), required=False
    )
    machine_annotators = forms.BooleanField(
        label=_("Count machine annotators as people"), required=False
    )

    def __init__(
        self,
        data: Any = None,
        *,
        study: Study,
        people: Mapping[str, object],
        layers: tuple[int, int] | None = None,
        **kwargs: Any,
    ) -> None:
        """`people` have names by code; `layers` are the first and the last one, which stand in the
        form where no others are chosen.
        """
        choices = {
            "kinds": [one for one in Kind.choices if one[0] in study.kinds],
            "categories": [(name, name) for name in study.categories],
            "people": [(code, str(person)) for code, person in people.items()],
        }
        # What is left out of an address is the study's own choice.
        data = data.copy() if data is not None else {}
        self.was_sent = "ticked" in data
        self.nothing_of = [
            name for name, every in choices.items() if name not in data and len(every) > 1
        ]
        self.layers = layers
        data.setdefault("min_tokens", study.min_tokens)
        data.setdefault("adjudicated", "off")
        if layers is not None:
            data.setdefault("layer_from", layers[0])
            data.setdefault("layer_to", layers[1])
        for name, options in choices.items():
            every = [value for value, _ in options]
            data.setlistdefault(name, every) if isinstance(data, MultiValueDict) else (
                data.setdefault(name, every)
            )
        super().__init__(data, **kwargs)
        self.study = study
        if nouns_of(study.list_source).is_prefix:
            self.fields["min_tokens"].label = gettext("Prefixes that a pattern needs")
        for name, options in choices.items():
            self.fields[name].choices = options  # type: ignore[attr-defined]

    def clean_min_tokens(self) -> int:
        number: int = self.cleaned_data["min_tokens"]
        if number <= self.study.min_tokens:  # a rule of the study, whatever its lists are
            return number
        longest = longest_list(self.study)
        if longest is not None and number > longest:
            raise forms.ValidationError(
                gettext(
                    "No list of this study has more than %(longest)s %(entries)s, so no pattern "
                    "would count. Give a number from 1 to %(longest)s."
                )
                % {"longest": longest, "entries": nouns_of(self.study.list_source).many}
            )
        return number

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        for name in self.nothing_of if self.was_sent else ():
            self.add_error(name, gettext("Nothing is ticked, so nothing applies. Tick a box."))
        require_layer_order(data)
        require_order(
            data,
            "day_from",
            "day_to",
            gettext("The first day comes after the last one. Swap them."),
        )
        return data

    def filters(self) -> Filters:
        """The filter of the form; everything ticked equals nothing ticked. Call after is_valid."""
        data = self.cleaned_data

        def some(name: str) -> tuple[str, ...] | None:
            chosen = tuple(sorted(data[name]))
            every = len(self.fields[name].choices)  # type: ignore[attr-defined]
            return chosen if 0 < len(chosen) < every else None

        first, last = data["layer_from"], data["layer_to"]
        if self.layers is not None:
            last = None if last is not None and last >= self.layers[1] else last
            first = None if first is not None and first <= self.layers[0] else first
        return Filters(
            min_tokens=data["min_tokens"],
            kinds=some("kinds"),
            layer_from=first or None,
            layer_to=last,
            categories=some("categories"),
            people=some("people"),
            day_from=data["day_from"].isoformat() if data["day_from"] else None,
            day_to=data["day_to"].isoformat() if data["day_to"] else None,
            adjudicated=data["adjudicated"] or "off",
            machine_annotators=data["machine_annotators"],
        )

    @property
    def query(self) -> str:
        """The filter as an address has it: without what excludes nothing. Call after is_valid."""
        chosen = self.filters().canonical()
        if chosen["min_tokens"] == self.study.min_tokens:
            del chosen["min_tokens"]
        return urlencode({name: "on" if v is True else v for name, v in chosen.items()}, doseq=True)

    def sentence(self) -> str:
        """The form's error as one sentence."""
        parts = []
        for name, errors in self.errors.items():
            label = "" if name == "__all__" else f"{self.fields[name].label}: "
            parts += [f"{label}{error}" for error in errors]
        return " ".join(parts)


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


class ListFilterForm(forms.Form):
    """The filter of *Lists*; an empty field leaves out nothing."""

    USUAL = ("entries", "said", "kind", "state", "order")
    entries = forms.CharField(label=_("Entries"), max_length=MOST_LETTERS, required=False)
    said = forms.CharField(label=_("Descriptions"), max_length=MOST_LETTERS, required=False)
    model = forms.ChoiceField(label=_("Model"), required=False, widget=NamesSelect)
    kind = forms.ChoiceField(label=_("Kind"), required=False)
    layer_from = forms.IntegerField(
        label=_("From layer"), min_value=0, max_value=100_000, required=False
    )
    layer_to = forms.IntegerField(
        label=_("To layer"), min_value=0, max_value=100_000, required=False
    )
    state = forms.ChoiceField(label=_("State"), required=False)
    person = forms.ChoiceField(label=_("Annotated by"), required=False, widget=NamesSelect)
    agreement_from = forms.FloatField(
        label=_("Overlap from"), min_value=0, max_value=1, required=False
    )
    agreement_below = forms.FloatField(
        label=_("Overlap below"), min_value=0, max_value=1, required=False
    )
    order = forms.ChoiceField(label=_("Order"), choices=list(ORDERS.items()), required=False)

    def __init__(
        self,
        data: Any,
        *,
        study: Study,
        models: Sequence[str],
        people: Sequence[tuple[str, str]],
    ) -> None:
        super().__init__(data, label_suffix="")
        self.has_several_models = len(models) > 1
        choices: dict[str, list[tuple[str, Any]]] = {
            "model": [(name, name) for name in models],
            "kind": [one for one in Kind.choices if one[0] in study.kinds],
            "state": list(STATES.items()),
            "person": list(people),
        }
        for name, options in choices.items():
            every: list[tuple[str, Any]] = [("", _("all"))]
            self.fields[name].choices = every + options  # type: ignore[attr-defined]
        for name in ("agreement_from", "agreement_below"):
            self.fields[name].widget.attrs["step"] = "0.05"
        self.fields["entries"].widget.attrs.update(ATTRIBUTES)
        self.fields["said"].widget.attrs.update(ATTRIBUTES)

    @property
    def usual(self) -> list[forms.BoundField]:
        """The fields that are always open."""
        return [self[name] for name in self.USUAL]

    @property
    def more(self) -> list[forms.BoundField]:
        """The folded fields; a model is asked for where there are several."""
        found = [field for field in self.visible_fields() if field.name not in self.USUAL]
        return [field for field in found if field.name != "model" or self.has_several_models]

    @property
    def more_is_open(self) -> bool:
        """Whether a folded field filters, or has an error."""
        return any(field.errors or field.data for field in self.more)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        require_layer_order(data)
        require_order(
            data,
            "agreement_from",
            "agreement_below",
            gettext("No overlap is at least the first number and below the second. Swap them."),
        )
        return data

    def filters(self) -> ListFilters:
        """The filter of the form. Call after is_valid."""
        data = self.cleaned_data
        return ListFilters(
            entries=data["entries"],
            said=data["said"],
            model=data["model"],
            kind=data["kind"],
            layer_from=data["layer_from"],
            layer_to=data["layer_to"],
            state=data["state"],
            person=uuid.UUID(data["person"]) if data["person"] else None,
            agreement_from=data["agreement_from"],
            agreement_below=data["agreement_below"],
            order=data["order"] or "annotations",
        )
