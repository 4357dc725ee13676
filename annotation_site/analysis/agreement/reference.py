"""Score of a person's annotation against a list's reference annotation."""

from collections.abc import Iterable, Sequence

import numpy as np

from annotation_site.analysis.agreement.arrays import Pairs, Patterns
from annotation_site.analysis.agreement.matching import match


def reference_score(
    answer: Iterable[Sequence[int]],
    reference: Iterable[Sequence[int]],
    *,
    length: int,
    min_tokens: int,
) -> float:
    r"""Mean matched Jaccard overlap of an annotation with a reference annotation.

    Parameters
    ----------
    answer, reference
        The ranks (1-based) of each pattern's members.
    length
        Number of tokens of the list.
    min_tokens
        Patterns with fewer members do not count, on either side.

    Returns
    -------
    float
        :math:`\sum J / (|A| + |B| - \text{matched})`, between 0 and 1, with the matching of
        `annotation_site.analysis.agreement.matching.match`. Where neither side has a pattern that
        counts, they agree that there is none: 1. (As a measure of agreement it is undefined
        there; a person who is being trained has then done what was asked.)

    References
    ----------
    Jaccard (1912), The distribution of the flora in the alpine zone.
    """
    sides = [
        [ranks for ranks in patterns if len(ranks) >= min_tokens]
        for patterns in (answer, reference)
    ]
    found = match(_patterns(sides, length), _BOTH)
    patterns = int(found.patterns.sum())
    if not patterns:
        return 1.0
    matched = int(found.chosen.sum())
    return float(found.summed(found.candidates.jaccard).sum()) / (patterns - matched)


_FIRST, _SECOND = np.array([0]), np.array([1])
_BOTH = Pairs(_FIRST, _FIRST, _SECOND, _FIRST, np.array([[0, 1]]))


def _patterns(sides: Sequence[Sequence[Sequence[int]]], length: int) -> Patterns:
    """The arrays that `encode` would make of two answers, without its dataframes."""
    rows = [ranks for side in sides for ranks in side]
    words = np.zeros((len(rows), max(1, -(-length // 64))), dtype=np.uint64)
    for row, ranks in enumerate(rows):
        for rank in ranks:
            words[row, (rank - 1) // 64] |= np.uint64(1 << (63 - (rank - 1) % 64))
    count = np.array([len(side) for side in sides], dtype=np.int64)
    size = np.array([len(ranks) for ranks in rows], dtype=np.int64)
    return Patterns(
        annotation=np.repeat(np.arange(2), count),
        row=np.cumsum(size) - size,
        size=size,
        words=words,
        category=np.zeros(len(rows), dtype=np.int64),
        stopwords=np.zeros(len(rows), dtype=np.bool_),
        first=np.cumsum(count) - count,
        count=count,
    )
