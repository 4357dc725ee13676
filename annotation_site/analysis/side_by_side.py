"""Several people's patterns of one list side by side: which ones are the same, and how far they
agree. Without dataframes, so that a page can ask."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from annotation_site.analysis.agreement.arrays import Pairs, Patterns
from annotation_site.analysis.agreement.matching import Matching, match

Key = tuple[str, int]
"""A pattern: its person and its number."""

_WORD = 64


@dataclass(frozen=True)
class MarkedPattern:
    """The ranks (from 1) of a pattern, ascending, and its category."""

    ranks: tuple[int, ...]
    category: str = ""


@dataclass(frozen=True)
class CoupleAgreement:
    """Agreement of two people on one list, by the definitions of docs/measures.md.

    `entries` is the percent agreement, 0 to 1; `patterns` the overlap of matched patterns, 0 to 1,
    None where neither person has one; `half` counts matched patterns that share half of their
    tokens, and `alike` those of them with one category.
    """

    first: str
    second: str
    entries: float
    patterns: float | None
    half: int
    alike: int


@dataclass(frozen=True)
class ListAgreement:
    """Agreement of all people on one list, 0 to 1: that of docs/measures.md for this list alone.

    None where a measure is undefined.
    """

    entries: float | None
    patterns: float | None
    category: float | None


def pattern_groups(patterns: Mapping[Key, MarkedPattern]) -> list[list[Key]]:
    """Group the patterns of several people that are the same pattern, at most one of each person.

    Parameters
    ----------
    patterns
        By person and number, each with one member or more, whatever their number.

    Returns
    -------
    list
        The groups, those with most people first, then those whose earliest pattern has the better
        ranks. A group's patterns are in the order of the people in `patterns`.

    Notes
    -----
    For two people, these are the pairs of the agreement measures' matching, which is one to one.
    For more, the matched pairs of every two people are joined from the largest overlap on, as long
    as no person is in a group twice. Equal overlaps are decided by the patterns' ranks, so neither
    a pattern's number nor the order of the people matters.
    """
    people = list(dict.fromkeys(person for person, _ in patterns))
    encoded, keys = _encoded(patterns, people)
    group_of = {key: [key] for key in patterns}
    early = {key: _bits(patterns[key].ranks) for key in patterns}
    for one, other in _joined(match(encoded, _pairs(len(people))), keys, patterns, early):
        first, second = group_of[one], group_of[other]
        if not {person for person, _ in first} & {person for person, _ in second}:
            first.extend(second)
            group_of.update(dict.fromkeys(second, first))
    place = {person: n for n, person in enumerate(people)}
    groups = [
        sorted(group, key=lambda key: (place[key[0]], key[1]))
        for group in {id(group): group for group in group_of.values()}.values()
    ]
    return sorted(groups, key=lambda group: (-len(group), -max(early[key] for key in group)))


def most_alike(marks: Sequence[frozenset[int]]) -> int:
    """The largest number of people who say the same of an entry: the same patterns, or none."""
    return max((marks.count(one) for one in set(marks)), default=0)


def couples(
    patterns: Mapping[Key, MarkedPattern], people: Sequence[str], *, length: int, min_tokens: int
) -> list[CoupleAgreement]:
    """Agreement of every two people on one list.

    Parameters
    ----------
    patterns
        As for `pattern_groups`.
    people
        Those with an annotation, also without a pattern.
    length
        The list's number of entries.
    min_tokens
        A pattern counts with at least this many members; others are dropped before.
    """
    counted = {key: p for key, p in patterns.items() if len(p.ranks) >= min_tokens}
    encoded, _ = _encoded(counted, people)
    pairs = _pairs(len(people))
    found = match(encoded, pairs)
    overlap, matched = found.summed(found.candidates.jaccard), found.summed(found.chosen)
    half = found.summed(found.half)
    category = encoded.category
    same = category[found.candidates.first] == category[found.candidates.second]
    alike = found.summed(found.half & same)
    marked = [
        {rank for (person, _), p in counted.items() if person == one for rank in p.ranks}
        for one in people
    ]
    return [
        CoupleAgreement(
            people[one],
            people[other],
            entries=1 - len(marked[one] ^ marked[other]) / length,
            patterns=_share(overlap[n], found.patterns[n] - matched[n]),
            half=int(half[n]),
            alike=int(alike[n]),
        )
        for n, (one, other) in enumerate(zip(pairs.first, pairs.second, strict=True))
    ]


def together(found: Sequence[CoupleAgreement]) -> ListAgreement:
    """Agreement of all people from that of every two: means, and the share of matched patterns."""
    half = sum(couple.half for couple in found)
    return ListAgreement(
        entries=_mean([couple.entries for couple in found]),
        patterns=_mean([couple.patterns for couple in found if couple.patterns is not None]),
        category=_share(sum(couple.alike for couple in found), half),
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def _bits(ranks: Sequence[int]) -> int:
    """A number that is larger for earlier ranks: the first differing member decides."""
    return sum(1 << (4 * _WORD - rank) for rank in ranks)


def _encoded(
    patterns: Mapping[Key, MarkedPattern], people: Sequence[str]
) -> tuple[Patterns, list[Key]]:
    """The patterns as arrays, in the order of the people, and which they are."""
    keys = [key for person in people for key in patterns if key[0] == person]
    longest = max((rank for p in patterns.values() for rank in p.ranks), default=1)
    words = np.zeros((len(keys), -(-longest // _WORD)), dtype=np.uint64)
    for row, key in enumerate(keys):
        for rank in patterns[key].ranks:
            word, bit = divmod(rank - 1, _WORD)
            words[row, word] |= np.uint64(1 << (_WORD - 1 - bit))
    place = {person: n for n, person in enumerate(people)}
    names = sorted({p.category for p in patterns.values()})
    annotation = np.array([place[person] for person, _ in keys], dtype=np.int64)
    count = np.bincount(annotation, minlength=len(people)).astype(np.int64)
    return Patterns(
        annotation=annotation,
        row=np.arange(len(keys)),
        size=np.array([len(patterns[key].ranks) for key in keys], dtype=np.int64),
        words=words,
        category=np.array([names.index(patterns[key].category) for key in keys], dtype=np.int64),
        stopwords=np.zeros(len(keys), dtype=np.bool_),
        first=np.cumsum(count) - count,
        count=count,
    ), keys


def _pairs(people: int) -> Pairs:
    both = np.array(list(combinations(range(people), 2)), dtype=np.int64).reshape(-1, 2)
    zeros = np.zeros(len(both), dtype=np.int64)
    return Pairs(zeros, both[:, 0], both[:, 1], zeros, both)


def _joined(
    found: Matching,
    keys: Sequence[Key],
    patterns: Mapping[Key, MarkedPattern],
    early: Mapping[Key, int],
) -> list[tuple[Key, Key]]:
    """Every two people's matched patterns, in the order in which groups take them."""
    candidates = found.candidates
    overlap = candidates.jaccard
    chosen = [
        (overlap[n], keys[candidates.first[n]], keys[candidates.second[n]])
        for n in np.flatnonzero(found.chosen)
    ]

    def order(one: tuple[float, Key, Key]) -> tuple[object, ...]:
        jaccard, *both = one
        ranks = sorted((early[key] for key in both), reverse=True)
        categories = sorted(patterns[key].category for key in both)
        return -jaccard, [-bits for bits in ranks], len(set(categories)), categories

    return [(first, second) for _, first, second in sorted(chosen, key=order)]
