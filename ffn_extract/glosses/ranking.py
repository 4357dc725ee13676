"""Ranked senses of a token: which of WordNet's senses fit it, the most frequent ones first."""

from collections.abc import Iterable
from dataclasses import dataclass

from ffn_extract.glosses.closed_class import is_closed_class
from ffn_extract.glosses.definitions import clean
from ffn_extract.glosses.gloss import Sense

RULES = 1
"""Part of the version: other rules for senses, or another list of closed-class words, count it up.
"""

MOST_SENSES = 4
PARTS = {"n": "noun", "v": "verb", "a": "adjective", "s": "adjective", "r": "adverb"}
"""WordNet's letters for parts of speech; "s" is an adjective beside the head of its cluster."""
_ORDER = ("noun", "verb", "adjective", "adverb")


@dataclass(frozen=True)
class StoredSense:
    """A sense as WordNet stores it: one lemma of one synset.

    `stored_gloss` is the whole gloss with its examples, `lemma` in WordNet's spelling, `part` a
    letter of `PARTS`, `number` the place among the senses of the lemma in this part of speech, and
    `count` how often texts with tagged senses have it.
    """

    synset: str
    stored_gloss: str
    lemma: str
    part: str
    number: int
    count: int


def ranked(token: str, found: Iterable[StoredSense]) -> tuple[Sense, ...]:
    """At most `MOST_SENSES` senses of a token as it stands in text, best first.

    Ranked by their counts, then by part of speech (nouns, verbs, adjectives, adverbs), then in
    WordNet's order. A synset that several lemmas lead to is there once. A lemma's capitals must be
    capitals in the token too, so "china" is not the country, and an uncased vocabulary has no
    sense of a name. A closed-class word has no sense, nor has a synset without a definition.

    Examples
    --------
    >>> china = StoredSense("08723006-n", "a nation in eastern Asia", "China", "n", 1, 9)
    >>> ware = StoredSense("03018209-n", "ceramic ware", "china", "n", 2, 1)
    >>> [sense.gloss for sense in ranked("China", [ware, china])]
    ['a nation in eastern Asia', 'ceramic ware']
    >>> [sense.gloss for sense in ranked("china", [ware, china])]
    ['ceramic ware']
    """
    if is_closed_class(token):
        return ()
    best: dict[str, StoredSense] = {}
    for sense in sorted(found, key=_rank):
        if fits(sense.lemma, token):
            best.setdefault(sense.synset, sense)
    senses = (
        Sense(gloss, sense.lemma.replace("_", " "), PARTS[sense.part], sense.count)
        for sense in best.values()
        if (gloss := clean(sense.stored_gloss))
    )
    return tuple(senses)[:MOST_SENSES]


def fits(lemma: str, token: str) -> bool:
    """Whether each capital of a lemma is a capital in the token, which may be inflected."""
    pairs = zip(lemma, token.strip(), strict=False)
    return all(of_token.isupper() for of_lemma, of_token in pairs if of_lemma.isupper())


def _rank(sense: StoredSense) -> tuple[int, int, int, str, str]:
    part = _ORDER.index(PARTS[sense.part])
    return (-sense.count, part, sense.number, sense.lemma, sense.synset)
