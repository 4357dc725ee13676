"""Ineffective options, which cannot change a list given the others, are set to their defaults.

Two extractions with the same lists then have the same parameters, and so the same digest. It is
said, not done in silence: each rule has its reason.
"""

from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from typing import Any

from ffn_extract.errors import Naming, OptionSentence


@dataclass(frozen=True)
class Rule:
    """Options without effect `when` a condition holds, and `why`, as the end of a sentence."""

    options: tuple[str, ...]
    when: Callable[[Any], bool]
    why: Callable[[Naming], str]


_NORM = ("norm_gain_tensor", "norm_bias_tensor", "norm_kind", "norm_offset", "norm_epsilon",
         "norm_after_ffn_tensor")  # fmt: skip

RULES = (
    Rule(
        ("random_grain",),
        lambda o: "random" not in o.kinds,
        lambda say: f"{say('kinds')} has no random vectors",
    ),
    Rule(
        ("corpus", "corpus_field", "split_sentences"),
        lambda o: "update" not in o.kinds and not o.has_keys,
        lambda say: f"{say('kinds')} has neither updates nor keys, for which texts are read",
    ),
    Rule(
        ("keys_of",),
        lambda o: "key" not in o.kinds,
        lambda say: f"{say('kinds')} has no keys",
    ),
    Rule(
        ("workers",),
        lambda o: not o.has_keys,
        lambda say: f"{say('kinds')} has no keys, for which the processes run the model",
    ),
    Rule(
        ("corpus_field",),
        lambda o: o.corpus == "wordnet" or o.corpus.lower().endswith(".txt"),
        lambda say: f"{say('corpus')} is no file with fields",
    ),
    Rule(
        ("drawn_per_layer",),
        lambda o: not o.drawn_kinds,
        lambda say: f"{say('kinds')} has no other kind of which vectors are drawn",
    ),
    Rule(
        ("per_layer",),
        lambda o: "value" not in o.kinds and not o.drawn_kinds,
        lambda say: f"{say('keys_of')} all takes every key",
    ),
    Rule(
        ("per_layer",),
        lambda o: o.vectors is not None,
        lambda say: (
            f"{say('vectors')} chooses the value vectors; {say('drawn_per_layer')} is the number "
            "of the others"
        ),
    ),
    Rule(
        ("seed",),
        lambda o: (
            not o.drawn_kinds
            and (o.per_layer == "all" or o.vectors is not None or "value" not in o.kinds)
        ),
        lambda say: "nothing is drawn",
    ),
    Rule(
        _NORM,
        lambda o: o.projection == "raw",
        lambda say: f"{say('projection')} raw leaves the norm out",
    ),
    Rule(
        ("norm_bias_tensor", "norm_epsilon"),
        lambda o: o.projection == "fold",
        lambda say: f"{say('projection')} fold takes the norm's gain alone",
    ),
)
"""In the order in which they are applied."""


def normalised(options: Any) -> tuple[dict[str, Any], tuple[OptionSentence, ...]]:
    """The options to reset, with the new values, and a sentence about each.

    `options` are ExtractOptions, whose module imports this one.
    """
    defaults = {one.name: one.default for one in fields(options) if one.default is not MISSING}
    changes: dict[str, Any] = {}
    notes: list[OptionSentence] = []
    for rule in RULES:
        for option in rule.options if rule.when(options) else ():
            value = changes.get(option, getattr(options, option))
            if value != defaults[option]:
                changes[option] = defaults[option]
                notes.append(_note(option, rule.why))
    if "value" not in options.kinds and options.drawn_per_layer is not None:
        if options.per_layer not in (defaults["per_layer"], options.drawn_per_layer):
            notes.append(_note("per_layer", lambda say: f"{say('drawn_per_layer')} counts instead"))
        changes |= {"per_layer": options.drawn_per_layer, "drawn_per_layer": None}
    return changes, tuple(notes)


def _note(option: str, why: Callable[[Naming], str]) -> OptionSentence:
    return OptionSentence(option, lambda say: f"{say(option)} has no effect here: {why(say)}.")
