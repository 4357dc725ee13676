"""What values an option can have; a sentence for each that cannot be used."""

import math
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ffn_extract.chosen_vectors import MAX_VECTORS, place_of, words_of
from ffn_extract.errors import Naming, OptionSentence
from ffn_extract.gguf_format.choice import is_gguf
from ffn_extract.glosses import GLOSS_SOURCES
from ffn_extract.options import (
    ALL,
    KINDS,
    MAX_NAME,
    MAX_TOP_K,
    NORM_KINDS,
    ORIENTATIONS,
    PROJECTIONS,
    RANDOM_GRAINS,
)

if TYPE_CHECKING:
    from ffn_extract.options import ExtractOptions

_MAX_PER_LAYER = 2**31 - 1
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
_NAMES = ("value_tensor", "key_tensor", "unembedding_tensor", "projection_tensor",
          "norm_gain_tensor", "norm_bias_tensor", "norm_after_ffn_tensor")  # fmt: skip
_MARKS = {
    "value_tensor": ("layer", "expert"), "key_tensor": ("layer", "expert"),
    "norm_gain_tensor": ("layer",), "norm_bias_tensor": ("layer",),
    "norm_after_ffn_tensor": ("layer",),
}  # fmt: skip
"""What may stand in braces in a tensor's name, once; nothing in the others."""
_BRACES = re.compile(r"\{[^{}]*\}|[{}]")


def problems_of(options: "ExtractOptions") -> list[OptionSentence]:
    """A sentence for each value that cannot be used; without any, the options are possible."""
    return [
        problem
        for problem in (
            _names("kinds", options.kinds, KINDS, at_least_one=True),
            _names("glosses", options.glosses, tuple(GLOSS_SOURCES), at_least_one=False),
            _per_layer(options),
            None
            if options.drawn_per_layer is None
            else _integer("drawn_per_layer", options.drawn_per_layer, 1, _MAX_PER_LAYER),
            _vectors(options),
            _integer("top_k", options.top_k, 1, MAX_TOP_K),
            _integer("seed", options.seed, 0, 2**63 - 1),
            _choice("projection", options.projection, PROJECTIONS),
            _choice("random_grain", options.random_grain, RANDOM_GRAINS),
            _text("corpus", options.corpus, optional=False),
            _text("corpus_field", options.corpus_field, optional=False),
            _text("revision", options.revision, optional=True),
            _gguf_file(options.gguf_file),
            _name(options.name),
            _device(options.device),
            *_tensors(options),
            _flag("drop_special", options.drop_special),
            _flag("through_head", options.through_head),
            _flag("allow_fewer_layers", options.allow_fewer_layers),
        )
        if problem
    ]


def name_fault(name: str) -> str | None:
    """Why a model cannot be called so, as the end of a sentence; None where it can."""
    if len(name) > MAX_NAME:
        return f"has {len(name):,} characters; a name has at most {MAX_NAME}"
    if not name.isprintable():
        odd = next(character for character in name if not character.isprintable())
        return f"has the invisible character U+{ord(odd):04X}; a name is printable text"
    return None


def _about(option: str, write: Callable[[Naming], str]) -> OptionSentence:
    return OptionSentence(option, write)


def _must(option: str, what: str) -> OptionSentence:
    """The option's name and the rest of a sentence."""
    return OptionSentence(option, lambda say: f"{say(option)} {what}")


def _names(
    option: str, names: object, known: tuple[str, ...], *, at_least_one: bool
) -> OptionSentence | None:
    if not isinstance(names, tuple):
        return _must(option, f"must be a list of names, not {names!r}.")
    if at_least_one and not names:
        return _must(option, f"must name at least one of: {', '.join(known)}.")
    unknown = [str(name) for name in names if name not in known]
    if unknown:
        return _must(option, f"has no {', '.join(unknown)}; it knows: {', '.join(known)}.")
    if len(set(names)) != len(names):
        return _must(option, f"names something twice: {', '.join(names)}.")
    return None


def _integer(option: str, value: object, low: int, high: int) -> OptionSentence | None:
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return None
    return _must(option, f"must be a whole number from {low} to {high}, not {value!r}.")


def _flag(option: str, value: object) -> OptionSentence | None:
    if isinstance(value, bool):
        return None
    return _must(option, f"must be true or false, not {value!r}.")


def _per_layer(options: "ExtractOptions") -> OptionSentence | None:
    if options.per_layer == ALL:
        if options.vectors is not None:
            return _about(
                "vectors",
                lambda say: (
                    f"{say('vectors')} chooses value vectors, and {say('per_layer')} all takes "
                    "every one: give one of the two."
                ),
            )
        if "value" in options.kinds:
            return None
        return _about(
            "per_layer",
            lambda say: (
                f"{say('per_layer')} can be all for the kind value only, and {say('kinds')} does "
                "not name it."
            ),
        )
    if _integer("per_layer", options.per_layer, 1, _MAX_PER_LAYER) is None:
        return None
    return _must(
        "per_layer",
        f"must be a whole number from 1 to {_MAX_PER_LAYER}, or all, not {options.per_layer!r}.",
    )


def _vectors(options: "ExtractOptions") -> OptionSentence | None:
    vectors = options.vectors
    if vectors is None:
        return None
    if not isinstance(vectors, tuple):
        return _must("vectors", f"must be a list such as 14:518, 14:72, not {vectors!r}.")
    odd = next((one for one in vectors if place_of(one) is None), None)
    if odd is not None:
        return _must("vectors", f"has {odd!r}; each vector is LAYER:INDEX, such as 14:518.")
    if not 1 <= len(vectors) <= MAX_VECTORS:
        return _about(
            "vectors",
            lambda say: (
                f"{say('vectors')} must name from 1 to {MAX_VECTORS:,} vectors, not "
                f"{len(vectors):,}. {say('per_layer')} all takes every one."
            ),
        )
    twice = sorted({one for one in vectors if vectors.count(one) > 1}) if _repeats(vectors) else []
    if twice:
        return _must("vectors", f"names {', '.join(words_of(twice))} twice. Name each once.")
    if isinstance(options.kinds, tuple) and "value" not in options.kinds:
        return _about(
            "vectors",
            lambda say: (
                f"{say('vectors')} chooses value vectors, and {say('kinds')} does not name the "
                "kind value. Add it."
            ),
        )
    return None


def _repeats(vectors: tuple[object, ...]) -> bool:
    return len(set(vectors)) < len(vectors)


def _choice(option: str, value: object, choices: tuple[str, ...]) -> OptionSentence | None:
    if isinstance(value, str) and value in choices:
        return None
    return _must(option, f"must be one of {', '.join(choices)}, not {value!r}.")


def _text(option: str, value: object, *, optional: bool) -> OptionSentence | None:
    if (optional and value is None) or (isinstance(value, str) and value.strip()):
        return None
    return _must(option, f"must be text that is not empty, not {value!r}.")


def _gguf_file(name: object) -> OptionSentence | None:
    problem = _text("gguf_file", name, optional=True)
    if problem or not isinstance(name, str) or (is_gguf(name) and not set(name) & set("/\\")):
        return problem
    return _must("gguf_file", f"must be the plain name of a .gguf file, not {name!r}.")


def _name(name: object) -> OptionSentence | None:
    problem = _text("name", name, optional=True)
    if problem or not isinstance(name, str):
        return problem
    fault = name_fault(name)
    return None if fault is None else _must("name", f"{fault}. Give another one.")


def _device(value: object) -> OptionSentence | None:
    if isinstance(value, str) and _DEVICE.fullmatch(value):
        return None
    return _must("device", f"must be auto, cpu, cuda or cuda:N, not {value!r}.")


def _tensors(options: "ExtractOptions") -> Iterator[OptionSentence | None]:
    given = options.tensors
    if given is None:
        return
    for option in _NAMES:
        if option in given:
            yield _text(option, given[option], optional=False) or _braces(
                option, str(given[option])
            )
    yield from _belonging(given)
    if "orientation" in given:
        yield _choice("orientation", given["orientation"], ORIENTATIONS)
    if "norm_kind" in given:
        yield _choice("norm_kind", given["norm_kind"], NORM_KINDS)
    for option, above in (("norm_offset", False), ("norm_epsilon", True)):
        if option in given:
            yield _number(option, given[option], above_zero=above)


def _belonging(given: dict[str, str | float]) -> Iterator[OptionSentence]:
    """What has to be given beside what is given."""
    needs = {
        "value_tensor": ("unembedding_tensor", "orientation"),
        "orientation": ("value_tensor",),
        "key_tensor": ("value_tensor",),
        "projection_tensor": ("value_tensor",),
        "norm_gain_tensor": ("value_tensor", "norm_kind"),
        "norm_bias_tensor": ("norm_gain_tensor",),
        "norm_kind": ("norm_gain_tensor",),
        "norm_offset": ("norm_gain_tensor",),
        "norm_epsilon": ("norm_gain_tensor",),
        "norm_after_ffn_tensor": ("norm_gain_tensor",),
    }
    for option, others in needs.items():
        missing = tuple(other for other in others if other not in given)
        if option in given and missing:
            yield _lacking(option, missing)
    names = [given.get("key_tensor"), given.get("value_tensor")]
    if all(isinstance(name, str) for name in names) and len(set(map(_marks, names))) > 1:
        yield _about(
            "key_tensor",
            lambda say: (
                f"{say('key_tensor')} must have the same braces as {say('value_tensor')}, "
                f"not {given['key_tensor']!r} beside {given['value_tensor']!r}."
            ),
        )


def _lacking(option: str, missing: tuple[str, ...]) -> OptionSentence:
    return _about(
        option,
        lambda say: (
            f"{say(option)} needs {' and '.join(map(say, missing))} too. Give that as well."
        ),
    )


def _marks(name: object) -> frozenset[str]:
    return frozenset(_BRACES.findall(str(name)))


def _braces(option: str, name: str) -> OptionSentence | None:
    allowed = [f"{{{mark}}}" for mark in _MARKS.get(option, ())]
    found = _BRACES.findall(name)
    if all(one in allowed for one in found) and len(set(found)) == len(found):
        return None
    what = f"{' and '.join(allowed)} at most once each and no other" if allowed else "no"
    return _must(option, f"must have {what} braces in it, not {name!r}.")


def _number(option: str, value: object, *, above_zero: bool) -> OptionSentence | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and math.isfinite(value) and (value > 0 or not above_zero):  # type: ignore[operator,arg-type]
        return None
    return _must(option, f"must be a number{' above 0' if above_zero else ''}, not {value!r}.")
