"""Every choice of an extraction, checked before any work; importable without torch."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from ffn_extract.errors import OptionError
from ffn_extract.glosses import GLOSS_SOURCES

KINDS = ("value", "random", "update")
PROJECTIONS = ("raw", "fold", "norm")
RANDOM_GRAINS = ("dimension", "layer", "model")
ORIENTATIONS = ("row", "col")
WORDNET_CORPUS = "wordnet"
MAX_TOP_K = 1000
ALL: Literal["all"] = "all"
DRAWN_BESIDE_ALL = 10
"""Random vectors and updates per layer where every value vector is taken and nobody says."""
_MAX_PER_LAYER = 2**31 - 1
_TENSOR_OPTIONS = ("value_tensor", "key_tensor", "unembedding_tensor", "orientation")
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


@dataclass(frozen=True)
class ExtractOptions:
    """The parameters of one extraction.

    Kinds are kept in the order of `KINDS`, so that asking for the same thing in another order is
    the same extraction. `per_layer` is a number of vectors of each kind, or "all" for every value
    vector; `drawn_per_layer` is the number of random vectors and of updates where it is to be
    another one (by default 10 beside "all"). `glosses` names sources of `GLOSS_SOURCES` in the
    order in which they are asked; the empty tuple means no glosses. `corpus` is a path or the word
    "wordnet"; `corpus_field` is where a .jsonl or .parquet file holds its texts. `name` is what the
    model is called in the bundle (default: the hub id, or the folder's name). `through_head` leads
    an encoder's vectors to the vocabulary through its masked-LM head's dense layer and norm.

    The three tensors and the orientation describe a family that is not known (or stored otherwise):
    the names on disk of the FFN's value and key matrix, with `{layer}` for the layer's number, and
    of the unembedding; "row" when value i is row i of the stored value matrix. The unembedding may
    be named alone, for a family that is known. `allow_fewer_layers` reads a model of whose
    layers some
    have no FFN that is known, or of which config.json names fewer than the file has.

    Raises
    ------
    OptionError
        With one sentence per value that cannot be used.
    """

    kinds: tuple[str, ...] = KINDS
    per_layer: int | Literal["all"] = 10
    drawn_per_layer: int | None = None
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
    name: str | None = None
    value_tensor: str | None = None
    key_tensor: str | None = None
    unembedding_tensor: str | None = None
    orientation: str | None = None
    allow_fewer_layers: bool = False

    @property
    def describes_family(self) -> bool:
        """Whether the options describe the FFN's tensors, in place of config.json's family."""
        parts = (self.value_tensor, self.key_tensor, self.orientation)
        return any(part is not None for part in parts)

    @property
    def tensors(self) -> dict[str, str] | None:
        """What describes the family, by option, where it is given."""
        given = {option: getattr(self, option) for option in _TENSOR_OPTIONS}
        return {k: v for k, v in given.items() if v is not None} or None

    def __post_init__(self) -> None:
        problems = list(_problems(self))
        if problems:
            raise OptionError(" ".join(problems), problems)
        object.__setattr__(self, "kinds", tuple(kind for kind in KINDS if kind in self.kinds))

    @property
    def drawn_count(self) -> int:
        """Random vectors, and updates, per layer."""
        if self.drawn_per_layer is not None:
            return self.drawn_per_layer
        return DRAWN_BESIDE_ALL if self.per_layer == ALL else self.per_layer

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary that `from_json` turns back into equal options."""
        values = asdict(self)
        return {**values, "kinds": list(self.kinds), "glosses": list(self.glosses)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "ExtractOptions":
        """Options from `to_json`'s dictionary; missing keys take their default.

        Raises OptionError for unknown keys and for values that cannot be used.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise OptionError(f"Unknown option: {', '.join(map(str, unknown))}.")
        listed = {key: tuple(values[key]) for key in ("kinds", "glosses") if _is_list(values, key)}
        return cls(**{**values, **listed})


def _is_list(values: Mapping[str, Any], key: str) -> bool:
    return isinstance(values.get(key), list | tuple)


def _problems(options: ExtractOptions) -> list[str]:
    return [
        problem
        for problem in (
            _names_problem("kinds", options.kinds, KINDS, at_least_one=True),
            _names_problem("glosses", options.glosses, tuple(GLOSS_SOURCES), at_least_one=False),
            _per_layer_problem(options),
            None
            if options.drawn_per_layer is None
            else _integer_problem("drawn_per_layer", options.drawn_per_layer, 1, _MAX_PER_LAYER),
            _integer_problem("top_k", options.top_k, 1, MAX_TOP_K),
            _integer_problem("seed", options.seed, 0, 2**63 - 1),
            _choice_problem("projection", options.projection, PROJECTIONS),
            _choice_problem("random_grain", options.random_grain, RANDOM_GRAINS),
            _text_problem("corpus", options.corpus, optional=False),
            _text_problem("corpus_field", options.corpus_field, optional=False),
            _text_problem("revision", options.revision, optional=True),
            _text_problem("name", options.name, optional=True),
            _device_problem(options.device),
            _tensors_problem(options),
            _flag_problem("drop_special", options.drop_special),
            _flag_problem("through_head", options.through_head),
            _flag_problem("allow_fewer_layers", options.allow_fewer_layers),
        )
        if problem
    ]


def _names_problem(
    option: str, names: object, known: tuple[str, ...], *, at_least_one: bool
) -> str | None:
    if not isinstance(names, tuple):
        return f"{option} must be a list of names, not {names!r}."
    if at_least_one and not names:
        return f"{option} must name at least one of: {', '.join(known)}."
    unknown = [str(name) for name in names if name not in known]
    if unknown:
        return f"{option} has no {', '.join(unknown)}; it knows: {', '.join(known)}."
    if len(set(names)) != len(names):
        return f"{option} names something twice: {', '.join(names)}."
    return None


def _integer_problem(option: str, value: object, low: int, high: int) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return None
    return f"{option} must be a whole number from {low} to {high}, not {value!r}."


def _flag_problem(option: str, value: object) -> str | None:
    return None if isinstance(value, bool) else f"{option} must be true or false, not {value!r}."


def _per_layer_problem(options: ExtractOptions) -> str | None:
    if options.per_layer == ALL:
        if "value" in options.kinds:
            return None
        return "per_layer can be all for the kind value only, and kinds does not name it."
    if _integer_problem("per_layer", options.per_layer, 1, _MAX_PER_LAYER) is None:
        return None
    return (
        f"per_layer must be a whole number from 1 to {_MAX_PER_LAYER}, or all, not "
        f"{options.per_layer!r}."
    )


def _choice_problem(option: str, value: object, choices: tuple[str, ...]) -> str | None:
    if value in choices:
        return None
    return f"{option} must be one of {', '.join(choices)}, not {value!r}."


def _text_problem(option: str, value: object, *, optional: bool) -> str | None:
    if (optional and value is None) or (isinstance(value, str) and value.strip()):
        return None
    return f"{option} must be text that is not empty, not {value!r}."


def _tensors_problem(options: ExtractOptions) -> str | None:
    given = options.tensors
    if given is None:
        return None
    if options.describes_family and len(given) < len(_TENSOR_OPTIONS):
        return (
            f"{', '.join(_TENSOR_OPTIONS)} belong together: give all of them, or of a known family "
            "unembedding_tensor alone."
        )
    for option in _TENSOR_OPTIONS[:3]:
        if option not in given:
            continue
        problem = _text_problem(option, given[option], optional=False)
        if problem:
            return problem
        wanted = 0 if option == "unembedding_tensor" else 1
        pieces = given[option].split("{layer}")
        if len(pieces) - 1 != wanted or any("{" in piece or "}" in piece for piece in pieces):
            times = "no braces" if wanted == 0 else "{layer} once and no other braces"
            return f"{option} must have {times} in it, not {given[option]!r}."
    if not options.describes_family:
        return None
    return _choice_problem("orientation", given["orientation"], ORIENTATIONS)


def _device_problem(value: object) -> str | None:
    if isinstance(value, str) and _DEVICE.fullmatch(value):
        return None
    return f"device must be auto, cpu, cuda or cuda:N, not {value!r}."
