"""Patterns proposed by a machine annotator; the largest groups are taken first."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class ProposedPattern:
    """A pattern as an annotator would submit it; ranks are 1-based and ascending."""

    description: str
    category: str
    ranks: tuple[int, ...]


class Synset(Protocol):
    """A sense of a word: the part of NLTK's WordNet interface in use."""

    def name(self) -> str: ...
    def lemma_names(self) -> Sequence[str]: ...
    def hypernyms(self) -> Sequence["Synset"]: ...
    def instance_hypernyms(self) -> Sequence["Synset"]: ...
    def min_depth(self) -> int: ...


class SynsetLookup(Protocol):
    """WordNet reader opened by the caller, such as NLTK's."""

    def synsets(self, lemma: str, pos: str) -> Sequence[Synset]:
        """Senses of a word, most frequent first; `pos` is "n" for nouns."""


@dataclass(frozen=True)
class MachineAnnotator:
    """A machine annotator.

    `propose` takes a list's tokens, without marks for word starts, and gives disjoint patterns of
    at least `min_tokens` tokens; WordNet is used only where `needs_wordnet` says so. One that
    `reads_prefixes` takes a list's trigger prefixes instead, and a prefix may be in several of its
    patterns. The same entries always give the same patterns.
    """

    name: str
    title: str
    description: str
    needs_wordnet: bool
    propose: Callable[[Sequence[str], int, SynsetLookup | None], list[ProposedPattern]]
    reads_prefixes: bool = False


@dataclass(frozen=True)
class Group:
    """Tokens with something in common: `words` by rank; `weight` says how specific it is."""

    description: str
    weight: float
    words: Mapping[int, str]


_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


def words_of(tokens: Sequence[str]) -> dict[int, str]:
    """The tokens that are words, lower-cased, by rank; numbers, signs and single letters are not.

    Examples
    --------
    >>> words_of([" Paris", "12", "a", "well-known", "n't"])
    {1: 'paris', 4: 'well-known', 5: "n't"}
    """
    stripped = {rank: token.strip() for rank, token in enumerate(tokens, start=1)}
    return {
        rank: token.lower()
        for rank, token in stripped.items()
        if len(token) > 1 and _WORD.fullmatch(token)
    }


def take_largest(
    groups: Iterable[Group], *, min_tokens: int, category: str, different: bool = True
) -> list[ProposedPattern]:
    """Take groups greedily, so that every token is in one pattern at most.

    Each time the group goes first whose number of different words times weight is largest, over
    the tokens that are still free; then the one with the larger weight, then by description. A
    pattern needs `min_tokens` different words: "Run", "run" and "RUN" are one. With
    `different=False` each counts.
    """
    waiting = {group.description: group for group in groups}
    free = {rank for group in waiting.values() for rank in group.words}
    found: list[ProposedPattern] = []
    while True:
        left = {
            name: {rank: word for rank, word in group.words.items() if rank in free}
            for name, group in waiting.items()
        }
        counts = {
            name: len(set(words.values()) if different else words) for name, words in left.items()
        }
        enough = [name for name, count in counts.items() if count >= max(min_tokens, 1)]
        if not enough:
            return found
        best = min(
            (-counts[name] * waiting[name].weight, -waiting[name].weight, name) for name in enough
        )[-1]
        ranks = tuple(sorted(left[best]))
        found.append(ProposedPattern(best, category, ranks))
        free -= set(ranks)
        waiting = {name: waiting[name] for name in enough if name != best}
