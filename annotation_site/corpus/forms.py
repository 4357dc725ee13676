"""What an admin fills in to enqueue a model."""

from collections.abc import Sequence
from typing import Any

from django import forms

from ffn_extract.errors import FFNExtractError
from ffn_extract.options import (
    ALL,
    DRAWN_BESIDE_ALL,
    PROJECTIONS,
    RANDOM_GRAINS,
    ExtractOptions,
)

KIND_LABELS = (
    ("value", "value vectors"),
    ("random", "random vectors (baseline)"),
    ("update", "FFN updates (runs the model over WordNet's example sentences)"),
)


class EnqueueForm(forms.Form):
    """Fields of an extraction, in the words of `ffn_extract extract`."""

    model = forms.CharField(
        max_length=300,
        widget=forms.TextInput(attrs={"list": "local-models", "autocomplete": "off"}),
    )
    revision = forms.CharField(
        max_length=200, required=False, help_text="Branch, tag or commit on the hub. Optional."
    )
    kinds = forms.MultipleChoiceField(
        choices=KIND_LABELS,
        initial=[kind for kind, _ in KIND_LABELS],
        widget=forms.CheckboxSelectMultiple,
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
    per_layer = forms.IntegerField(
        label="Vectors per layer",
        min_value=1,
        max_value=1_000_000,
        initial=DRAWN_BESIDE_ALL,
        help_text="Of each kind; where all value vectors are taken, of the other kinds.",
    )
    seed = forms.IntegerField(
        min_value=0,
        max_value=2**63 - 1,
        initial=0,
        help_text="The same seed draws the same vectors.",
    )
    projection = forms.ChoiceField(
        choices=[
            ("raw", "raw: E·v, as in the paper"),
            ("fold", "fold: with the final norm's gain"),
            ("norm", "norm: through the final norm"),
        ],
        initial="raw",
    )
    random_grain = forms.ChoiceField(
        label="Random baseline",
        choices=[
            ("dimension", "mean and deviation per dimension of the layer"),
            ("layer", "one mean and deviation per layer"),
            ("model", "one mean and deviation for the model"),
        ],
        initial="dimension",
    )
    glosses = forms.ChoiceField(
        choices=[
            ("wordnet", "WordNet"),
            ("wordnet,wikipedia", "WordNet, then Wikipedia (slow, needs the internet)"),
            ("none", "none"),
        ],
        initial="wordnet",
    )
    drop_special = forms.BooleanField(
        label="Leave out special tokens",
        required=False,
        help_text="Such as [CLS] and [unused12]; the paper keeps them.",
    )

    def __init__(self, *args: Any, local_models: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        there = f" Now there: {', '.join(local_models)}." if local_models else ""
        self.fields[
            "model"
        ].help_text = f"A hub id such as gpt2, or the name of a folder in the models folder.{there}"

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if self.errors:
            return data
        if data["extent"] == ALL and "value" not in data["kinds"]:
            raise forms.ValidationError("All of them needs the kind value vectors. Choose it too.")
        glosses = () if data["glosses"] == "none" else tuple(data["glosses"].split(","))
        try:
            data["options"] = ExtractOptions(
                kinds=tuple(data["kinds"]),
                per_layer=ALL if data["extent"] == ALL else data["per_layer"],
                drawn_per_layer=data["per_layer"] if data["extent"] == ALL else None,
                seed=data["seed"],
                projection=data["projection"],
                random_grain=data["random_grain"],
                glosses=glosses,
                drop_special=data["drop_special"],
                revision=data["revision"] or None,
            )
        except FFNExtractError as error:
            raise forms.ValidationError(str(error)) from error
        return data


# The form spells its choices out in words; this fails at import when extraction learns a new one.
for field, known in (("projection", PROJECTIONS), ("random_grain", RANDOM_GRAINS)):
    if [value for value, _ in EnqueueForm.base_fields[field].choices] != list(known):  # type: ignore[attr-defined]
        raise AssertionError(f"The form's {field} differs from what extraction knows.")


class VectorFilter(forms.Form):
    """What an admin looks for among an extraction's vectors; anything may be left out."""

    token = forms.CharField(
        max_length=200,
        required=False,
        strip=True,
        help_text="In the top tokens, in any case: king finds king, King and the piece ⋯king.",
    )
    kind = forms.ChoiceField(
        required=False, choices=[("", "any"), *((k, k) for k, _ in KIND_LABELS)]
    )
    layer = forms.IntegerField(
        min_value=0, max_value=100_000, required=False, label="Layer, from 0"
    )
    page = forms.IntegerField(
        min_value=1, max_value=1_000_000, required=False, widget=forms.HiddenInput
    )
