"""Options of an extraction, each declared once; importable without torch.

Command lines, the page, the API and a bundle's parameters are made from these declarations: a new
option is one more field of `ExtractOptions`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from ffn_extract.chosen_vectors import Place
from ffn_extract.errors import OptionError, OptionSentence
from ffn_extract.glosses import GLOSS_SOURCES
from ffn_extract.option_checks import lacking
from ffn_extract.option_effects import normalised
from ffn_extract.option_types import (
    MAX_NAME,
    Choice,
    Device,
    Flag,
    GgufName,
    Integer,
    ModelName,
    Names,
    Number,
    OptionType,
    Places,
    TensorName,
    Text,
)

USUAL_KINDS = ("value", "random", "update")
"""The kinds that are extracted where nobody says which."""
KEY_KINDS = ("key", "random-key")
"""The kinds that have trigger prefixes."""
FURTHER_CONTROLS = ("random-covariance", "permuted", "shuffled")
"""Controls of value vectors beside the random baseline."""
KINDS = VECTOR_KINDS = (*USUAL_KINDS, *KEY_KINDS, *FURTHER_CONTROLS)
"""The kinds that can be extracted, in a bundle's order. Each one's draws depend on its place here,
so new kinds go to the end."""
WORDNET_CORPUS = "wordnet"
MAX_TOP_K = 1000
ALL: Literal["all"] = "all"
LISTED: Literal["listed"] = "listed"
"""What a bundle says in place of a number of vectors per layer where somebody chose them."""
DRAWN_BESIDE_ALL = 10
"""Random vectors and updates per layer where every value vector is taken, or chosen ones are, and
nobody says."""
_PER_LAYER = Integer(1, 2**31 - 1, most=1_000_000)

OUTPUT, SAMPLING, PROJECTION, TEXTS, GLOSSES, UNKNOWN, MACHINE = HEADINGS = (
    "Output", "Which vectors", "Projection", "Texts that the model reads", "Glosses",
    "Families that are not known", "Model and machine",
)  # fmt: skip
"""Under these, in this order, a command's help shows options."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """The declaration of an option."""

    name: str = ""
    default: Any
    type: OptionType
    heading: str
    help: str
    """For command lines; for the page and the API too, unless `page_help` is given."""
    page_help: str | None = None
    label: str | None = None
    """What the page calls it, if not by its name."""
    first: bool = False
    """Whether it stands among the few that matter to everybody."""
    bundle: Literal["always", "given", "tensors", "otherwise"] = "given"
    """Where the bundle's parameters have it: always, where it is not the default (so that bundles
    from before the option keep their digests), or so among the tensors. Otherwise: in words of the
    pipeline's own, or not at all."""

    @property
    def optional(self) -> bool:
        """Whether None is valid: the option may stay unset."""
        return self.default is None

    def problem(self, value: Any) -> OptionSentence | None:
        """A sentence about an invalid value."""
        if self.optional and value is None:
            return None
        return self.type.problem(self.name, value)


def option(default: Any, kind: OptionType, heading: str, help: str = "", **more: Any) -> Any:
    """Declare an option as a field of `ExtractOptions`."""
    declared = Option(default=default, type=kind, heading=heading, help=help, **more)
    return field(default=default, metadata={"option": declared})


@dataclass(frozen=True)
class ExtractOptions:
    """The parameters of one extraction.

    Kinds are kept in the order of `KINDS`, so that asking for the same thing in another order is
    the same extraction. `per_layer` is a number of vectors of each kind, or "all" for every value
    vector. `vectors` are (layer, index) of chosen value vectors, in place of a sample; of the other
    kinds, only the layers that it names get vectors. `drawn_per_layer` is the number of vectors of
    each other kind where it is to be another one (by default 10 beside "all" and beside chosen
    vectors); `keys_of` takes keys by the value vectors, or all, in place of that many. `glosses`
    names sources of `GLOSS_SOURCES` in the order in which they are asked; the empty tuple means no
    glosses. `corpus` is a path or the word "wordnet"; `corpus_field` is where a file with fields
    holds its texts, and `split_sentences` takes each of their sentences, by the rule of
    `ffn_extract.sentences`, as a text. `gguf_file` names the GGUF file of a folder or repository
    that has several, or another format beside it. `name` is what the model is called in the bundle
    (default: the hub id, or the folder's name). `workers` run the model for keys. `through_head`
    leads an encoder's vectors to the vocabulary through its masked-LM head's dense layer and norm.

    The options under `UNKNOWN` describe a family that is not known (or stored otherwise), as
    `ffn_extract.architectures.given` tells. The unembedding may be named alone, for a family that
    is known. `allow_fewer_layers` reads a model of whose layers some have no FFN that is known, or
    of which config.json names fewer than the file has.

    An option that cannot change the lists, whatever its value, is set back to its default, so that
    equal lists are equal options; `notes` has a sentence about each that was not its default.

    Raises
    ------
    OptionError
        With one sentence per value that cannot be used.
    """

    kinds: tuple[str, ...] = option(
        USUAL_KINDS,
        Names(
            {
                "value": "value vectors",
                "random": "random vectors (baseline)",
                "update": "FFN updates (runs the model over the texts)",
                "key": "keys, with the text prefixes that activate them most (runs the model over "
                "all texts)",
                "random-key": "random keys (baseline of keys)",
                "random-covariance": "random vectors with the covariance of the layer's value "
                "vectors (control)",
                "permuted": "value vectors with their coordinates permuted (control)",
                "shuffled": "shuffled lists of the tokens of the layer's value lists (control)",
            },
            metavar="KIND,…",
        ),
        SAMPLING,
        first=True,
        bundle="always",
    )
    per_layer: int | Literal["all"] = option(
        10, replace(_PER_LAYER, word=ALL, metavar=f"N|{ALL}"), SAMPLING,
        f"Vectors per layer and kind, drawn at random; or {ALL}, for every value vector.",
        label="Vectors per layer", first=True, bundle="otherwise",
    )  # fmt: skip
    drawn_per_layer: int | None = option(
        None, _PER_LAYER, SAMPLING,
        "Vectors per layer of each other kind, if not as many as value vectors; "
        f"{DRAWN_BESIDE_ALL} beside {ALL} and beside chosen ones.",
        label="Vectors per layer of the other kinds", bundle="otherwise",
    )  # fmt: skip
    keys_of: str = option(
        "sample",
        Choice(
            {
                "sample": "a sample of their own",
                "values": "those of the value vectors",
                "all": "every key",
            }
        ),
        SAMPLING,
        "Which keys the kind key takes: a sample of their own, those of the value vectors, or all.",
        label="Keys",
    )
    vectors: tuple[Place, ...] | None = option(
        None, Places(), SAMPLING,
        "These value vectors in place of a sample: LAYER:INDEX, such as 14:518,14:72; both from "
        "0. The other kinds get vectors in these layers.",
        label="Chosen value vectors",
    )  # fmt: skip
    top_k: int = option(
        30, Integer(1, MAX_TOP_K), PROJECTION, f"Tokens per list, 1 to {MAX_TOP_K}.",
        page_help="", label="Tokens per list", bundle="always",
    )  # fmt: skip
    seed: int = option(
        0, Integer(0, 2**63 - 1), SAMPLING, "The same seed draws the same vectors.",
        first=True, bundle="always",
    )  # fmt: skip
    projection: str = option(
        "raw",
        Choice(
            {
                "raw": "raw: E·v, as in the paper",
                "fold": "fold: with the final norm's gain",
                "norm": "norm: through the final norm",
            }
        ),
        PROJECTION,
        "raw: E·v, as in the paper. fold: with the final norm's gain. norm: through the norm.",
        bundle="always",
    )
    random_grain: str = option(
        "dimension",
        Choice(
            {
                "dimension": "mean and deviation per dimension of the layer",
                "layer": "one mean and deviation per layer",
                "model": "one mean and deviation for the model",
            }
        ),
        SAMPLING,
        "What the random vectors' mean and deviation are taken over: each dimension of the layer, "
        "the layer, or the model.",
        label="Random baseline",
        bundle="always",
    )
    glosses: tuple[str, ...] = option(
        ("wordnet",),
        Names(
            GLOSS_SOURCES,
            metavar="SOURCE,…",
            menu={
                "wordnet": "WordNet",
                "wordnet,wikipedia": "WordNet, then Wikipedia (slow, needs the internet)",
                "wikipedia": "Wikipedia (slow, needs the internet)",
                "none": "none",
            },
            none="none",
        ),
        GLOSSES,
        "Sources of glosses, in the order to ask.",
        first=True,
        bundle="otherwise",
    )
    drop_special: bool = option(
        False, Flag(), PROJECTION,
        "Keep special and unused tokens, such as [CLS] and [unused12], out of lists; the paper "
        "keeps them in.",
        label="Leave out special tokens", bundle="always",
    )  # fmt: skip
    through_head: bool = option(
        False, Flag(), PROJECTION,
        "Of encoders: through the masked-LM head's dense layer and norm, to its embeddings.",
        label="Through the encoder's head", bundle="always",
    )  # fmt: skip
    value_statistics: bool = option(
        False, Flag(), PROJECTION,
        "Compute statistics of every value vector: its norm, skew and kurtosis of its scores over "
        "the vocabulary, and the cosine with its key.",
    )  # fmt: skip
    corpus: str = option(
        WORDNET_CORPUS, Text(metavar="FILE"), TEXTS,
        '.txt (a text on each line), .json, .jsonl, .csv, .tsv or .parquet; or "wordnet" for '
        "WordNet's example sentences.",
        page_help="the name of a file in CORPORA_DIR, or “wordnet”",
        label="Texts for updates and keys", bundle="otherwise",
    )  # fmt: skip
    corpus_field: str = option(
        "text", Text(metavar="NAME", most=100), TEXTS,
        "The field of .json or .jsonl, or column of a table, that holds the text.",
        label="Field of the texts", bundle="otherwise",
    )  # fmt: skip
    split_sentences: bool = option(
        False, Flag(), TEXTS, "Split each text of the corpus into sentences.",
        label="Split texts into sentences",
    )  # fmt: skip
    device: str = option(
        "auto", Device(), MACHINE, "auto, cpu, cuda or cuda:N.", bundle="otherwise"
    )
    revision: str | None = option(
        None, Text(most=200), MACHINE, "Branch, tag or commit of a hub model.",
        first=True, bundle="otherwise",
    )  # fmt: skip
    gguf_file: str | None = option(
        None, GgufName(), MACHINE,
        "The GGUF file of a folder or hub model that has several, or safetensors too.",
        label="GGUF file", bundle="otherwise",
    )  # fmt: skip
    name: str | None = option(
        None, ModelName(most=MAX_NAME), OUTPUT,
        "What the model is called in the bundle; else its hub id or the name of its folder.",
        label="Name in the bundle", bundle="otherwise",
    )  # fmt: skip
    value_tensor: str | None = option(
        None, TensorName(marks=("layer", "expert")), UNKNOWN,
        "Of a family that is not known: the FFN's output matrix, {layer} for the layer's number "
        "and {expert} for an expert's. The unembedding and the orientation belong to it. "
        "`ffn_extract tensors MODEL` lists names.",
        page_help="Of a family that is not known: the FFN's output matrix, {layer} for the layer's "
        "number and {expert} for an expert's. The unembedding and the orientation belong to it.",
        bundle="tensors",
    )  # fmt: skip
    key_tensor: str | None = option(
        None, TensorName(marks=("layer", "expert")), UNKNOWN,
        "The FFN's input matrix, to compare its shape. No list needs it.",
        bundle="tensors",
    )  # fmt: skip
    unembedding_tensor: str | None = option(
        None, TensorName(), UNKNOWN,
        "The matrix with a row for each token. Alone, of a known family too.",
        bundle="tensors",
    )  # fmt: skip
    orientation: str | None = option(
        None,
        Choice(
            {
                "row": "value i is row i of the value tensor",
                "col": "value i is column i of the value tensor",
            },
            unset="as the family has it",
        ),
        UNKNOWN,
        "Value i is row i, or column i, of the value tensor.",
        bundle="tensors",
    )
    projection_tensor: str | None = option(
        None, TensorName(), UNKNOWN,
        "The matrix between value vectors and an unembedding with narrower rows.",
        bundle="tensors",
    )  # fmt: skip
    norm_gain_tensor: str | None = option(
        None, TensorName(marks=("layer",)), UNKNOWN,
        "The gain of the norm before the unembedding, for the projections fold and norm; with "
        "{layer}, each layer's own.",
        bundle="tensors",
    )  # fmt: skip
    norm_kind: str | None = option(
        None, Choice({"layer": "LayerNorm", "rms": "RMSNorm"}, unset="as the family has it"),
        UNKNOWN, "LayerNorm, which subtracts the mean, or RMSNorm, which does not.",
        bundle="tensors",
    )  # fmt: skip
    norm_bias_tensor: str | None = option(
        None, TensorName(marks=("layer",)), UNKNOWN, "The norm's bias, if it has one.",
        bundle="tensors",
    )  # fmt: skip
    norm_offset: float = option(
        0.0, Number(), UNKNOWN, "Added to the stored gain: 1 in Gemma and its kin.",
        bundle="tensors",
    )  # fmt: skip
    norm_epsilon: float | None = option(
        None, Number(above_zero=True), UNKNOWN, "The norm's epsilon; else config.json's.",
        bundle="tensors",
    )  # fmt: skip
    norm_after_ffn_tensor: str | None = option(
        None, TensorName(marks=("layer",)), UNKNOWN,
        "The gain of an RMSNorm between the FFN and the residual stream, if there is one.",
        label="Norm after FFN tensor", bundle="tensors",
    )  # fmt: skip
    allow_fewer_layers: bool = option(
        False, Flag(), UNKNOWN, "Read the layers that have the FFN's tensors, where others lack "
        "them.", bundle="otherwise",
    )  # fmt: skip
    workers: int = option(
        0, Integer(0, 1_024), MACHINE,
        "Processes that run the model for keys; 0: one for each processor. They change no list.",
        label="Processes for keys", bundle="otherwise",
    )  # fmt: skip
    notes: tuple[OptionSentence, ...] = field(default=(), init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        found = [one.problem(getattr(self, one.name)) for one in OPTIONS.values()]
        problems = [problem for problem in found if problem] or list(lacking(self))
        if problems:
            raise OptionError(problems=problems)
        self._set(kinds=tuple(kind for kind in KINDS if kind in self.kinds))
        if self.vectors is not None:
            self._set(vectors=tuple(sorted(self.vectors)))
        changes, notes = normalised(self)
        self._set(**changes, notes=notes)

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def describes_family(self) -> bool:
        """Whether the options describe the FFN, which replaces config.json's family."""
        return self.value_tensor is not None

    @property
    def tensors(self) -> dict[str, str | float] | None:
        """The options that describe the family, as far as given."""
        return self._given("tensors") or None

    @property
    def drawn_count(self) -> int:
        """Number of random vectors, of updates, and of sampled and random keys, per layer."""
        if self.drawn_per_layer is not None:
            return self.drawn_per_layer
        if self.per_layer == ALL or self.vectors is not None:
            return DRAWN_BESIDE_ALL
        return self.per_layer

    @property
    def has_keys(self) -> bool:
        """Whether there are keys, for which the model runs over the whole corpus."""
        return any(kind in KEY_KINDS for kind in self.kinds)

    @property
    def by_layer(self) -> bool:
        """Whether vectors are too many to be held at once, so that layers are done one by one."""
        every_key = "key" in self.kinds and self.keys_of == ALL
        return self.per_layer == ALL or every_key or self.value_statistics

    @property
    def drawn_kinds(self) -> tuple[str, ...]:
        """The kinds of which `drawn_count` vectors per layer are drawn."""
        own = ("value",) if self.keys_of == "sample" else ("value", "key")
        return tuple(kind for kind in self.kinds if kind not in own)

    def recorded(self) -> dict[str, Any]:
        """The options in a bundle's parameters, as each one's `bundle` has it."""
        stored = self.to_json()
        always = {name: stored[name] for name, one in OPTIONS.items() if one.bundle == "always"}
        given = {name: stored[name] for name in self._given("given")}
        return {**always, **given, **({"tensors": self.tensors} if self.tensors else {})}

    def _given(self, bundle: str) -> dict[str, Any]:
        values = {name: getattr(self, name) for name, o in OPTIONS.items() if o.bundle == bundle}
        return {name: value for name, value in values.items() if value != OPTIONS[name].default}

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary that `from_json` turns back into equal options."""
        values = {name: getattr(self, name) for name in OPTIONS}
        return {
            name: None if value is None else OPTIONS[name].type.to_json(value)
            for name, value in values.items()
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "ExtractOptions":
        """Options from `to_json`'s dictionary; missing keys take their default.

        Raises OptionError for unknown keys and for values that cannot be used.
        """
        unknown = sorted(set(values) - set(OPTIONS))
        if unknown:
            raise OptionError(f"Unknown option: {', '.join(map(str, unknown))}.")
        return cls(**{name: OPTIONS[name].type.from_json(v) for name, v in values.items()})

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "ExtractOptions":
        """Parse options from typed texts and choices. Raises OptionError."""
        return cls.from_json(
            {
                name: OPTIONS[name].type.read(value) if isinstance(value, str) else value
                for name, value in values.items()
            }
        )


OPTIONS: dict[str, Option] = {
    one.name: replace(one.metadata["option"], name=one.name)
    for one in fields(ExtractOptions)
    if one.init
}
"""The declarations by name, in the order of their fields."""


def flag_of(name: str) -> str:
    """An option's name on the command line: `--top-k`.

    Examples
    --------
    >>> flag_of("top_k")
    '--top-k'
    """
    return f"--{name.replace('_', '-')}"
