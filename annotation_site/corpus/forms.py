"""Forms to enqueue a model, to upload a bundle, and to search lists."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from django import forms
from django.forms.boundfield import BoundField
from django.forms.utils import pretty_name
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation_site import bounds
from annotation_site.corpus.models import Extraction, Kind
from annotation_site.exact_words import ATTRIBUTES
from ffn_extract.errors import OptionError, OptionSentence
from ffn_extract.option_types import Choice, Flag, Integer, Names, Number, Places, Text
from ffn_extract.options import ALL, OPTIONS, WORDNET_CORPUS, ExtractOptions, Option


def _words(text: str | None) -> Any:
    """The words of an option's declaration, in the language of the page."""
    return _(text) if text else text


def _choices(words: Mapping[str, str]) -> list[tuple[str, Any]]:
    return [(value, _words(text)) for value, text in words.items()]


def option_field(option: Option, **settings: Any) -> forms.Field:
    """The field of an option, from its declaration; `settings` are the page's own."""
    settings = {
        "label": _words(option.label or pretty_name(option.name)),
        "help_text": _words(option.help if option.page_help is None else option.page_help),
        "initial": option.default,
        "required": option.first and not option.optional,
        **settings,
    }
    match option.type:
        case Flag():
            return forms.BooleanField(**settings)
        case Choice(meanings, unset):
            none = [("", _words(unset))] if option.optional else []
            settings |= {"help_text": "", "required": not option.optional}
            return forms.ChoiceField(choices=[*none, *_choices(meanings)], **settings)
        case Names(known, menu=menu) as names:
            settings["help_text"] = ""
            if menu is not None:
                settings["initial"] = names.write(option.default)
                return forms.ChoiceField(choices=_choices(menu), **settings)
            return forms.MultipleChoiceField(
                choices=_choices(known), widget=forms.CheckboxSelectMultiple, **settings
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

    chosen = forms.ChoiceField(
        label=_("Model"), required=False, widget=forms.Select(attrs=ATTRIBUTES)
    )
    model = forms.CharField(
        label=_("Or a model of the hub, by its id"),
        max_length=bounds.MODEL,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "translate": "no"}),
    )
    title = forms.CharField(
        label=_("Name of the extraction"),
        max_length=bounds.TITLE,
        required=False,
        help_text=_("Empty means a name made of the model and the options."),
    )
    extent = forms.ChoiceField(
        label=_("How many value vectors"),
        choices=[
            ("sample", _("a sample of each layer")),
            (ALL, _("all: split by layer, for any number of workers")),
        ],
        initial="sample",
        widget=forms.RadioSelect,
    )
    per_layer = option_field(
        OPTIONS["per_layer"],
        help_text=_("Of each kind. With all value vectors: of each other kind."),
    )
    drawn_per_layer = option_field(
        OPTIONS["drawn_per_layer"],
        help_text=_("Empty means as many as above. Each update comes from its own text."),
    )
    corpus = forms.ChoiceField(
        label=_words(OPTIONS["corpus"].label),
        required=False,
        initial=OPTIONS["corpus"].default,
        widget=forms.Select(attrs=ATTRIBUTES),
    )
    field_order = (
        "chosen", "model", "title", "revision", "kinds", "extent", "per_layer", "glosses", "seed",
        "projection", "random_grain", "drop_special", "through_head", "top_k", *OPTIONS,
    )  # fmt: skip

    def __init__(
        self,
        *args: Any,
        local_models: Sequence[str] = (),
        corpora: Sequence[tuple[str, str]] = (),
        known_models: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        cast(forms.ChoiceField, self.fields["chosen"]).choices = [
            ("", gettext("another one, named below")),
            *(
                (heading, [(name, name) for name in names])
                for heading, names in (
                    (gettext("In the models folder"), local_models),
                    (gettext("Extracted here before"), known_models),
                )
                if names
            ),
        ]
        for name in ("chosen", "model"):  # one of them is needed, so neither is called optional
            self.fields[name].one_of = True  # type: ignore[attr-defined]
        if not local_models and not known_models:
            del self.fields["chosen"]
            self.fields["model"].label = gettext("Model of the hub, by its id")
        self.fields["model"].help_text = gettext(
            "Such as gpt2. A folder or GGUF file that you put into the models folder appears in "
            "the list."
        )
        cast(forms.ChoiceField, self.fields["corpus"]).choices = [
            (WORDNET_CORPUS, _("WordNet's example sentences")),
            *corpora,
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
        named, chosen = data.get("model", "").strip(), data.get("chosen", "")
        if named and chosen and named != chosen:
            self.add_error("model", gettext("Choose a model or name one, not both."))
        elif not named and not chosen:
            self.add_error("model", gettext("Choose a model or name one of the hub."))
        data["model"] = named or chosen
        if self.errors:
            return data
        if data["extent"] == ALL and "value" not in data["kinds"]:
            raise forms.ValidationError(
                gettext("To extract all value vectors, choose the kind value vectors too.")
            )
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
    EnqueueForm.base_fields.setdefault(_option.name, option_field(_option))
MORE_OPTIONS = frozenset(name for name, option in OPTIONS.items() if not option.first)


class CorpusForm(forms.Form):
    """Form of an uploaded corpus, without its file, which is read as it arrives."""

    name = forms.CharField(label=_("Name"), max_length=bounds.CORPUS_NAME)
    licence = forms.CharField(
        label=_("Licence"),
        max_length=bounds.LICENCE,
        required=False,
        help_text=_("For example CC BY-SA 4.0, and where the sentences come from."),
    )


class ExtractionFilter(forms.Form):
    """Filter of extractions by state."""

    state = forms.ChoiceField(
        required=False, label=_("State"), choices=[("", _("any state")), *Extraction.State.choices]
    )


class VectorFilter(forms.Form):
    """Search among an extraction's vectors; every field is optional."""

    token = forms.CharField(
        label=_("Token"),
        max_length=bounds.SEARCHED_TOKEN,
        required=False,
        strip=True,
        help_text=_(
            "Searches the top tokens and ignores case: king finds king, King and the piece ⋯king."
        ),
    )
    kind = forms.ChoiceField(
        label=_("Kind"),
        required=False,
        choices=[("", _("any")), *Kind.choices],
    )
    layer = forms.IntegerField(
        min_value=0, max_value=100_000, required=False, label=_("Layer, from 0")
    )
    page = forms.IntegerField(
        min_value=1, max_value=1_000_000, required=False, widget=forms.HiddenInput
    )
