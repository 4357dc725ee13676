"""Options of the measurement `suppression`; importable without torch."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from ffn_extract.chosen_vectors import place_of
from ffn_extract.errors import OptionError

MOST_SET, MOST_WORDS, LONGEST_WORD = 1_000, 200, 100
_LARGEST = 1e6  # of a coefficient
LIMITS = {
    "chosen": (1, MOST_SET), "prompt_count": (2, 100_000), "prompt_rows": (2, 1_024),
    "beams": (1, 64), "perplexity_tokens": (2, 100_000_000), "window": (2, 1_000_000),
}  # fmt: skip

Turned = tuple[int, int, float]
"""A layer, an index in it, both counted from 0, and the coefficient."""


@dataclass(frozen=True)
class SuppressionOptions:
    """Which vectors are turned on, over which prompts, and how texts are continued.

    Attributes
    ----------
    set
        Vectors with their coefficients; or
    promoting
        words: the vectors whose lists hold the most of them are taken; or
    labels, described, category
        a file that a study exports, and which patterns in it count: those with one of the words
        `described` in their description and, where it is given, of the `category`.
    chosen
        How many vectors words or labels choose.
    coefficient
        What they are set to, and a vector of `set` without a number of its own.
    before_activation
        Set what the activation reads instead, as the code released with the paper does.
    prompts, prompt_field, prompt_count
        A file of prompts, read as a corpus is, and how many are drawn; None: prefixes of the
        corpus.
    prompt_rows, beams
        Prompts that are continued at once, and beams of the search; 1 beam is greedy.
    perplexity_tokens, window
        Tokens at the beginning of the corpus on which perplexity is measured, in windows of so
        many; None: the model's context, at most 1,024.

    Raises
    ------
    OptionError
        With a sentence about a value that cannot be used.
    """

    set: tuple[Turned, ...] = ()
    promoting: tuple[str, ...] = ()
    labels: str | None = None
    described: tuple[str, ...] = ()
    category: str | None = None
    chosen: int = 10
    coefficient: float = 3.0
    before_activation: bool = False
    prompts: str | None = None
    prompt_field: str = "text"
    prompt_count: int = 100
    prompt_rows: int = 8
    beams: int = 3
    perplexity_tokens: int = 20_000
    window: int | None = None

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise OptionError.about(name, f"must be from {low:,} to {high:,}, not {value:,}.")
        for name in ("promoting", "described"):
            words = getattr(self, name)
            if len(words) > MOST_WORDS or any(not 0 < len(w) <= LONGEST_WORD for w in words):
                raise OptionError.about(
                    name, f"takes up to {MOST_WORDS} words of 1 to {LONGEST_WORD} letters."
                )
        given = [bool(self.set), bool(self.promoting), self.labels is not None]
        if sum(given) > 1:
            raise OptionError.written(
                "set",
                lambda say: (
                    f"{say('set')}, {say('promoting')} and {say('labels')} each choose vectors: "
                    "give one."
                ),
            )
        if (self.labels is None) != (not self.described and self.category is None):
            raise OptionError.written(
                "labels",
                lambda say: (
                    f"{say('labels')} needs {say('described')} or {say('category')}, and these "
                    f"need {say('labels')}."
                ),
            )
        if len(self.set) > MOST_SET or len({turned[:2] for turned in self.set}) < len(self.set):
            raise OptionError.about("set", f"names up to {MOST_SET:,} vectors, each once.")
        if not all(_usable(c) for c in (self.coefficient, *(c for *_, c in self.set))):
            raise OptionError.about("coefficient", f"must be within ±{_LARGEST:,.0f}.")

    def recorded(self) -> dict[str, Any]:
        """The entries of a manifest's parameters; files have entries of their own."""
        own = asdict(self)
        for name in ("set", "labels", "prompts", "prompt_field"):
            del own[name]
        return own


def turned_of(text: str, coefficient: float) -> Turned:
    """A vector and its coefficient from `13:1852=3`, or from `13:1852` with the given one.

    Raises OptionError.
    """
    name, equals, number = text.partition("=")
    place = place_of(name)
    try:
        value = float(number) if equals else coefficient
    except ValueError:
        place = None
    if place is None:
        raise OptionError.about("set", f"is LAYER:INDEX=COEFFICIENT, as 13:1852=3, not {text!r}.")
    return (*place, value)


def typed_words(text: str | None) -> tuple[str, ...]:
    """Words that are separated by commas, each once, in lower case."""
    words = (word.strip().lower() for word in (text or "").split(","))
    return tuple(dict.fromkeys(word for word in words if word))


def _usable(coefficient: float) -> bool:
    return math.isfinite(coefficient) and abs(coefficient) <= _LARGEST
