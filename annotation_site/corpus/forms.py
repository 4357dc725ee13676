"""Forms to enqueue a model, to upload a bundle, and to search lists."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

from django import forms
from django.forms.boundfield import BoundField

from annotation_site import bounds
from annotation_site.corpus.models import Extraction
from annotation_site.exact_words import ATTRIBUTES
from ffn_extract.errors import OptionError, OptionSentence
from ffn_extract.option_types import Choice, Flag, Integer, Names, Number, Places, Text
from ffn_extract.options import ALL, KINDS, OPTIONS, WORDNET_CORPUS, ExtractOptions, Option


def _field(option: Option, **settings: Any) -> forms.Field:
    """The field of an option, from its declaration; `settings` are the page's own."""
    settings = {
        "label": option.label,
        "help_text": option.help if option.page_help is None else option.page_help,
        "initial": option.default,
        "required": option.first and not option.optional,
        **settings,
    }
    match option.type:
        case Flag():
            return forms.BooleanField(**settings)
        case Choice(meanings, unset):
            none = [("", unset)] if option.optional else []
            settings |= {"help_text": "", "required": not option.optional}
            return forms.ChoiceField(choices=[*none, *meanings.items()], **settings)
        case Names(known, menu=menu) as names:
            settings["help_text"] = ""
            if menu is not None:
                settings["initial"] = names.write(option.default)
                return forms.ChoiceField(choices=list(menu.items()), **settings)
            return forms.MultipleChoiceField(
                choices=list(known.items()), widget=forms.CheckboxSelectMultiple, **settings
            )
        case Integer(low, high, most=most):
            return forms.IntegerField(min_value=low, max_value=most or high, **settings)
        case Number():
            return forms.FloatField(**settings)
        case Places():
            area = forms.Textarea(attrs={"rows": 3, "spellcheck": "false", **ATTRIBUTES})
            return forms.CharField(max_length=bounds.CHOSEN_VECTORS, widget=area, **settings)
        case Text(most=most):
            return forms.CharField(max_length=most, **settings)
    raise TypeError(f"no field for {option.type}")


class EnqueueForm(forms.Form):
    """Form of an extraction, with the options of `ffn_extract extract`."""

    model = forms.CharField(
        max_length=bounds.MODEL,
        widget=forms.TextInput(attrs={"list": "local-models", "autocomplete": "off"}),
    )
    extent = forms.ChoiceField(
        label="How many value vectors",
        choices=[
            ("sample", "a sample of each layer"),
            (ALL, "all of them: cut by layer, for any number of workers"),
        ],
        initial="sample",
        widget=forms.RadioSelect,
    )
    per_layer = _field(
        OPTIONS["per_layer"],
        help_text="Of each kind; where all value vectors are taken, of the other kinds.",
    )
    drawn_per_layer = _field(
        OPTIONS["drawn_per_layer"],
        help_text="If not as many as above. Each update is drawn from a text of its own.",
    )
    corpus = forms.ChoiceField(
        label=OPTIONS["corpus"].label,
        required=False,
        initial=OPTIONS["corpus"].default,
        widget=forms.Select(attrs=ATTRIBUTES),
    )
    field_order = (
        "model", "revision", "kinds", "extent", "per_layer", "glosses", "seed", "projection",
        "random_grain", "drop_special", "through_head", "top_k", *OPTIONS,
    )  # fmt: skip

    def __init__(
        self,
        *args: Any,
        local_models: Sequence[str] = (),
        local_corpora: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        there = f" Now there: {', '.join(local_models)}." if local_models else ""
        self.fields["model"].help_text = (
            "A hub id such as gpt2, or the name of a folder or GGUF file in the models folder."
            f"{there}"
        )
        cast(forms.ChoiceField, self.fields["corpus"]).choices = [
            (WORDNET_CORPUS, "WordNet's example sentences"),
            *((name, name) for name in local_corpora),
        ]

    def first_fields(self) -> Iterator[BoundField]:
        """The fields that are always open."""
        return (field for field in self if field.name not in MORE_OPTIONS)

    def more_fields(self) -> Iterator[BoundField]:
        """The fields under "More options"."""
        return (field for field in self if field.name in MORE_OPTIONS)

    @property
    def more_is_open(self) -> bool:
        """Whether a field under "More options" has an error or a changed value."""
        named = {*self.errors, *self.changed_data} if self.is_bound else set()
        return not MORE_OPTIONS.isdisjoint(named)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if self.errors:
            return data
        if data["extent"] == ALL and "value" not in data["kinds"]:
            raise forms.ValidationError("All of them needs the kind value vectors. Choose it too.")
        try:
            data["options"] = self._options(data)
        except OptionError as error:
            if not error.problems:
                raise forms.ValidationError(str(error)) from error
            for problem in error.problems:
                self.add_error(*self._in_own_words(problem))
        return data

    def _in_own_words(self, problem: OptionSentence) -> tuple[str | None, str]:
        """The field that a problem is about, and its sentence with the fields' labels."""
        field = problem.option if problem.option in self.fields else None
        return field, problem.write(self._label)

    def _label(self, option: str) -> str:
        return str(self[option].label) if option in self.fields else option

    @staticmethod
    def _options(data: dict[str, Any]) -> ExtractOptions:
        """The options of what is filled in; an empty field leaves its default."""
        given = {name: data[name] for name in OPTIONS if data[name] not in (None, "")}
        every, listed = data["extent"] == ALL, "vectors" in given
        if (every or listed) and data["kinds"] != ["value"]:
            given.setdefault("drawn_per_layer", data["per_layer"])
        if every:
            given["per_layer"] = ALL
        elif listed:
            del given["per_layer"]
        return ExtractOptions.read(given)


for _option in OPTIONS.values():
    EnqueueForm.base_fields.setdefault(_option.name, _field(_option))
MORE_OPTIONS = frozenset(name for name, option in OPTIONS.items() if not option.first)


class ExtractionFilter(forms.Form):
    """Filter of extractions by state."""

    state = forms.ChoiceField(
        required=False, choices=[("", "any state"), *Extraction.State.choices]
    )


class VectorFilter(forms.Form):
    """Search among an extraction's vectors; every field is optional."""

    token = forms.CharField(
        max_length=bounds.SEARCHED_TOKEN,
        required=False,
        strip=True,
        help_text="In the top tokens, in any case: king finds king, King and the piece ⋯king.",
    )
    kind = forms.ChoiceField(
        required=False, choices=[("", "any"), *((kind, kind) for kind in KINDS)]
    )
    layer = forms.IntegerField(
        min_value=0, max_value=100_000, required=False, label="Layer, from 0"
    )
    page = forms.IntegerField(
        min_value=1, max_value=1_000_000, required=False, widget=forms.HiddenInput
    )
