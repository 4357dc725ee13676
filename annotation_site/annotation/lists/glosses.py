"""Which gloss of a token a study shows. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annotation_site.annotation.models import Study

WORDNET = "wordnet"


@dataclass(frozen=True)
class TokenGlosses:
    """The glosses of a token in an extraction, as `corpus.models.Token` holds them."""

    gloss: str
    source: str
    part: str
    senses: Sequence[Mapping[str, Any]]

    COLUMNS = ("gloss", "gloss_source", "gloss_part", "senses")

    def shown(self, rule: str) -> list[tuple[str, str]]:
        """Part of speech and gloss of each sense that a study with this rule shows, best first.

        The ranked senses for a word of WordNet, which can be none; else the one gloss. The part of
        speech is empty where the source has none.
        """
        if rule == Study.GlossRule.RANKED and self.source == WORDNET:
            return [(sense["part"], sense["gloss"]) for sense in self.senses]
        return [(self.part, self.gloss)] if self.gloss else []

    def first(self, rule: str) -> str:
        """The gloss that stands beside the token; empty if there is none."""
        return next((gloss for _, gloss in self.shown(rule)), "")
