"""Interface of gloss sources."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Gloss:
    """A short description, the source that gave it and the entry (lemma, title) that matched."""

    text: str
    source: str
    lemma: str


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
