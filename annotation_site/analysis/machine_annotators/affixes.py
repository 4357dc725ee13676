"""Machine annotator of syntactic patterns: words that share a prefix, a suffix or an inflection."""

from collections import defaultdict
from collections.abc import Sequence

from annotation_site.analysis.machine_annotators.proposal import (
    Group,
    ProposedPattern,
    SynsetLookup,
    take_largest,
    words_of,
)

INFLECTIONS = ("s", "ed", "ing", "er", "est", "ly")
"""English endings that are telling although they are short."""

NOT_A_PLURAL = ("ss", "us", "is")

SHORTEST_AFFIX, LONGEST_AFFIX, SHORTEST_REST = 3, 7, 2
"""Letters of any other affix, and letters that must be left beside any affix."""

INFLECTION_WEIGHT = 2.5
"""An inflection weighs a little less than a shared affix of three letters, which weighs 3."""


def propose_by_affixes(
    tokens: Sequence[str], min_tokens: int, wordnet: SynsetLookup | None = None
) -> list[ProposedPattern]:
    """Group words by shared affixes and inflection; nothing but the tokens is used.

    Parameters
    ----------
    tokens
        The list, in order, without marks for word starts.
    min_tokens
        A pattern has at least this many different words.
    wordnet
        Not used; every baseline is called alike.

    Returns
    -------
    list of ProposedPattern
        Disjoint patterns of the category "syntactic", such as "starts with dis-" and "ends in
        -ing".

    Notes
    -----
    Of the affixes that enough words share, the one with the largest number of words times length
    is taken first.
    """
    sharing: dict[tuple[str, float], dict[int, str]] = defaultdict(dict)
    for rank, word in words_of(tokens).items():
        for affix in _affixes(word):
            sharing[affix][rank] = word
    groups = [Group(description, weight, words) for (description, weight), words in sharing.items()]
    return take_largest(groups, min_tokens=min_tokens, category="syntactic")


def _affixes(word: str) -> set[tuple[str, float]]:
    """Descriptions and weights of the affixes that a word has."""
    found: set[tuple[str, float]] = set()
    for length in range(SHORTEST_AFFIX, min(LONGEST_AFFIX, len(word) - SHORTEST_REST) + 1):
        found.add((f"starts with {word[:length]}-", float(length)))
    return found | endings_of(word)


def endings_of(word: str) -> set[tuple[str, float]]:
    """Descriptions and weights of the suffixes and inflections that a word has."""
    found: set[tuple[str, float]] = set()
    for length in range(SHORTEST_AFFIX, min(LONGEST_AFFIX, len(word) - SHORTEST_REST) + 1):
        if word[-length:] not in INFLECTIONS:
            found.add((f"ends in -{word[-length:]}", float(length)))
    for ending in INFLECTIONS:
        plural = ending != "s" or not word.endswith(NOT_A_PLURAL)
        if word.endswith(ending) and plural and len(word) >= len(ending) + SHORTEST_REST:
            found.add((f"ends in -{ending}", INFLECTION_WEIGHT))
    return found
