"""Permutation test of the difference of two kinds, with exact sums.

Everything is compared in whole numbers, so that no rounding makes equal differences unequal. The
definitions are in ``docs/measures.md``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb, lcm, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotation_site.analysis.strata import Floats, Integers, Marks

PERMUTATIONS = 10_000

Numbers = NDArray[Any]
"""Whole numbers: int64, or Python's own where they could grow beyond that."""

_HELD = 1_000_000  # marks shuffled at once
_EXACT_FLOAT, _EXACT_INT = 2**53, 2**62
_BASE = 2**24  # of digits: sums of 2**29 lists are exact


def common_numerators(numerators: Integers, denominators: Integers) -> tuple[Numbers, int]:
    """Fractions with a common denominator: their numerators and the denominator.

    `numerators` have shape (lists, columns) and lie between 0 and `denominators`, shape (lists,).
    """
    common = lcm(*(int(one) for one in np.unique(denominators)))
    numbers: Numbers = numerators.astype(np.int64)
    factors: Numbers = np.array([common // int(one) for one in denominators], dtype=object)
    # A shuffled difference is up to n² times a numerator.
    if common * max(len(numerators), 1) ** 2 < _EXACT_INT:
        return numbers * factors.astype(np.int64)[:, None], common
    return numbers.astype(object) * factors[:, None], common


@dataclass(frozen=True, eq=False)
class LayerTest:
    """One layer's lists of two kinds, and their sums when kinds are shuffled.

    A **deviation** is n · S − T · n₁: n lists with the sum T, n₁ of them of the first kind with
    the sum S. It is the difference of the two means times n₁ · (n − n₁).

    Attributes
    ----------
    values
        Numerators, shape (lists, columns).
    is_first
        Shape (lists,).
    observed
        The deviation of each column, shape (columns,).
    shuffled
        The same in every shuffle, shape (permutations, columns).
    """

    values: Numbers
    is_first: Marks
    observed: Numbers
    shuffled: Numbers

    @classmethod
    def of(
        cls, values: Numbers, is_first: Marks, *, permutations: int, seed: Sequence[int]
    ) -> "LayerTest":
        """Shuffle the kinds; the same seed gives the same shuffles."""
        firsts, lists = int(is_first.sum()), len(values)
        rest = values.sum(axis=0) * firsts
        observed = lists * values[is_first].sum(axis=0) - rest
        summed = _shuffled_sums(values, is_first, permutations=permutations, seed=seed)
        return cls(values, is_first, observed, lists * summed - rest)

    @property
    def pairs(self) -> int:
        """n₁ · (n − n₁), the number of pairs of one list of each kind."""
        firsts = int(self.is_first.sum())
        return firsts * (len(self.is_first) - firsts)

    def extremes(self, column: int) -> tuple[tuple[int, int], tuple[int, int], int]:
        """The largest and the smallest deviation with their numbers of arrangements, and all
        arrangements.
        """
        values = sorted(int(value) for value in self.values[:, column])
        firsts, lists = int(self.is_first.sum()), len(values)
        rest = sum(values) * firsts
        top, bottom = values[lists - firsts :], values[:firsts]
        return (
            (lists * sum(top) - rest, _ways(values, top[0], top)),
            (lists * sum(bottom) - rest, _ways(values, bottom[-1], bottom)),
            comb(lists, firsts),
        )


def _ways(values: Sequence[int], edge: int, chosen: Sequence[int]) -> int:
    """How many choices have the sum of `chosen`, the largest or smallest; ties are at `edge`."""
    return comb(values.count(edge), chosen.count(edge))


def _shuffled_sums(
    values: Numbers, is_first: Marks, *, permutations: int, seed: Sequence[int]
) -> Numbers:
    """Sums of the values of those who are first in each shuffle, shape (permutations, columns)."""
    generator = np.random.default_rng(list(seed))
    marks = is_first.astype(np.uint8)
    digits = _digits(values)
    sums = np.zeros((permutations, values.shape[1]), dtype=values.dtype)
    step = max(1, _HELD // len(marks))
    for begin in range(0, permutations, step):
        size = min(step, permutations - begin)
        shuffled = generator.permuted(np.broadcast_to(marks, (size, len(marks))), axis=1)
        chosen = shuffled.astype(np.float64)
        for place, digit in enumerate(digits):
            part = (chosen @ digit).astype(np.int64).astype(values.dtype)
            sums[begin : begin + size] += part * _BASE**place
    return sums


def _digits(values: Numbers) -> list[Floats]:
    """Whole numbers as digits, the lowest first, each as an array of the same shape.

    Products of floats are fast, and exact as long as their sums are: there is one digit where the
    sums of the numbers themselves are, else digits of so high a base that theirs are.
    """
    if values.dtype != object and int(values.sum(axis=0).max(initial=0)) < _EXACT_FLOAT:
        return [values.astype(np.float64)]
    digits = []
    while values.any():
        digits.append((values % _BASE).astype(np.float64))
        values = values // _BASE
    return digits


@dataclass(frozen=True, eq=False)
class WeightedTest:
    """Σ over layers of weight · difference of means, compared exactly."""

    layers: Sequence[LayerTest]
    weights: Sequence[int]

    def _factors(self) -> tuple[list[int], int]:
        """Factors of each layer's deviation that make the sum whole, and the divisor that makes the
        sum the weighted mean of differences (of numerators).
        """
        pairs = zip(self.weights, self.layers, strict=True)
        parts = [Fraction(weight, one.pairs) for weight, one in pairs]
        common = lcm(*(part.denominator for part in parts))
        return [int(part * common) for part in parts], common * sum(self.weights)

    def difference(self, column: int) -> Fraction:
        """The weighted mean of the layers' differences, in units of a numerator."""
        factors, divisor = self._factors()
        observed = (int(one.observed[column]) for one in self.layers)
        return Fraction(sum(f * o for f, o in zip(factors, observed, strict=True)), divisor)

    def p(self, column: int) -> float:
        """Two-sided p = (b + 1) / (shuffles + 1); b counts shuffles at least as far from 0 as the
        observed.

        Source: Phipson and Smyth (2010), https://doi.org/10.2202/1544-6115.1585
        """
        factors, _ = self._factors()
        most = sum(
            factor * max(int(np.abs(one.shuffled[:, column]).max(initial=0)), 1)
            for factor, one in zip(factors, self.layers, strict=True)
        )
        kind = np.int64 if most < _EXACT_INT else object
        far: Numbers = np.zeros(len(self.layers[0].shuffled), dtype=kind)
        for factor, one in zip(factors, self.layers, strict=True):
            far = far + factor * one.shuffled[:, column].astype(kind)
        observed = abs(
            sum(f * int(o.observed[column]) for f, o in zip(factors, self.layers, strict=True))
        )
        return float((np.abs(far) >= observed).sum() + 1) / (len(far) + 1)

    def smallest_p(self, column: int) -> float:
        """The smallest p of any assignment of kinds to these lists."""
        factors, _ = self._factors()
        found = [one.extremes(column) for one in self.layers]
        high = sum(f * top for f, ((top, _), _, _) in zip(factors, found, strict=True))
        low = sum(f * bottom for f, (_, (bottom, _), _) in zip(factors, found, strict=True))
        every = prod(ways for _, _, ways in found)
        if high == low:
            return 1.0
        as_far = 0
        if high >= -low:
            as_far += prod(ways for (_, ways), _, _ in found)
        if -low >= high:
            as_far += prod(ways for _, (_, ways), _ in found)
        return float(Fraction(as_far, every))


def holm(p: Floats) -> Floats:
    """Adjust p-values by Holm's step-down method; same order as given.

    References
    ----------
    Holm (1979), A simple sequentially rejective multiple test procedure,
    https://www.jstor.org/stable/4615733

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, 0.03])).round(6).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(raised, 1.0)
    return adjusted
