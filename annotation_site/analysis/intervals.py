"""Percentile intervals from resamples, for values without a variance formula, such as agreement.

The definitions are in ``docs/measures.md``. All intervals are conditional on the annotators. Those
of means and of their differences stand in `annotation_site.analysis.stratified`.

References
----------
Rao and Wu (1988), Resampling inference with complex survey data,
https://doi.org/10.1080/01621459.1988.10478591
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from annotation_site.analysis.strata import Floats, Integers, Marks
from annotation_site.analysis.stratified import LEVEL

RESAMPLES = 10_000
SEED = 2022

_FEW = 50  # lists of a stratum whose draws are kept
_ROUNDING = 1e-12  # a bound this near its value is the value: sums in another order differ by less


@dataclass(frozen=True)
class Interval:
    """A percentile interval with its warnings.

    `low` and `high` are NaN where there is none. `undefined` counts resamples without a value.
    """

    low: float
    high: float
    resamples: int
    undefined: int

    def warnings(self) -> list[str]:
        """Sentences of warning about the interval."""
        if self.undefined == self.resamples:
            return ["no interval: undefined in every resample"]
        said = []
        if self.undefined:
            said.append(
                f"undefined in {self.undefined:,} of {self.resamples:,} resamples, which the "
                "interval leaves out"
            )
        if self.low == self.high:
            said.append("every resample gives the same, so that the interval has no width")
        return said


def percentile_interval(values: Floats, *, value: float, level: float = LEVEL) -> Interval:
    """Interval that holds the middle `level` of resampled values.

    Parameters
    ----------
    values
        One per resample, NaN where the number is undefined; these are counted and not used.
    value
        The number itself.
    level
        Between 0 and 1.
    """
    defined = values[~np.isnan(values)]
    undefined = len(values) - len(defined)
    if not len(defined):
        return Interval(np.nan, np.nan, len(values), undefined)
    low, high = (
        value if abs(bound - value) <= _ROUNDING * max(1.0, abs(value)) else float(bound)
        for bound in np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    )
    return Interval(low, high, len(values), undefined)


def rows_of(strata: Integers) -> list[Integers]:
    """The rows of each stratum, 0, 1, …"""
    return [np.flatnonzero(strata == one) for one in range(int(strata.max(initial=-1)) + 1)]


def stratum_sums(parts: Sequence[Floats], weights: Sequence[Floats]) -> Floats:
    """Weighted sums of each stratum's rows, shape (strata, block, columns)."""
    return np.stack([weight @ part for weight, part in zip(weights, parts, strict=True)])


def drawn_weights(
    rows: Sequence[Integers],
    *,
    resamples: int,
    seed: int,
    block: int,
    fixed: Marks | None = None,
) -> Iterator[list[Floats]]:
    """The weight of each list, one block of resamples after another.

    The rescaled bootstrap: a resample of n lists is n − 1 draws with replacement, each of weight
    n / (n − 1), so that the variance of a sum is that of the sample with divisor n − 1 (n draws
    of n would give (n − 1)/n of it). A resample is known by how often each list was drawn; sums
    are products of these weights with the rows, and nothing is computed twice.

    `rows` are the lists of each stratum, see `rows_of`; a block has an array per stratum, shape
    (resamples of the block, lists). The same seed gives the same draws, however large blocks are.
    In strata that are `fixed` or have a single list every weight is 1. Nothing comes where there
    is no stratum.
    """
    still = np.zeros(len(rows), dtype=np.bool_) if fixed is None else fixed
    of_strata = [
        _ones(len(lists), resamples, block)
        if stays or len(lists) == 1
        else _weights(seed, stratum, len(lists), resamples, block)
        for stratum, (lists, stays) in enumerate(zip(rows, still, strict=True))
    ]
    return map(list, zip(*of_strata, strict=True))


def _ones(lists: int, resamples: int, block: int) -> Iterator[Floats]:
    for begin in range(0, resamples, block):
        yield np.ones((min(block, resamples - begin), lists))


def _weights(seed: int, stratum: int, lists: int, resamples: int, block: int) -> Iterator[Floats]:
    """The weight of each list of a stratum, block by block, shape (resamples, lists)."""
    factor = lists / (lists - 1)
    if lists <= _FEW:
        kept = _kept_counts(seed, stratum, lists, resamples)
        for begin in range(0, resamples, block):
            yield np.asarray(kept[begin : begin + block] * factor, dtype=np.float64)
        return
    generator = np.random.default_rng([seed, stratum])
    for begin in range(0, resamples, block):
        counts = _counts(generator, lists, min(block, resamples - begin))
        yield np.asarray(counts * factor, dtype=np.float64)


@lru_cache(maxsize=64)  # 32 MB at most: the tables of a study, and of its filters, draw the same
def _kept_counts(seed: int, stratum: int, lists: int, resamples: int) -> NDArray[np.uint8]:
    drawn = _counts(np.random.default_rng([seed, stratum]), lists, resamples).astype(np.uint8)
    drawn.flags.writeable = False
    return drawn


def _counts(generator: np.random.Generator, lists: int, size: int) -> Integers:
    """How often each list was drawn in each of `size` resamples, shape (size, lists)."""
    drawn = generator.integers(0, lists, size=(size, lists - 1))
    drawn += lists * np.arange(size)[:, None]
    return np.bincount(drawn.ravel(), minlength=size * lists).reshape(size, lists)
