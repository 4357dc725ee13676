"""Forms to enqueue measurements and to filter their list."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from django import forms
from django.forms.boundfield import BoundField
from django.utils.translation import gettext, gettext_lazy
from django.utils.translation import gettext_lazy as _

from annotation_site.corpus.forms import option_field
from annotation_site.corpus.models import LanguageModel
from annotation_site.exact_words import ATTRIBUTES
from annotation_site.measurements.models import Measurement
from annotation_site.measurements.options import OFFERED
from ffn_extract.errors import OptionError
from ffn_extract.measurements import MEASUREMENTS
from ffn_extract.measurements.declared import measure_options
from ffn_extract.options import WORDNET_CORPUS

WORDS = {
    "norm": (_("Norm"), _("how many top tokens the final norm changes; it runs no model")),
    "contribution": (
        _("Contribution"), _("the share of the largest sub-updates in an FFN update"),
    ),
    "saturation": (_("Saturation"), _("the layer from which on the prediction is on top")),
    "promotion": (
        _("Promotion and elimination"),
        _("how sub-updates score tokens that come to the top or leave it"),
    ),
    "top-candidate": (
        _("Top candidate"), _("how sub-updates score the top token, layer by layer"),
    ),
    "clusters": (_("Clusters"), _("value vectors that point the same way, and extreme ones")),
    "suppression": (
        _("Suppression"), _("what turning chosen value vectors on does to continuations"),
    ),
    "early-exit": (_("Early exit"), _("layers that a rule over clusters saves")),
    "key-value-agreement": (
        _("Agreement of keys and values"),
        _("whether values predict the token after their keys’ triggers"),
    ),
    "composition": (
        _("Composition"), _("FFN updates whose top token is of none of their values"),
    ),
    "residual": (_("Residual"), _("whether the stream or the update decides the top token")),
}  # fmt: skip
"""The name of each measurement on pages, and what it tells."""
USUAL = ("examples", "seed")
FIRST = "contribution"
"""The measurement that is chosen at first."""
_LABELS = {
    "corpus_field": _("Field of the texts"),
    "min_prefix": _("Shortest prefix, in tokens"),
    "prepend": _("Before each text"),
    "control": _("Saturation: measure the same model with random weights too"),
    "extreme_below": _("Top candidate: extreme below"),
    "extreme_above": _("Top candidate: extreme above"),
    "resamples": _("Bootstrap resamples"),
    "batch_rows": _("Texts in a batch"),
    "length_multiple": _("Batches padded to a multiple of"),
    "per_layer": _("Vectors per layer and kind"),
    "split_sentences": _("Split each text of the corpus into sentences"),
    "without_norm": _("Read x and x̃ without the model’s final norm"),
    "clusters": _("Clusters of value vectors"),
    "cluster_sample": _("Value vectors that are clustered"),
    "dtype": _("Precision of the weights"),
    "set": _("Suppression: turn on these vectors"),
    "promoting": _("Or those that promote these words"),
    "chosen": _("How many vectors the words choose"),
    "coefficient": _("Coefficient"),
    "before_activation": _("Set what the activation reads, not what it gives"),
    "prompt_count": _("Prompts"),
    "prompt_rows": _("Prompts continued at once"),
    "beams": _("Beams"),
    "perplexity_tokens": _("Tokens for perplexity"),
    "window": _("Tokens read at once"),
}
_HELPS = {
    "examples": _(
        "One prefix of each sentence is read at its last position; of Agreement, every prefix."
    ),
    "seed": _("The same seed draws the same sentences, prefixes and vectors."),
    "corpus_field": _("Of a .json, .jsonl or table file: what holds the text."),
    "min_prefix": _("Empty means 2, or 1 behind a token that stands before the text."),
    "prepend": _("none, bos or a token id. Empty means what the tokenizer puts there."),
    "control": "",
    "extreme_below": _("Empty means minus the 99.9th percentile of all scores’ sizes."),
    "extreme_above": _("Empty means that percentile. Give both or neither."),
    "resamples": _("Of each 95% interval."),
    "batch_rows": _("More take more memory. Another number changes last bits."),
    "length_multiple": _("In tokens."),
    "random_grain": _("What the random vectors’ mean and deviation are taken over."),
    "per_layer": "",
    "split_sentences": "",
    "without_norm": "",
    "clusters": _("Of Clusters and Early exit; fewer than the model’s value vectors."),
    "cluster_sample": _("Empty means all. The others join the nearest cluster."),
    "dtype": "",
    "set": _("LAYER:INDEX or LAYER:INDEX=COEFFICIENT, separated by commas, such as 13:1852=3."),
    "promoting": _("Separated by commas, such as safe,peace,thank."),
    "chosen": "",
    "coefficient": _("What the vectors’ coefficients are set to."),
    "before_activation": "",
    "prompt_count": _("Drawn by the seed and continued in each condition."),
    "prompt_rows": "",
    "beams": _("1 is greedy."),
    "perplexity_tokens": _("Of the corpus, with and without the vectors turned on."),
    "window": _("Empty means the model’s context, at most 1,024."),
}
_SAID = {
    "min_prefix": _("at least %(value)s tokens"),
    "prepend": _("%(value)s before each text"),
    "corpus_field": _("texts in the field %(value)s"),
    "extreme_below": _("extreme below %(value)s"),
    "extreme_above": _("above %(value)s"),
    "resamples": _("%(value)s resamples"),
    "batch_rows": _("%(value)s texts each"),
    "length_multiple": _("padded to multiples of %(value)s tokens"),
    "per_layer": _("%(value)s per layer and kind"),
    "top_k": _("%(value)s tokens per list"),
    "clusters": _("%(value)s clusters"),
    "cluster_sample": _("of %(value)s value vectors"),
    "set": _("vectors %(value)s"),
    "promoting": _("vectors that promote %(value)s"),
    "chosen": _("%(value)s by words"),
    "coefficient": _("set to %(value)s"),
    "prompt_count": _("%(value)s prompts"),
    "prompt_rows": _("%(value)s at once"),
    "beams": _("%(value)s beams"),
    "perplexity_tokens": _("%(value)s tokens for perplexity"),
    "window": _("windows of %(value)s tokens"),
}
"""A folded option's value in a few words."""
_UNSET = {
    "min_prefix": _("at least 2 tokens (1 behind a token before the text)"),
    "prepend": _("what the tokenizer puts before each text"),
    "extreme_below": _("extreme from the 99.9th percentile on"),
}
_GROUPS: tuple[tuple[str, Any, tuple[str, ...]], ...] = (
    ("prefixes", _("Prefixes"), ("min_prefix", "prepend", "split_sentences", "corpus_field")),
    ("extremes", _("Control, extremes"), ("control", "extreme_below", "extreme_above")),
    ("clusters", _("Clusters"), ("clusters", "cluster_sample")),
    ("intervals", _("Intervals"), ("resamples",)),
    ("running", _("Model"), ("batch_rows", "length_multiple", "dtype", "without_norm")),
    (
        "turned", _("Vectors turned on"),
        (
            "set", "promoting", "chosen", "coefficient", "before_activation", "prompt_count",
            "prompt_rows", "beams", "perplexity_tokens", "window",
        ),
    ),
    (
        "vectors", _("Vectors of Norm"), ("per_layer", "random_grain", "top_k", "drop_special"),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class FieldGroup:
    """Folded fields with their values in words."""

    name: str
    heading: Any
    fields: Sequence[BoundField]
    sentence: str
    is_open: bool


class MeasurementForm(forms.Form):
    """Form of new measurements, with the options of `ffn_extract measure`."""

    model = forms.ModelChoiceField(
        queryset=LanguageModel.objects.none(),
        label=_("Model"),
        empty_label=None,
        widget=forms.Select(attrs=ATTRIBUTES),
    )
    names = forms.MultipleChoiceField(
        label=_("Measurements"),
        choices=[(name, name) for name in MEASUREMENTS],
        widget=forms.CheckboxSelectMultiple,
        help_text=_("The model is loaded once for all that you choose."),
        error_messages={"required": _("Choose a measurement.")},
    )
    corpus = forms.ChoiceField(label=_("Corpus"), widget=forms.Select(attrs=ATTRIBUTES))

    def __init__(
        self,
        *args: Any,
        models: Any,
        corpora: Sequence[tuple[str, str]] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        model = cast("forms.ModelChoiceField[LanguageModel]", self.fields["model"])
        model.queryset = models
        names = cast(forms.MultipleChoiceField, self.fields["names"])
        names.choices = [(name, _name_words(name)) for name in MEASUREMENTS]
        corpus = cast(forms.ChoiceField, self.fields["corpus"])
        corpus.choices = [(WORDNET_CORPUS, _("WordNet’s example sentences")), *corpora]
        self.initial.setdefault("corpus", WORDNET_CORPUS)
        self.initial.setdefault("names", [FIRST])

    @cached_property
    def chosen_model(self) -> LanguageModel | None:
        """The chosen model, also of a form that has errors in other fields."""
        field = cast("forms.ModelChoiceField[LanguageModel]", self.fields["model"])
        try:
            return field.clean(self["model"].value())
        except forms.ValidationError:
            return None

    @property
    def usual(self) -> Iterator[BoundField]:
        """The fields that are always open."""
        return (self[name] for name in ("model", "names", "corpus", *USUAL))

    @property
    def groups(self) -> list[FieldGroup]:
        """The folded fields in groups; one with an error is open."""
        known = {name for _name, _heading, names in _GROUPS for name in names}
        rest = tuple(name for name in OFFERED if name not in known and name not in USUAL)
        groups = [*_GROUPS, ("more", gettext("More options"), rest)]
        found = []
        for name, heading, names in groups:
            fields = [self[field] for field in names if field in self.fields]
            if fields:
                sentence = "; ".join(filter(None, (self._said(field) for field in fields)))
                is_open = any(field.errors for field in fields)
                found.append(FieldGroup(name, heading, fields, sentence, is_open))
        return found

    def _said(self, bound: BoundField) -> str:
        """A folded field's present value in words; nothing where it needs no saying."""
        value = bound.value()
        name = bound.name
        if isinstance(bound.field, forms.BooleanField):
            return str(bound.label) if value and value != "False" else ""
        if name == "corpus_field" and value == OFFERED[name].default:
            return ""  # most corpora have no fields
        if value in (None, ""):
            return str(_UNSET.get(name, ""))
        if isinstance(bound.field, forms.ChoiceField):
            value = dict(bound.field.choices).get(value, value)  # type: ignore[arg-type]
            return str(value)
        words = _SAID.get(name)
        shown = f"{float(value):,.10g}" if str(value).replace(".", "", 1).isdecimal() else value
        if words is None:
            return gettext("%(label)s %(value)s") % {"label": bound.label, "value": shown}
        return str(words) % {"value": shown}

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        chosen = data.get("set") or data.get("promoting")
        if "suppression" in data.get("names", []) and not chosen:
            self.add_error(
                "set",
                gettext("Name the vectors that Suppression turns on, or words that they promote."),
            )
        if self.errors:
            return data
        values = {name: data[name] for name in OFFERED if data.get(name) not in (None, "")}
        data["values"] = values
        try:
            measure_options(values)
        except OptionError as error:
            if not error.problems:
                raise forms.ValidationError(str(error)) from error
            for problem in error.problems:
                field = problem.option if problem.option in self.fields else None
                self.add_error(field, problem.write(self._label))
        return data

    def wanted(self) -> dict[str, Any]:
        """The arguments of services: of a valid form, or the first values of an unbound one."""
        if not self.is_bound:
            names = self["names"].initial
            if self.chosen_model is None or not names:
                return {}
            values = {name: self[name].initial for name in OFFERED if name in self.initial}
            return {
                "model": self.chosen_model,
                "names": names,
                "corpus": self["corpus"].initial,
                "options": {name: value for name, value in values.items() if value is not None},
            }
        if not self.is_valid():
            return {}
        data = self.cleaned_data
        return {
            "model": data["model"],
            "names": data["names"],
            "corpus": data["corpus"],
            "options": data["values"],
        }

    def _label(self, option: str) -> str:
        return str(self[option].label) if option in self.fields else option


class ListFilter(forms.Form):
    """Filter of measurements by model and state."""

    model = forms.ModelChoiceField(
        queryset=LanguageModel.objects.none(),
        label=_("Model"),
        required=False,
        empty_label=gettext_lazy("any model"),
        widget=forms.Select(attrs=ATTRIBUTES),
    )
    state = forms.ChoiceField(
        required=False,
        label=_("State"),
        choices=[("", _("any state")), *Measurement.State.choices],
    )

    def __init__(self, *args: Any, models: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast("forms.ModelChoiceField[LanguageModel]", self.fields["model"]).queryset = models


def _name_words(name: str) -> Any:
    title, tells = WORDS.get(name, (name, ""))
    if not tells:
        return title
    return gettext("%(title)s: %(tells)s") % {"title": title, "tells": tells}


for _option in OFFERED.values():
    _field = option_field(_option)
    _field.required = _option.name in USUAL
    _field.label = _LABELS.get(_option.name, _field.label)
    _help: Any = _HELPS.get(_option.name, _field.help_text)
    _field.help_text = _help
    MeasurementForm.base_fields[_option.name] = _field
