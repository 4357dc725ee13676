"""Means and differences of means from sums by stratum, for many settings and subsets of lists.

`annotation_site.analysis.means` and `annotation_site.analysis.comparisons` compute the same values
and intervals from the lists themselves. Here lists are added and taken away without a second pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from annotation_site.analysis.strata import (
    AWAY_FROM_BOUND,
    NO_SPREAD,
    WHOLE_RANGE,
    Floats,
    Integers,
    Marks,
    Strata,
    joined,
)
from annotation_site.analysis.stratified import cut_bounds, half_widths

_EQUAL = 1e-12  # squared deviations below it are rounding: shares of tokens differ by far more


@dataclass(frozen=True, eq=False)
class StratumSums:
    """Sums of the lists' values in each stratum, about a fixed center.

    Attributes
    ----------
    center
        Shape (strata, columns). Sums about the mean of all lists lose no digits.
    count
        Lists, shape (strata,).
    first, second
        Σ (value − center) and Σ (value − center)², shape (strata, columns).
    above, below
        Lists with a value above 0 and below 1, shape (strata, columns).
    """

    center: Floats
    count: Integers
    first: Floats
    second: Floats
    above: Integers
    below: Integers

    @classmethod
    def of(cls, values: Floats, stratum: Integers, center: Floats) -> "StratumSums":
        """Sum lists, shape (lists, columns), by `stratum`, shape (lists,)."""
        away = values - center[stratum]
        strata = len(center)
        return cls(
            center=center,
            count=np.bincount(stratum, minlength=strata),
            first=_by_stratum(away, stratum, strata),
            second=_by_stratum(away**2, stratum, strata),
            above=np.rint(_by_stratum(values > 0, stratum, strata)).astype(np.int64),
            below=np.rint(_by_stratum(values < 1, stratum, strata)).astype(np.int64),
        )

    def changed(self, gone: "StratumSums", come: "StratumSums") -> "StratumSums":
        """The sums without some lists, and with others."""
        names = ("count", "first", "second", "above", "below")
        return replace(
            self,
            **{n: getattr(self, n) - getattr(gone, n) + getattr(come, n) for n in names},
        )

    def taking(self, rows: Marks) -> "StratumSums":
        """The sums of some strata."""
        names = ("center", "count", "first", "second", "above", "below")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def columns(self, chosen: Sequence[int]) -> "StratumSums":
        """The sums of some columns."""
        names = ("center", "first", "second", "above", "below")
        return replace(self, **{name: getattr(self, name)[:, list(chosen)] for name in names})

    @property
    def mean(self) -> Floats:
        """Shape (strata, columns); every stratum has a list."""
        return np.asarray(self.center + self.first / self.count[:, None])

    @property
    def squares(self) -> Floats:
        """Squared deviations from the stratum's mean, shape (strata, columns)."""
        squares = self.second - self.first**2 / self.count[:, None]
        return np.where(squares < _EQUAL, 0.0, squares)


def _by_stratum(values: Floats | Marks, stratum: Integers, strata: int) -> Floats:
    columns = [np.bincount(stratum, column, strata) for column in values.T]
    return np.stack(columns, axis=1) if columns else np.zeros((strata, 0))


@dataclass(frozen=True, eq=False)
class Estimate:
    """Σ W_h · (mean of stratum h), by column, with the parts of its variance.

    Attributes
    ----------
    value
        Shape (columns,).
    variances, freedom
        What each part of the sample adds to the variance, shape (parts, columns), and the degrees
        of freedom of each, shape (parts,). No part where no list is drawn.
    reasons
        Why a column has no interval; "" where it has one.
    warnings
        Of all columns.
    """

    value: Floats
    variances: Floats
    freedom: Integers
    reasons: list[str]
    warnings: list[str]

    def bounds(self, *, least: float = 0.0, most: float = 1.0) -> tuple[Floats, list[str]]:
        """Low and high of each column, shape (columns, 2), NaN without an interval; and remarks."""
        found = np.full((len(self.reasons), 2), np.nan)
        if all(self.reasons):
            return found, [joined([one, *self.warnings]) for one in self.reasons]
        half = half_widths(self.variances, self.freedom)
        said = []
        for column, reason in enumerate(self.reasons):
            if reason:
                said.append(joined([reason, *self.warnings]))
                continue
            value, width = float(self.value[column]), float(half[column])
            found[column] = cut_bounds(value, width, least=least, most=most)
            whole = tuple(found[column]) == (least, most) and width > 0
            notes = [WHOLE_RANGE if whole else "", NO_SPREAD if width == 0 else ""]
            said.append(joined([*notes, *self.warnings]))
        return found, said


def weighted_means(sums: StratumSums, strata: Strata, weights: Floats) -> Estimate:
    """The estimate Σ W_h · (mean of stratum h), with the variance between lists.

    Parameters
    ----------
    sums
        Of the strata.
    strata
        With the same lists; each has one.
    weights
        W_h, shape (strata,): n_h / n for a mean over lists; for a difference those of the second
        group are negative.

    Notes
    -----
    The variance is that of `annotation_site.analysis.stratified.stratified_half_widths`.
    """
    columns = sums.center.shape[1]
    value = weights @ sums.mean
    reason, warnings = _judged(strata)
    varying = ~strata.whole
    if strata.chosen.any() or not varying.any():
        nothing = np.zeros((0, columns)), np.zeros(0, dtype=np.int64)
        return Estimate(value, *nothing, [reason] * columns, [])
    of_pools = _variances(sums.taking(varying), strata.taking(varying), weights[varying])
    reasons = [reason] * columns
    if not reason:
        reasons = _too_near(sums, strata, varying)
    return Estimate(value, *of_pools, reasons, [] if reason else warnings)


def _variances(sums: StratumSums, strata: Strata, weights: Floats) -> tuple[Floats, Integers]:
    """The part of the variance from each pool, and its degrees of freedom."""
    _, pools = np.unique(strata.pools, return_inverse=True)
    size = np.bincount(pools, sums.count)
    count = int(pools.max()) + 1
    middle = _by_stratum(sums.mean * sums.count[:, None], pools, count) / size[:, None]
    apart = sums.count[:, None] * (sums.mean - middle[pools]) ** 2
    squares = _by_stratum(sums.squares + apart, pools, count)
    squares = np.where(squares < _EQUAL, 0.0, squares)
    factor = 1 - size / np.bincount(pools, strata.population)
    factor = factor * np.bincount(pools, weights**2 / sums.count)
    freedom = size.astype(np.int64) - 1
    return factor[:, None] * squares / np.maximum(freedom, 1)[:, None], freedom


def _judged(strata: Strata) -> tuple[str, list[str]]:
    """Why there is no interval, else the warnings: what the mean of either group would say."""
    everything = np.ones(len(strata), dtype=np.bool_)
    if strata.whole.all() or strata.chosen.any():
        return strata.judged(everything)
    said: list[str] = []
    for group in np.unique(strata.group):
        rows = strata.group == group
        if strata.whole[rows].all():
            continue  # the other group alone varies
        reason, warnings = strata.judged(rows)
        if reason:
            return reason, []
        said += warnings
    return "", said


def _too_near(sums: StratumSums, strata: Strata, varying: Marks) -> list[str]:
    """By column the reason if the lists of one layer are too near a bound for an interval."""
    reasons = [""] * sums.center.shape[1]
    for group in np.unique(strata.group):
        rows = varying & (strata.group == group)
        if len(np.unique(strata.layer[rows])) != 1:
            continue
        for column, reason in enumerate(reasons):
            for what, counted in (("above 0", sums.above), ("below 1", sums.below)):
                if not reason and counted[rows, column].sum() < AWAY_FROM_BOUND:
                    few = f"no interval: fewer than {AWAY_FROM_BOUND} lists of one layer are {what}"
                    reasons[column] = reason = few
    return reasons
