"""Arrays of patterns and of pairs of annotations."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]
Grid = NDArray[Any]
"""A row per annotation or pattern."""

OUTSIDE = -1
"""The code of a rank beyond the end of a list: no label."""


@dataclass(frozen=True, eq=False)
class Patterns:
    """Qualifying patterns, ordered by annotation; one entry (row) each.

    Attributes
    ----------
    annotation
        Row of the annotation.
    row
        Row in `AnnotationFrames.members` of its first member, to find the pattern again.
    size
        Number of members.
    words
        Members as bits, shape (patterns, ceil(longest list / 64)); the best rank is the highest
        bit, so that comparing numbers compares ranks.
    category
        Index into `Answers.categories`.
    stopwords
        Whether the pattern is flagged as stopwords or punctuation.
    first, count
        Per annotation: row of its first pattern, and how many it has.
    """

    annotation: Integers
    row: Integers
    size: Integers
    words: NDArray[np.uint64]
    category: Integers
    stopwords: NDArray[np.bool_]
    first: Integers
    count: Integers

    def members(self, rows: Integers, width: int) -> NDArray[np.bool_]:
        """Whether each of `width` ranks is in each of these patterns, shape (rows, width)."""
        octets = self.words[rows].astype(">u8").view(np.uint8)
        return np.unpackbits(octets, axis=1, count=width).astype(np.bool_)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Two people's annotations of one list; one entry each, ordered by list.

    `first` and `second` are rows of annotations; `people` is a row of `people_pairs`, shape
    (pairs of people, 2), whose numbers index `Answers.people`.
    """

    list: Integers
    first: Integers
    second: Integers
    people: Integers
    people_pairs: Integers
