"""Checks of extraction options against each other, with a sentence for each problem."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from ffn_extract.errors import Naming, OptionSentence
from ffn_extract.option_types import braces_of

_NEEDS = {
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
"""What has to be given beside what is given."""


def lacking(options: Any) -> Iterator[OptionSentence]:
    """A sentence for each pair of options that do not go together, although each is valid.

    `options` are ExtractOptions, whose module imports this one.
    """
    sentences: list[tuple[str, bool, Callable[[Naming], str]]] = [
        (
            "vectors",
            options.per_layer == "all" and options.vectors is not None,
            lambda say: (
                f"{say('vectors')} chooses value vectors, and {say('per_layer')} all takes every "
                "one: give one of the two."
            ),
        ),
        (
            "per_layer",
            options.per_layer == "all" and options.vectors is None and "value" not in options.kinds,
            lambda say: (
                f"{say('per_layer')} can be all for the kind value only, and {say('kinds')} does "
                "not name it."
            ),
        ),
        (
            "vectors",
            options.vectors is not None and "value" not in options.kinds,
            lambda say: (
                f"{say('vectors')} chooses value vectors, and {say('kinds')} does not name the "
                "kind value. Add it."
            ),
        ),
        (
            "keys_of",
            "key" in options.kinds and options.keys_of == "values" and "value" not in options.kinds,
            lambda say: (
                f"{say('keys_of')} values takes the keys of the value vectors, and {say('kinds')} "
                "does not name the kind value. Add it."
            ),
        ),
    ]
    yield from (OptionSentence(option, write) for option, holds, write in sentences if holds)
    if "shuffled" in options.kinds:
        yield from _lacking_lists(options)
    yield from _lacking_tensors(options.tensors or {})


def _lacking_lists(options: Any) -> Iterator[OptionSentence]:
    """Shuffled lists mix the value lists of a layer, so there must be several."""
    if "value" not in options.kinds:
        yield OptionSentence(
            "kinds",
            lambda say: (
                f"{say('kinds')} names shuffled, which mixes the tokens of each layer's value "
                "lists, and does not name the kind value. Add it."
            ),
        )
    elif options.vectors is not None:
        lists = Counter(layer for layer, _ in options.vectors)
        alone = sorted(layer for layer, count in lists.items() if count == 1)
        if alone:
            yield OptionSentence(
                "vectors",
                lambda say: (
                    f"{say('vectors')} has one vector alone in layer {alone[0]}, and the kind "
                    f"shuffled mixes the lists of a layer. Name more there, or leave shuffled out "
                    f"of {say('kinds')}."
                ),
            )
    elif options.per_layer == 1:
        yield OptionSentence(
            "per_layer",
            lambda say: (
                f"{say('per_layer')} is 1, and the kind shuffled mixes the value lists of a layer. "
                f"Give a larger number, or leave shuffled out of {say('kinds')}."
            ),
        )


def _lacking_tensors(given: dict[str, Any]) -> Iterator[OptionSentence]:
    for option, others in _NEEDS.items():
        missing = tuple(other for other in others if other not in given)
        if option in given and missing:
            yield _needs(option, missing)
    value, key = given.get("value_tensor"), given.get("key_tensor")
    if value and key and braces_of(value) != braces_of(key):
        yield OptionSentence(
            "key_tensor",
            lambda say: (
                f"{say('key_tensor')} must have the same braces as {say('value_tensor')}, "
                f"not {key!r} beside {value!r}."
            ),
        )


def _needs(option: str, missing: tuple[str, ...]) -> OptionSentence:
    return OptionSentence(
        option,
        lambda say: (
            f"{say(option)} needs {' and '.join(map(say, missing))} too. Give that as well."
        ),
    )
