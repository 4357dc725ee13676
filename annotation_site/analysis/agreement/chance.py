"""Chance level of measures on patterns: the same annotations with shuffled entries.

In each shuffle every person's entries of a list change places at random. Patterns keep their
sizes, categories and flags, and those that share entries go on sharing them. The measure of the
shuffled annotations says how much two people agree who choose entries by lot.

Which entries go where depends on the two annotations and the seed alone, not on where they stand
in a table or who gave them. So a group of lists has the same chance level whatever stands beside
it, as long as the number of shuffles is the same.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotation_site.analysis.agreement.annotations import EncodedAnnotations
from annotation_site.analysis.agreement.arrays import Integers, Pairs, Patterns
from annotation_site.analysis.agreement.couples import joined_patterns
from annotation_site.analysis.agreement.matching import match

SHUFFLES = 200
"""Shuffles of each pair of annotations, where there are few."""

MOST = 8_000
"""Shuffled pairs of annotations in all. Larger studies have fewer shuffles of each, at least one;
their chance levels are means over more lists in return."""

_Hashes = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Shuffled:
    """Annotations with shuffled entries; `shuffles` of them for each pair of annotations.

    Its pairs of annotations are those of the input, one shuffle after another, and belong to the
    same lists. So a sum over a list's pairs is a sum over all of its shuffles.
    """

    annotations: EncodedAnnotations
    shuffles: int

    def by_pair(self, pairs: EncodedAnnotations) -> "Shuffled":
        """The same, with every pair of annotations as a list of its own.

        `pairs` are the input's `EncodedAnnotations.by_pair`.
        """
        rows = np.tile(pairs.pairs.list, self.shuffles)
        shuffled = replace(self.annotations.pairs, list=rows)
        annotations = replace(self.annotations, lists=pairs.lists, pairs=shuffled)
        return Shuffled(annotations, self.shuffles)


def shuffled(answers: EncodedAnnotations, *, seed: int) -> Shuffled:
    """Shuffle the entries of every pair of annotations, `SHUFFLES` times or fewer.

    Only what measures on patterns read is shuffled: the patterns and their matching.

    Parameters
    ----------
    answers
        Of the lists.
    seed
        Of the shuffles.

    Returns
    -------
    Shuffled
        ``SHUFFLES`` of each pair, or as many as keep ``MOST`` pairs in all, but at least 1.
    """
    given, count = answers.pairs, len(answers.pairs.list)
    shuffles = max(1, min(SHUFFLES, MOST // max(count, 1)))
    number = np.repeat(np.arange(shuffles), count)
    first, second = np.tile(given.first, shuffles), np.tile(given.second, shuffles)
    content = _contents(answers.patterns)
    # Neither order of two people decides whose entries are shuffled. Equal ones are the same.
    swapped = content[first] > content[second]
    kept, moved = np.where(swapped, second, first), np.where(swapped, first, second)
    fixed = _copies(answers.patterns, kept)
    width = answers.in_concept.shape[1]
    new = _copies(answers.patterns, moved)
    both = (answers.patterns.count[kept] > 0) & (answers.patterns.count[moved] > 0)
    key = _mixed(_mixed(_mixed(content[kept]) ^ content[moved]) ^ np.uint64(seed % 2**64))
    key = _mixed(key + number.astype(np.uint64))
    new = _moved(new, both, key, answers.length[moved], width)
    patterns = joined_patterns(fixed, new)
    rows = np.arange(len(number))
    pairs = Pairs(
        list=np.tile(given.list, shuffles),
        first=rows,
        second=rows + len(rows),
        people=np.tile(given.people, shuffles),
        people_pairs=given.people_pairs,
    )
    found = replace(answers, patterns=patterns, pairs=pairs, matching=match(patterns, pairs))
    return Shuffled(found, shuffles)


def _mixed(values: _Hashes) -> _Hashes:
    """Scatter the bits of numbers: the finaliser of splitmix64 (Steele, Lea and Flood 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(values ^ (values >> np.uint64(31)))


def _contents(patterns: Patterns) -> _Hashes:
    """A number for the patterns of each annotation, whatever their order; shape (annotations,)."""
    words = np.arange(1, patterns.words.shape[1] + 1, dtype=np.uint64)
    # Words without a member add nothing, so that longer lists elsewhere change nothing.
    mixed = np.where(patterns.words == 0, np.uint64(0), _mixed(patterns.words + _mixed(words)))
    found = np.zeros(len(patterns.count), dtype=np.uint64)
    np.add.at(found, patterns.annotation, _mixed(mixed.sum(axis=1, dtype=np.uint64)))
    return found


def _copies(patterns: Patterns, annotations: Integers) -> Patterns:
    """The patterns of each of these annotations, which may be named more than once."""
    count = patterns.count[annotations]
    first = np.cumsum(count) - count
    annotation = np.repeat(np.arange(len(annotations)), count)
    rows = patterns.first[annotations][annotation] + np.arange(len(annotation)) - first[annotation]
    return Patterns(
        annotation=annotation,
        row=patterns.row[rows],
        size=patterns.size[rows],
        words=patterns.words[rows],
        category=patterns.category[rows],
        stopwords=patterns.stopwords[rows],
        first=first,
        count=count,
    )


def _moved(
    patterns: Patterns, chosen: NDArray[np.bool_], key: _Hashes, length: Integers, width: int
) -> Patterns:
    """The patterns with the entries of each of the chosen annotations in another order.

    `key` and `length` are of the annotations.
    """
    place = np.cumsum(chosen) - 1
    rank = np.arange(width, dtype=np.uint64)
    drawn = _mixed(key[chosen][:, None] + _mixed(rank + np.uint64(1)))
    drawn >>= np.uint64(1)
    drawn[np.arange(width) >= length[chosen][:, None]] = np.iinfo(np.uint64).max  # stays outside
    order = np.argsort(drawn, axis=1)
    rows = np.flatnonzero(chosen[patterns.annotation])
    members = patterns.members(rows, width)
    new = np.take_along_axis(members, order[place[patterns.annotation[rows]]], axis=1)
    words = patterns.words.copy()
    words[rows] = _words(new, words.shape[1])
    return replace(patterns, words=words)


def _words(members: NDArray[np.bool_], count: int) -> NDArray[Any]:
    """Members as bits, `count` words for each pattern; see `Patterns.words`."""
    padded = np.zeros((len(members), 64 * count), dtype=np.bool_)
    padded[:, : members.shape[1]] = members
    return np.packbits(padded, axis=1).view(">u8").astype(np.uint64)
