"""Types of extraction options: valid values, their text form and their JSON form.

A type's `fault` is the end of a sentence that the option's name begins.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ffn_extract.chosen_vectors import MAX_VECTORS, place_of, places_of, words_of
from ffn_extract.errors import OptionSentence
from ffn_extract.gguf_format.choice import is_gguf

MAX_NAME = 300
"""Characters of a model's name: what the site can store."""
_BRACES = re.compile(r"\{[^{}]*\}|[{}]")


class OptionType:
    """Type of an option, the same in Python, in JSON and on a command line."""

    metavar: str | None = None
    """What a command's help shows in place of a value."""
    typed = ""
    """How a value is typed, as a sentence for a command's help."""

    def fault(self, value: Any) -> str | None:
        """The reason why a value is invalid; None if it is valid."""
        raise NotImplementedError

    def problem(self, option: str, value: Any) -> OptionSentence | None:
        """The whole sentence about an option of this type."""
        fault = self.fault(value)
        return fault and OptionSentence(option, lambda say: f"{say(option)} {fault}")  # type: ignore[return-value]

    def read(self, text: str) -> Any:
        """Parse a typed value. Raises OptionError."""
        return text

    def to_json(self, value: Any) -> Any:
        """Convert a value to JSON."""
        return value

    def from_json(self, value: Any) -> Any:
        """Convert a value of `to_json` back; other values are returned unchanged, for `fault` to
        name.
        """
        return value


@dataclass(frozen=True)
class Integer(OptionType):
    """A whole number, or one `word` in its place.

    `most` bounds it on a page and in the API, where it is less than `high`.
    """

    low: int
    high: int
    word: str | None = None
    metavar: str = "N"
    most: int | None = None

    def fault(self, value: Any) -> str | None:
        number = isinstance(value, int) and not isinstance(value, bool)
        if (number and self.low <= value <= self.high) or (self.word and value == self.word):
            return None
        or_word = f", or {self.word}," if self.word else ","
        return f"must be a whole number from {self.low} to {self.high}{or_word} not {value!r}."


@dataclass(frozen=True)
class Number(OptionType):
    """A finite number."""

    above_zero: bool = False
    metavar: str = "X"

    def fault(self, value: Any) -> str | None:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and math.isfinite(value) and (value > 0 or not self.above_zero):
            return None
        return f"must be a number{' above 0' if self.above_zero else ''}, not {value!r}."


@dataclass(frozen=True)
class Flag(OptionType):
    """Yes or no; no is the default."""

    def fault(self, value: Any) -> str | None:
        return None if isinstance(value, bool) else f"must be true or false, not {value!r}."


@dataclass(frozen=True)
class Choice(OptionType):
    """One of some words, each with an explanation; `unset` explains none of them."""

    meanings: Mapping[str, str]
    unset: str = ""

    def fault(self, value: Any) -> str | None:
        if isinstance(value, str) and value in self.meanings:
            return None
        return f"must be one of {', '.join(self.meanings)}, not {value!r}."


@dataclass(frozen=True)
class Names(OptionType):
    """Several known words. The page offers `menu` instead, if there is one."""

    known: Mapping[str, Any]
    metavar: str
    menu: Mapping[str, str] | None = None
    none: str | None = None
    """What is typed for no word at all; without it, at least one is needed."""

    @property
    def typed(self) -> str:  # type: ignore[override]
        """The words in a command's help."""
        or_none = f'; or "{self.none}"' if self.none else ""
        return f"Of {', '.join(self.known)}, separated by commas{or_none}."

    def fault(self, value: Any) -> str | None:
        if not isinstance(value, tuple):
            return f"must be a list of names, not {value!r}."
        if not value and self.none is None:
            return f"must name at least one of: {', '.join(self.known)}."
        unknown = [str(name) for name in value if name not in tuple(self.known)]
        if unknown:
            return f"has no {', '.join(unknown)}; it knows: {', '.join(self.known)}."
        if len(set(value)) != len(value):
            return f"names something twice: {', '.join(value)}."
        return None

    def read(self, text: str) -> tuple[str, ...]:
        names = tuple(name.strip() for name in text.split(",") if name.strip())
        return () if self.none and names == (self.none,) else names

    def write(self, value: tuple[str, ...]) -> str:
        """The text that `read` turns into the value."""
        return ",".join(value) or self.none or ""

    def to_json(self, value: Any) -> list[str]:
        return list(value)

    def from_json(self, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True)
class Places(OptionType):
    """Chosen vectors, each a layer and an index."""

    metavar: str = "LAYER:INDEX,…"

    def problem(self, option: str, value: Any) -> OptionSentence | None:
        if not isinstance(value, tuple) or 1 <= len(value) <= MAX_VECTORS:
            return super().problem(option, value)
        return OptionSentence(
            option,
            lambda say: (
                f"{say(option)} must name from 1 to {MAX_VECTORS:,} vectors, not {len(value):,}. "
                f"{say('per_layer')} all takes every one."
            ),
        )

    def fault(self, value: Any) -> str | None:
        if not isinstance(value, tuple):
            return f"must be a list such as 14:518, 14:72, not {value!r}."
        odd = next((one for one in value if place_of(one) is None), None)
        if odd is not None:
            return f"has {odd!r}; each vector is LAYER:INDEX, such as 14:518."
        if len(set(value)) < len(value):
            twice = sorted({one for one in value if value.count(one) > 1})
            return f"names {', '.join(words_of(twice))} twice. Name each once."
        return None

    def read(self, text: str) -> Any:
        return places_of(text)

    def to_json(self, value: Any) -> list[str]:
        return words_of(value)

    def from_json(self, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        return tuple(place_of(word) or word for word in value)


@dataclass(frozen=True)
class Text(OptionType):
    """Text that is not empty.

    `most` bounds its characters on a page and in the API only: on a command line it can be a path.
    """

    metavar: str = "TEXT"
    most: int = 300

    def fault(self, value: Any) -> str | None:
        if isinstance(value, str) and value.strip():
            return None
        return f"must be text that is not empty, not {value!r}."


@dataclass(frozen=True)
class GgufName(Text):
    """The name of a GGUF file in the model's own folder."""

    metavar: str = "NAME"

    def fault(self, value: Any) -> str | None:
        fault = super().fault(value)
        if fault is None and (not is_gguf(value) or set(value) & set("/\\")):
            return f"must be the plain name of a .gguf file, not {value!r}."
        return fault


class ModelName(Text):
    """A model's name."""

    def fault(self, value: Any) -> str | None:
        fault = super().fault(value)
        if fault is None and (fault := name_fault(value)):
            return f"{fault}. Give another one."
        return fault


@dataclass(frozen=True)
class Device(Text):
    """A torch device."""

    metavar: str = "NAME"
    most: int = 20

    def fault(self, value: Any) -> str | None:
        if isinstance(value, str) and re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
            return None
        return f"must be auto, cpu, cuda or cuda:N, not {value!r}."


@dataclass(frozen=True)
class TensorName(Text):
    """A tensor's name with placeholders `marks` in braces, each at most once."""

    metavar: str = "NAME"
    marks: tuple[str, ...] = ()

    def fault(self, value: Any) -> str | None:
        fault = super().fault(value)
        if fault is not None:
            return fault
        allowed = [f"{{{mark}}}" for mark in self.marks]
        found = _BRACES.findall(value)
        if set(found) <= set(allowed) and len(set(found)) == len(found):
            return None
        what = f"{' and '.join(allowed)} at most once each and no other" if allowed else "no"
        return f"must have {what} braces in it, not {value!r}."


def name_fault(name: str) -> str | None:
    """The reason why a model name is invalid, as the end of a sentence; None if it is valid."""
    if len(name) > MAX_NAME:
        return f"has {len(name):,} characters; a name has at most {MAX_NAME}"
    if not name.isprintable():
        odd = next(character for character in name if not character.isprintable())
        return f"has the invisible character U+{ord(odd):04X}; a name is printable text"
    return None


def braces_of(name: object) -> frozenset[str]:
    """The placeholders in a tensor's name."""
    return frozenset(_BRACES.findall(str(name)))
