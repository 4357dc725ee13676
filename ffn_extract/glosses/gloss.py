"""Interface of gloss sources."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Sense:
    """One meaning of a word: its description, lemma, part of speech, and how often it was counted.

    `part` is "noun", "verb", "adjective" or "adverb".
    """

    gloss: str
    lemma: str
    part: str
    count: int


@dataclass(frozen=True, slots=True)
class Gloss:
    """A short description, the source that gave it and the entry (lemma, title) that matched.

    `part` is the part of speech of the description where the source knows it; `senses` are at most
    four meanings, best first.
    """

    text: str
    source: str
    lemma: str
    part: str | None = None
    senses: tuple[Sense, ...] = ()


class GlossSource(Protocol):
    """Protocol of a gloss source.

    A source is used by one thread only. `version` goes into the bundle's parameters, because
    another version of the source gives other glosses. A source that cannot be asked any more says
    so once, and gives what it has.
    """

    @property
    def version(self) -> str: ...

    def look_up(self, surface: str) -> Gloss | None:
        """The gloss of a word as it stands in text, or None if the source does not know it."""
        ...
