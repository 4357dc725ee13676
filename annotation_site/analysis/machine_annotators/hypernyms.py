"""Machine annotator of semantic patterns: words whose senses share a hypernym in WordNet."""

from collections import defaultdict
from collections.abc import Sequence

from annotation_site.analysis.machine_annotators.proposal import (
    Group,
    ProposedPattern,
    Synset,
    SynsetLookup,
    take_largest,
    words_of,
)
from annotation_site.analysis.stopwords import is_stopword

SENSES = 2
"""How many senses of a word are looked at, the most frequent first."""

SHALLOWEST = 6
"""Hypernyms nearer to WordNet's root "entity" (depth 0) are too general to be a concept ..."""

SHALLOW_CONCEPTS = frozenset(
    {"color.n.01", "person.n.01", "time_period.n.01", "unit_of_measurement.n.01"}
)
"""... but for these, which people name as concepts."""


def propose_by_hypernyms(
    tokens: Sequence[str], min_tokens: int, wordnet: SynsetLookup | None
) -> list[ProposedPattern]:
    """Group nouns by shared hypernyms.

    Parameters
    ----------
    tokens
        The list, in order, without marks for word starts.
    min_tokens
        A pattern has at least this many different words.
    wordnet
        WordNet.

    Returns
    -------
    list of ProposedPattern
        Disjoint patterns of the category "semantic", described by the hypernym.

    Raises
    ------
    ValueError
        Without WordNet.

    Notes
    -----
    A sense belongs to all its hypernyms, up to the root. Of the hypernyms that enough words
    share, the one with the largest number of words times depth is taken first; deep ones are
    specific, so this prefers "city" to "location" unless "location" has many more words.
    """
    if wordnet is None:
        raise ValueError("Shared hypernyms cannot be found without WordNet.")
    sharing: dict[str, dict[int, str]] = defaultdict(dict)
    known: dict[str, Synset] = {}
    for rank, word in words_of(tokens).items():
        if is_stopword(word):
            continue
        for sense in wordnet.synsets(word, "n")[:SENSES]:
            for hypernym in _hypernyms(sense):
                known[hypernym.name()] = hypernym
                sharing[hypernym.name()][rank] = word
    groups = []
    for name, words in sharing.items():
        if len(set(words.values())) < min_tokens:
            continue
        depth = known[name].min_depth()
        if depth >= SHALLOWEST or name in SHALLOW_CONCEPTS:
            groups.append(Group(_description(known[name]), depth, words))
    return take_largest(groups, min_tokens=min_tokens, category="semantic")


def _hypernyms(sense: Synset) -> list[Synset]:
    """The sense and everything above it, each once."""
    found: dict[str, Synset] = {}
    waiting = [sense]
    while waiting:
        synset = waiting.pop()
        if synset.name() not in found:
            found[synset.name()] = synset
            waiting += [*synset.hypernyms(), *synset.instance_hypernyms()]
    return list(found.values())


def _description(synset: Synset) -> str:
    """The hypernym's first lemma and its name in WordNet, which tells equal lemmas apart."""
    return f"{synset.lemma_names()[0].replace('_', ' ')} ({synset.name()})"
