"""What an admin fills in to enqueue a model, to upload a bundle, and to look for lists."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

from django import forms
from django.forms.boundfield import BoundField

from annotation_site import bounds
from annotation_site.corpus.models import Extraction
from annotation_site.exact_words import ATTRIBUTES
from ffn_extract.chosen_vectors import places_of
from ffn_extract.errors import OptionError, OptionSentence
from ffn_extract.options import (
    ALL,
    DRAWN_BESIDE_ALL,
    MAX_TOP_K,
    NORM_KINDS,
    ORIENTATIONS,
    PROJECTIONS,
    RANDOM_GRAINS,
    WORDNET_CORPUS,
    ExtractOptions,
)

KIND_LABELS = (
    ("value", "value vectors"),
    ("random", "random vectors (baseline)"),
    ("update", "FFN updates (runs the model over the texts)"),
)
_DEFAULTS = ExtractOptions()


class EnqueueForm(forms.Form):
    """Fields of an extraction, in the words of `ffn_extract extract`."""

    model = forms.CharField(
        max_length=bounds.MODEL,
        widget=forms.TextInput(attrs={"list": "local-models", "autocomplete": "off"}),
    )
    revision = forms.CharField(
        max_length=bounds.REVISION, required=False, help_text="Branch, tag or commit on the hub."
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
    glosses = forms.ChoiceField(
        choices=[
            ("wordnet", "WordNet"),
            ("wordnet,wikipedia", "WordNet, then Wikipedia (slow, needs the internet)"),
            ("wikipedia", "Wikipedia (slow, needs the internet)"),
            ("none", "none"),
        ],
        initial="wordnet",
    )
    seed = forms.IntegerField(
        min_value=0,
        max_value=2**63 - 1,
        initial=0,
        help_text="The same seed draws the same vectors.",
    )

    # More options, from here on.
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
    drop_special = forms.BooleanField(
        label="Leave out special tokens",
        required=False,
        help_text="Such as [CLS] and [unused12]; the paper keeps them.",
    )
    through_head = forms.BooleanField(
        label="Through the encoder's head",
        required=False,
        help_text="Of encoders: through the masked-LM head's dense layer and norm.",
    )
    top_k = forms.IntegerField(
        label="Tokens per list",
        min_value=1,
        max_value=MAX_TOP_K,
        required=False,
        initial=_DEFAULTS.top_k,
    )
    drawn_per_layer = forms.IntegerField(
        label="Random vectors and updates per layer",
        min_value=1,
        max_value=1_000_000,
        required=False,
        help_text="If not as many as above. Each update is drawn from a text of its own.",
    )
    vectors = forms.CharField(
        label="Chosen value vectors",
        max_length=bounds.CHOSEN_VECTORS,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", **ATTRIBUTES}),
        help_text="In place of a sample: LAYER:INDEX, such as 14:518, 14:72, both from 0. The "
        "other kinds get vectors in these layers.",
    )
    corpus = forms.ChoiceField(
        label="Texts for updates",
        required=False,
        initial=_DEFAULTS.corpus,
        widget=forms.Select(attrs=ATTRIBUTES),
    )
    corpus_field = forms.CharField(
        label="Field of the texts",
        max_length=bounds.CORPUS_FIELD,
        required=False,
        initial=_DEFAULTS.corpus_field,
        help_text="Where a .json, .jsonl, .csv, .tsv or .parquet file holds them.",
    )
    device = forms.CharField(
        max_length=bounds.DEVICE,
        required=False,
        initial=_DEFAULTS.device,
        help_text="auto, cpu, cuda or cuda:1.",
    )
    name = forms.CharField(
        label="Name in the bundle",
        max_length=bounds.MODEL,
        required=False,
        help_text="What the model is called there, if not as above.",
    )
    value_tensor = forms.CharField(
        max_length=bounds.MODEL,
        required=False,
        help_text="Of a family that is not known, with {layer} for the layer's number: the name of "
        "the FFN's output matrix, and {expert} for an expert's. The unembedding and orientation "
        "belong to it.",
    )
    key_tensor = forms.CharField(
        max_length=bounds.MODEL,
        required=False,
        help_text="Its input matrix, to compare its shape. No list needs it.",
    )
    unembedding_tensor = forms.CharField(
        max_length=bounds.MODEL,
        required=False,
        help_text="The matrix with a row for each token. Alone, of a known family too.",
    )
    orientation = forms.ChoiceField(
        required=False,
        choices=[
            ("", "as the family has it"),
            ("row", "value i is row i of the value tensor"),
            ("col", "value i is column i of the value tensor"),
        ],
    )
    projection_tensor = forms.CharField(
        max_length=bounds.MODEL,
        required=False,
        help_text="The matrix between value vectors and an unembedding with narrower rows.",
    )
    norm_gain_tensor = forms.CharField(
        max_length=bounds.MODEL,
        required=False,
        help_text="The gain of the norm before the unembedding, for fold and norm.",
    )
    norm_kind = forms.ChoiceField(
        required=False,
        choices=[("", "as the family has it"), ("layer", "LayerNorm"), ("rms", "RMSNorm")],
    )
    norm_bias_tensor = forms.CharField(max_length=bounds.MODEL, required=False)
    norm_offset = forms.FloatField(
        required=False, help_text="Added to the stored gain: 1 in Gemma and its kin."
    )
    norm_epsilon = forms.FloatField(required=False, help_text="If not as config.json says.")
    norm_after_ffn_tensor = forms.CharField(
        max_length=bounds.MODEL,
        required=False,
        help_text="The gain of an RMSNorm between the FFN and the residual stream.",
    )
    allow_fewer_layers = forms.BooleanField(
        label="Allow fewer layers",
        required=False,
        help_text="Read the layers that have the FFN's tensors, where others lack them.",
    )

    def __init__(
        self,
        *args: Any,
        local_models: Sequence[str] = (),
        local_corpora: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        there = f" Now there: {', '.join(local_models)}." if local_models else ""
        self.fields[
            "model"
        ].help_text = f"A hub id such as gpt2, or the name of a folder in the models folder.{there}"
        cast(forms.ChoiceField, self.fields["corpus"]).choices = [
            (WORDNET_CORPUS, "WordNet's example sentences"),
            *((name, name) for name in local_corpora),
        ]

    def first_fields(self) -> Iterator[BoundField]:
        """The fields that matter to everybody."""
        return (field for field in self if field.name not in MORE_OPTIONS)

    def more_fields(self) -> Iterator[BoundField]:
        """The others."""
        return (field for field in self if field.name in MORE_OPTIONS)

    @property
    def more_is_open(self) -> bool:
        """Whether one of the others has something wrong or is not as it was."""
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
        every = data["extent"] == ALL
        chosen = places_of(data["vectors"]) or None
        drawn = data["drawn_per_layer"]
        if (every or chosen) and not drawn and data["kinds"] != ["value"]:
            drawn = data["per_layer"]
        listed = chosen is not None and not every
        return ExtractOptions(
            kinds=tuple(data["kinds"]),
            per_layer=ALL if every else _DEFAULTS.per_layer if listed else data["per_layer"],
            drawn_per_layer=drawn,
            vectors=chosen,
            top_k=data["top_k"] or _DEFAULTS.top_k,
            seed=data["seed"],
            projection=data["projection"],
            random_grain=data["random_grain"],
            corpus=data["corpus"] or _DEFAULTS.corpus,
            corpus_field=data["corpus_field"] or _DEFAULTS.corpus_field,
            glosses=() if data["glosses"] == "none" else tuple(data["glosses"].split(",")),
            drop_special=data["drop_special"],
            through_head=data["through_head"],
            allow_fewer_layers=data["allow_fewer_layers"],
            device=data["device"] or _DEFAULTS.device,
            **{
                name: data[name] or None
                for name in (
                    "revision", "name", "value_tensor", "key_tensor", "unembedding_tensor",
                    "orientation", "projection_tensor", "norm_gain_tensor", "norm_kind",
                    "norm_bias_tensor", "norm_after_ffn_tensor",
                )
            },
            norm_offset=data["norm_offset"] or 0.0,
            norm_epsilon=data["norm_epsilon"],
        )  # fmt: skip


_NAMES = list(EnqueueForm.base_fields)
MORE_OPTIONS = frozenset(_NAMES[_NAMES.index("projection") :])

# The form spells its choices out in words; this fails at import when extraction learns a new one.
for field, known in (
    ("projection", PROJECTIONS),
    ("random_grain", RANDOM_GRAINS),
    ("orientation", ("", *ORIENTATIONS)),
    ("norm_kind", ("", *NORM_KINDS)),
):
    if [value for value, _ in EnqueueForm.base_fields[field].choices] != list(known):  # type: ignore[attr-defined]
        raise AssertionError(f"The form's {field} differs from what extraction knows.")


class ExtractionFilter(forms.Form):
    """Which extractions an admin wants to see."""

    state = forms.ChoiceField(
        required=False, choices=[("", "any state"), *Extraction.State.choices]
    )


class VectorFilter(forms.Form):
    """What an admin looks for among an extraction's vectors; anything may be left out."""

    token = forms.CharField(
        max_length=bounds.SEARCHED_TOKEN,
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
