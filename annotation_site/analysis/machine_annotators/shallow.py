"""Machine annotator of shallow patterns: prefixes that end in the same words, or alike."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import takewhile

from annotation_site.analysis.machine_annotators.affixes import endings_of
from annotation_site.analysis.machine_annotators.proposal import (
    Group,
    ProposedPattern,
    SynsetLookup,
    take_largest,
)

SHALLOW = "shallow"
MOST_WORDS = 5
"""Of the last words that a pattern names."""
_UNITS = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")


def propose_by_form(
    prefixes: Sequence[str], min_prefixes: int, wordnet: SynsetLookup | None = None
) -> list[ProposedPattern]:
    """Group trigger prefixes by their last words, and by the ending of their last word.

    Parameters
    ----------
    prefixes
        The list, in order: the beginnings of sentences.
    min_prefixes
        A pattern has at least this many of them (3 in the paper of 2021).
    wordnet
        Not used; every machine annotator is called alike.

    Returns
    -------
    list of ProposedPattern
        Patterns of the category "shallow": "same last word: cat"; "same last words: the cat" where
        all of them have more words in common; and "ends in -ing", of at least two different last
        words. No two of the same form share a prefix, but one may be in a pattern of each form.

    Notes
    -----
    Letters count as lower-case ones, and a sign by itself is a word. A prefix can end inside a
    word; what it has of it is its last word. Of the endings that enough prefixes share, the one
    with the largest number of prefixes times its weight, as for affixes, is taken first. One whose
    prefixes all have a last word that is a pattern already says nothing new, and is left out.
    """
    units = {
        rank: found
        for rank, prefix in enumerate(prefixes, start=1)
        if (found := _UNITS.findall(prefix.lower()))
    }
    same = _same_last_words(units, min_prefixes)
    known = {rank for pattern in same for rank in pattern.ranks}
    sharing: dict[tuple[str, float], dict[int, str]] = defaultdict(dict)
    for rank, words in units.items():
        for ending in endings_of(words[-1]) if words[-1].isalpha() else ():
            sharing[ending][rank] = words[-1]
    several = ((one, words) for one, words in sharing.items() if len(set(words.values())) > 1)
    endings = take_largest(
        [Group(name, weight, words) for (name, weight), words in several],
        min_tokens=min_prefixes,
        category=SHALLOW,
        different=False,
    )
    return [*same, *(one for one in endings if not known.issuperset(one.ranks))]


def _same_last_words(
    units: Mapping[int, Sequence[str]], min_prefixes: int
) -> list[ProposedPattern]:
    """A pattern for each last word that enough prefixes have, the largest first."""
    groups: dict[str, list[int]] = defaultdict(list)
    for rank, words in units.items():
        groups[words[-1]].append(rank)
    found = []
    for ranks in groups.values():
        if len(ranks) < max(min_prefixes, 1):
            continue
        backwards = zip(*(reversed(units[rank]) for rank in ranks), strict=False)
        common = [words[0] for words in takewhile(lambda some: len(set(some)) == 1, backwards)]
        shown = " ".join(reversed(common[:MOST_WORDS]))
        form = "word" if len(common) == 1 else "words"
        found.append(ProposedPattern(f"same last {form}: {shown}", SHALLOW, tuple(ranks)))
    return sorted(found, key=lambda one: (-len(one.ranks), one.description))
