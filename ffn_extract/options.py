"""Every choice of an extraction, checked before any work; importable without torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from ffn_extract.chosen_vectors import Place, place_of, words_of
from ffn_extract.errors import OptionError, OptionSentence

KINDS = ("value", "random", "update")
PROJECTIONS = ("raw", "fold", "norm")
RANDOM_GRAINS = ("dimension", "layer", "model")
ORIENTATIONS = ("row", "col")
NORM_KINDS = ("layer", "rms")
WORDNET_CORPUS = "wordnet"
MAX_TOP_K = 1000
MAX_NAME = 300
"""Characters of a model's name: what the site can store."""
ALL: Literal["all"] = "all"
LISTED: Literal["listed"] = "listed"
"""What a bundle says in place of a number of vectors per layer where somebody chose them."""
DRAWN_BESIDE_ALL = 10
"""Random vectors and updates per layer where every value vector is taken, or chosen ones are, and
nobody says."""
TENSOR_OPTIONS = (
    "value_tensor", "key_tensor", "unembedding_tensor", "orientation", "projection_tensor",
    "norm_gain_tensor", "norm_bias_tensor", "norm_kind", "norm_offset", "norm_epsilon",
    "norm_after_ffn_tensor",
)  # fmt: skip
"""What describes a family that is not known."""


@dataclass(frozen=True)
class ExtractOptions:
    """The parameters of one extraction.

    Kinds are kept in the order of `KINDS`, so that asking for the same thing in another order is
    the same extraction. `per_layer` is a number of vectors of each kind, or "all" for every value
    vector. `vectors` are (layer, index) of chosen value vectors, in place of a sample; of the other
    kinds, only the layers that it names get vectors. `drawn_per_layer` is the number of random
    vectors and of updates where it is to be another one (by default 10 beside "all" and beside
    chosen vectors). `glosses` names sources of `GLOSS_SOURCES` in the order in which they are
    asked; the empty tuple means no glosses. `corpus` is a path or the word "wordnet";
    `corpus_field` is where a file with fields holds its texts. `gguf_file` names the GGUF file of a
    folder or repository that has several, or another format beside it. `name` is what the model is
    called in the bundle (default: the hub id, or the folder's name). `through_head` leads an
    encoder's vectors to the vocabulary through its masked-LM head's dense layer and norm.

    The options of `TENSOR_OPTIONS` describe a family that is not known (or stored otherwise), as
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

    kinds: tuple[str, ...] = KINDS
    per_layer: int | Literal["all"] = 10
    drawn_per_layer: int | None = None
    vectors: tuple[Place, ...] | None = None
    top_k: int = 30
    seed: int = 0
    projection: str = "raw"
    random_grain: str = "dimension"
    corpus: str = WORDNET_CORPUS
    corpus_field: str = "text"
    glosses: tuple[str, ...] = ("wordnet",)
    drop_special: bool = False
    through_head: bool = False
    device: str = "auto"
    revision: str | None = None
    gguf_file: str | None = None
    name: str | None = None
    value_tensor: str | None = None
    key_tensor: str | None = None
    unembedding_tensor: str | None = None
    orientation: str | None = None
    projection_tensor: str | None = None
    norm_gain_tensor: str | None = None
    norm_bias_tensor: str | None = None
    norm_kind: str | None = None
    norm_offset: float = 0.0
    norm_epsilon: float | None = None
    norm_after_ffn_tensor: str | None = None
    allow_fewer_layers: bool = False
    notes: tuple[OptionSentence, ...] = field(default=(), init=False, compare=False, repr=False)

    @property
    def describes_family(self) -> bool:
        """Whether the options describe the FFN, so that config.json's family is not asked."""
        return self.value_tensor is not None

    @property
    def tensors(self) -> dict[str, str | float] | None:
        """What describes the family, by option, where it is given."""
        defaults = ExtractOptions.__dataclass_fields__
        given = {option: getattr(self, option) for option in TENSOR_OPTIONS}
        return {k: v for k, v in given.items() if v != defaults[k].default} or None

    def __post_init__(self) -> None:
        from ffn_extract.option_checks import problems_of
        from ffn_extract.option_effects import normalised

        problems = problems_of(self)
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
    def drawn_count(self) -> int:
        """Random vectors, and updates, per layer."""
        if self.drawn_per_layer is not None:
            return self.drawn_per_layer
        if self.per_layer == ALL or self.vectors is not None:
            return DRAWN_BESIDE_ALL
        return self.per_layer

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary that `from_json` turns back into equal options."""
        values = {name: value for name, value in asdict(self).items() if name != "notes"}
        vectors = None if self.vectors is None else words_of(self.vectors)
        return {
            **values, "kinds": list(self.kinds), "glosses": list(self.glosses), "vectors": vectors
        }  # fmt: skip

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "ExtractOptions":
        """Options from `to_json`'s dictionary; missing keys take their default.

        Raises OptionError for unknown keys and for values that cannot be used.
        """
        unknown = sorted(set(values) - set(option_names()))
        if unknown:
            raise OptionError(f"Unknown option: {', '.join(map(str, unknown))}.")
        listed = {
            key: tuple(values[key])
            for key in ("kinds", "glosses", "vectors")
            if isinstance(values.get(key), list | tuple)
        }
        if "vectors" in listed:
            # What is no place stays as it is, for the check to name.
            listed["vectors"] = tuple(place_of(word) or word for word in listed["vectors"])
        return cls(**{**values, **listed})


def option_names() -> tuple[str, ...]:
    """The names of all options."""
    return tuple(one.name for one in fields(ExtractOptions) if one.init)


def flag_of(name: str) -> str:
    """An option as it is typed: `--top-k`.

    Examples
    --------
    >>> flag_of("top_k")
    '--top-k'
    """
    return f"--{name.replace('_', '-')}"
