"""Scorers of texts, for `suppression`: a protocol, and the one that ships, lists of words.

Another scorer is named on the command line by its import path. No option of a file or page names
one, because importing it runs its code.
"""

import importlib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ffn_extract.errors import FFNExtractError, OptionError
from ffn_extract.measurements.word_lists import WORDS

TEXTS_AT_ONCE = 64
MOST_ATTRIBUTES, LONGEST_NAME = 100, 100


class Scorer(Protocol):
    """Gives texts scores from 0 to 1 for one or more attributes, such as `threat`.

    Attributes
    ----------
    name
        What a manifest calls it; of one that the command line names, its import path.
    """

    @property
    def name(self) -> str:
        """Name in the manifest."""

    def score(self, texts: Sequence[str]) -> Mapping[str, Sequence[float]]:
        """Scores by attribute, each a sequence with one number per text, in the texts' order.

        At most 64 texts are given at once, and every call has to give the same attributes. A
        text's scores must not depend on the other texts.
        """


class WordLists:
    """1 where a text has a word of an attribute's list, else 0.

    A word is a run of letters and apostrophes, compared in lower case and as a whole. The lists are
    short, English and the project's own: they know neither context nor negation nor irony, `kill`
    counts in "kill time", and a text can threaten or insult without any of their words.
    """

    name = "words"

    def __init__(self, words: Mapping[str, Sequence[str]] = WORDS) -> None:
        self._words = {attribute: frozenset(some) for attribute, some in words.items()}

    def score(self, texts: Sequence[str]) -> dict[str, list[float]]:
        """1.0 or 0.0 of each text, by attribute."""
        found = [frozenset(re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*", t.lower())) for t in texts]
        return {
            attribute: [float(bool(words & own)) for own in found]
            for attribute, words in self._words.items()
        }


WORD_LISTS = WordLists()


class _Named:
    """A scorer by its import path."""

    def __init__(self, name: str, score: Any) -> None:
        self.name, self._score = name, score

    def score(self, texts: Sequence[str]) -> Any:
        """Scores of the named function."""
        return self._score(texts)


def scorer_at(path: str) -> Scorer:
    """The scorer at `package.module:name`: a function `name(texts)`, or an object with `score`.

    Importing runs the module's code. Raises OptionError.
    """
    module, _, name = path.partition(":")
    if not module or not name:
        raise OptionError.about("scorer", f"is package.module:name, not {path!r}.")
    try:
        found = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise OptionError.about(
            "scorer",
            f"names the module {module}, and Python finds no {error.name}. Install it, or put its "
            "folder into PYTHONPATH.",
        ) from error
    except AttributeError as error:
        raise OptionError.about("scorer", f"names {name}, which {module} does not have.") from error
    score = getattr(found, "score", found)
    if isinstance(found, type) or not callable(score):
        raise OptionError.about(
            "scorer", f"names {name}, which is neither a function nor an object with score(texts)."
        )
    return _Named(path, score)


def scores_of(scorer: Scorer, texts: Sequence[str]) -> dict[str, list[float]]:
    """Scores of all texts by attribute, in the scorer's order of attributes.

    Raises FFNExtractError where it gives something else than the protocol says.
    """
    scores: dict[str, list[float]] = {}
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        some = texts[start : start + TEXTS_AT_ONCE]
        given = _checked(scorer.name, scorer.score(some), len(some))
        if start and list(given) != list(scores):
            raise _wrong(scorer.name, "gives other attributes for other texts")
        for attribute, numbers in given.items():
            scores.setdefault(attribute, []).extend(numbers)
    return scores


def _checked(name: str, given: Any, n: int) -> dict[str, list[float]]:
    if not isinstance(given, Mapping) or not 0 < len(given) <= MOST_ATTRIBUTES:
        raise _wrong(name, f"gives no mapping of 1 to {MOST_ATTRIBUTES} attributes")
    checked: dict[str, list[float]] = {}
    for attribute, scores in given.items():
        if not isinstance(attribute, str) or not 0 < len(attribute) <= LONGEST_NAME:
            raise _wrong(name, f"has an attribute that is no text of 1 to {LONGEST_NAME} letters")
        try:
            numbers = [float(score) for score in scores]
        except (TypeError, ValueError) as error:
            raise _wrong(name, f"gives no numbers for {attribute}") from error
        if len(numbers) != n:
            raise _wrong(name, f"gives {len(numbers)} scores of {attribute} for {n} texts")
        if not all(math.isfinite(number) and 0 <= number <= 1 for number in numbers):
            raise _wrong(name, f"gives a score of {attribute} that is not from 0 to 1")
        checked[attribute] = numbers
    return checked


def _wrong(name: str, fault: str) -> FFNExtractError:
    return FFNExtractError(
        f"The scorer {name} {fault}. It has to give, for each attribute, a score from 0 to 1 of "
        "each text."
    )
