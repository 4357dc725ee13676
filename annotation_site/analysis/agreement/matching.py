"""One-to-one matching of two people's patterns by the tokens that they share."""

from dataclasses import dataclass
from functools import cache
from itertools import permutations
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotation_site.analysis.agreement.arrays import Floats, Integers, Pairs, Patterns

TIED = 1e-12
"""Where sums of Jaccard overlaps cannot be exact, closer ones are equal: see `_exact`."""

_ENUMERATED = 720
_BITS = 62
_CELLS = 4_000_000
_EXACT = 2**53  # floats below it hold every whole number


@dataclass(frozen=True, eq=False)
class Candidates:
    """All pairs of a pattern of the first and one of the second person; one entry each.

    Ordered by pair of annotations, then the first person's pattern, then the second's. `start`
    and `shape` say per pair of annotations where its entries begin and how many patterns the two
    have, shape (pairs, 2). `shared` and `union` count tokens.
    """

    pair: Integers
    first: Integers
    second: Integers
    shared: Integers
    union: Integers
    start: Integers
    shape: Integers

    @property
    def jaccard(self) -> Floats:
        """Jaccard overlap |p ∩ q| / |p ∪ q|; equal fractions are equal floats."""
        return np.asarray(self.shared / self.union)


@dataclass(frozen=True, eq=False)
class Matching:
    """The candidates with their matching: `chosen`, shape (candidates,)."""

    candidates: Candidates
    chosen: NDArray[np.bool_]

    @property
    def half(self) -> NDArray[np.bool_]:
        """Matched pairs with an overlap of at least one half."""
        return self.chosen & (2 * self.candidates.shared >= self.candidates.union)

    @property
    def patterns(self) -> Integers:
        """Number of patterns of both people together, shape (pairs,)."""
        return np.asarray(self.candidates.shape.sum(axis=1))

    def summed(self, values: NDArray[Any]) -> Floats:
        """Sum of `values`, shape (candidates,), over the matched pairs; shape (pairs,)."""
        kept = np.where(self.chosen, values, 0)
        pairs = len(self.candidates.start)
        return np.bincount(self.candidates.pair, weights=kept, minlength=pairs).astype(np.float64)


def match(patterns: Patterns, pairs: Pairs) -> Matching:
    """Choose, for every pair of annotations, the matching with the largest summed overlap.

    A pattern is matched at most once, and only where the overlap is above 0.

    Notes
    -----
    Among equal optima the one is taken that holds the earliest candidate in this order, then the
    earliest of the rest, and so on: larger overlap; then, of the two patterns, the one whose
    first differing member has the better rank (the earlier pattern of the two compared first);
    then, for equal token sets only, equal categories and the categories' names, then equal flags
    for stopwords. So neither a
    pattern's number nor which of the people comes first decides. Patterns that are equal in all
    of this are interchangeable.
    """
    found = _candidates(patterns, pairs)
    chosen = np.zeros(len(found.pair), dtype=np.bool_)
    position = _positions(found, patterns, found.jaccard)
    overlap, tied = _exact(found)
    width = int(found.shape.max(initial=0)) + 1
    codes = found.shape[:, 0] * width + found.shape[:, 1]
    for code in np.unique(codes[found.shape.min(axis=1) > 0]):
        rows, columns = divmod(int(code), width)
        cells = found.start[codes == code, None] + np.arange(rows * columns)
        best = _optimal(overlap[cells], position[cells], (rows, columns), tied)
        chosen[cells[best]] = True
    return Matching(found, chosen & (found.shared > 0))


def _candidates(patterns: Patterns, pairs: Pairs) -> Candidates:
    shape = np.stack([patterns.count[pairs.first], patterns.count[pairs.second]], axis=1)
    cells = shape.prod(axis=1)
    start = np.cumsum(cells) - cells
    pair = np.repeat(np.arange(len(cells)), cells)
    row, column = np.divmod(np.arange(len(pair)) - start[pair], shape[pair, 1])
    first = patterns.first[pairs.first][pair] + row
    second = patterns.first[pairs.second][pair] + column
    both = patterns.words[first] & patterns.words[second]
    shared = np.bitwise_count(both).sum(axis=1, dtype=np.int64)
    union = patterns.size[first] + patterns.size[second] - shared
    return Candidates(pair, first, second, shared, union, start, shape)


def _exact(found: Candidates) -> tuple[Floats, float]:
    """Overlaps as multiples of a unit that they all are, and how near equal sums can be.

    The sums are then whole numbers and exact: always for lists of up to 36 tokens. For longer ones
    the unit can be too small; then overlaps are fractions, and sums closer than `TIED` are equal.
    """
    units = lcm(*np.unique(found.union).tolist())
    if units * max(int(found.shape.min(axis=1).max(initial=0)), 1) < _EXACT:
        return (found.shared * (units // np.maximum(found.union, 1))).astype(np.float64), 0.0
    return found.jaccard, TIED


def _optimal(
    overlap: Floats, order: Integers, shape: tuple[int, int], tied: float
) -> NDArray[np.bool_]:
    """The chosen cells of matrices of one shape, flattened; shape (matrices, cells)."""
    rows, columns = shape
    ways = _assignments(rows, columns)
    if ways is None:
        solved = [
            _solve(one.reshape(shape), at, tied) for one, at in zip(overlap, order, strict=True)
        ]
        return np.array(solved)
    step = max(1, _CELLS // ways.size)
    return np.concatenate(
        [
            _enumerate(overlap[begin : begin + step], order[begin : begin + step], ways, tied)
            for begin in range(0, len(overlap), step)
        ]
    )


def _positions(found: Candidates, patterns: Patterns, jaccard: Floats) -> Integers:
    """Place of each candidate in the order of `match`, 0-based within its pair of annotations."""
    if patterns.words.shape[1] == 1:
        _, content = np.unique(patterns.words[:, 0], return_inverse=True)
    else:
        _, content = np.unique(patterns.words, axis=0, return_inverse=True)
    content = content.max(initial=0) - content  # earliest ranks first
    one, other = content[found.first], content[found.second]
    width = len(content) + 1
    tokens = np.minimum(one, other) * width + np.maximum(one, other)
    one, other = patterns.category[found.first], patterns.category[found.second]
    width = int(patterns.category.max(initial=0)) + 1
    names = np.minimum(one, other) * width + np.maximum(one, other)
    categories = np.where(one == other, 0, width * width) + names
    flags = patterns.stopwords[found.first] != patterns.stopwords[found.second]
    order = np.lexsort((flags, categories, tokens, -jaccard, found.pair))
    position = np.empty(len(order), dtype=np.int64)
    position[order] = np.arange(len(order)) - found.start[found.pair]
    return position


@cache
def _assignments(rows: int, columns: int) -> Integers | None:
    """All ways to match the smaller side: cells of a flat matrix, shape (ways, smaller side).

    None where they are too many to be listed.
    """
    small, large = sorted((rows, columns))
    ways = 1
    for factor in range(large - small + 1, large + 1):
        ways *= factor
    if ways > _ENUMERATED or rows * columns > _BITS:
        return None
    chosen = np.array(list(permutations(range(large), small)), dtype=np.int64)
    own = np.arange(small)
    return own * columns + chosen if rows <= columns else chosen * columns + own


def _enumerate(overlap: Floats, order: Integers, many: Integers, tied: float) -> NDArray[np.bool_]:
    """The chosen cells of every matrix, by trying all assignments; shape (matrices, cells)."""
    total = overlap[:, many].sum(axis=2)
    optimal = total >= total.max(axis=1, keepdims=True) - tied
    # Bits, the earliest candidate the highest: the largest number holds the earliest ones.
    weight = np.where(overlap > 0, np.int64(1) << (overlap.shape[1] - 1 - order), 0)
    value = np.where(optimal, weight[:, many].sum(axis=2), -1)
    best = np.zeros(overlap.shape, dtype=np.bool_)
    np.put_along_axis(best, many[value.argmax(axis=1)], values=True, axis=1)
    return best


def _solve(overlap: Floats, order: Integers, tied: float) -> NDArray[np.bool_]:
    """The chosen cells of one large matrix: each candidate in turn stays if an optimum has it."""
    best = np.zeros(overlap.shape, dtype=np.bool_)
    rows, columns = np.arange(overlap.shape[0]), np.arange(overlap.shape[1])
    left = _largest_sum(overlap)
    for cell in np.argsort(order):
        row, column = divmod(int(cell), overlap.shape[1])
        if overlap[row, column] == 0 or row not in rows or column not in columns:
            continue
        fewer_rows, fewer_columns = rows[rows != row], columns[columns != column]
        rest = _largest_sum(overlap[np.ix_(fewer_rows, fewer_columns)])
        if overlap[row, column] + rest >= left - tied:
            best[row, column] = True
            rows, columns, left = fewer_rows, fewer_columns, rest
    return best.ravel()


def _largest_sum(overlap: Floats) -> float:
    # Imported where two people have more patterns than can be enumerated: the web process, which
    # scores training, is as a rule spared it.
    from scipy.optimize import linear_sum_assignment

    return float(overlap[linear_sum_assignment(overlap, maximize=True)].sum())
