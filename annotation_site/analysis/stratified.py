"""Stratified t intervals of means and of differences of means.

Pure functions of arrays. The definitions are in ``docs/measures.md``.

References
----------
Cochran (1977), Sampling techniques, 3rd edition, chapters 2, 5 and 5A.12 (single units).
Satterthwaite (1946), An approximate distribution of estimates of variance components,
https://doi.org/10.2307/3002019
"""

import numpy as np
from scipy.special import stdtrit

from annotation_site.analysis.strata import Floats, Integers

LEVEL = 0.95


def cut_bounds(value: float, half: float, *, least: float, most: float) -> tuple[float, float]:
    """value ± half, cut at the least and the greatest possible value; NaN if `half` is NaN.

    That takes no possible truth away, so that intervals hold it as often as before. The bounds
    hold the value itself, which rounding can carry a last digit beyond what is possible.
    """
    if np.isnan(half):
        return np.nan, np.nan
    return min(value, max(value - half, least)), max(value, min(value + half, most))


def pool_variances(values: Floats, pool: Integers) -> Floats:
    """The sample variance (divisor n − 1) within each pool, by column.

    Parameters
    ----------
    values
        One row per list, shape (lists, columns).
    pool
        Each list's pool, 0, 1, …; each has a list. Shape (lists,).

    Returns
    -------
    NDArray
        Shape (pools, columns); NaN where a pool has one list, exactly 0 where its values are equal.
    """
    order = np.argsort(pool, kind="stable")
    values, pool = values[order], pool[order]
    start = np.flatnonzero(np.append(True, np.diff(pool) > 0))[: len(pool)]
    count = np.diff(np.append(start, len(pool)))[:, None]
    mean = np.add.reduceat(values, start, axis=0) / count
    squares = np.add.reduceat((values - mean[pool]) ** 2, start, axis=0)
    equal = np.maximum.reduceat(values, start, axis=0) == np.minimum.reduceat(values, start, axis=0)
    squares[equal] = 0.0
    return np.asarray(np.where(count > 1, squares / np.maximum(count - 1, 1), np.nan))


def half_widths(variances: Floats, freedom: Integers, *, level: float = LEVEL) -> Floats:
    """Half the width of the interval of a sum of independent estimates.

    Parameters
    ----------
    variances
        The estimated variance that each part adds to the estimate, shape (parts, columns).
    freedom
        Degrees of freedom of each part's variance, shape (parts,).
    level
        Between 0 and 1.

    Returns
    -------
    NDArray
        Shape (columns,): t · √Σ variances, with Satterthwaite's degrees of freedom
        (Σ variances)² / Σ (variances² / freedom); 0 where nothing varies.
    """
    variance = variances.sum(axis=0)
    squares = (variances**2 / freedom[:, None]).sum(axis=0)
    varies = squares > 0
    degrees = variance[varies] ** 2 / squares[varies]
    half = np.zeros(len(variance))
    half[varies] = stdtrit(degrees, (1 + level) / 2) * np.sqrt(variance[varies])
    return half


def stratified_half_widths(
    values: Floats,
    stratum: Integers,
    *,
    weights: Floats,
    pools: Integers,
    population: Floats,
    level: float = LEVEL,
) -> Floats:
    """Half the width of the t interval of Σ_h W_h · (mean of stratum h).

    Parameters
    ----------
    values
        One row per list, shape (lists, columns); without the lists of strata that were taken
        whole, which add no variance.
    stratum
        Each list's stratum, 0, 1, …; each has a list. Shape (lists,).
    weights
        W_h, shape (strata,).
    pools
        Strata with the same number have one variance together, about their common mean: those
        with a single list and their neighbours (`Strata.pools`). Each pool has two lists. Shape
        (strata,).
    population
        How many vectors each stratum was drawn from without replacement, infinite where it was
        not. Shape (strata,).
    level
        Between 0 and 1.

    Returns
    -------
    NDArray
        Shape (columns,).

    Notes
    -----
    The variance is Σ over pools p of (1 − n_p/N_p) · s_p² · Σ_{h in p} W_h² / n_h, with n_p − 1
    degrees of freedom each. With W_h = n_h/n a pool adds (n_p/n)² · s_p² / n_p, as a stratum does.
    """
    size = np.bincount(stratum)
    _, pools = np.unique(pools, return_inverse=True)
    in_pool = np.bincount(pools, size)
    drawn_from = np.bincount(pools, population)
    factor = (1 - in_pool / drawn_from) * np.bincount(pools, weights**2 / size)
    variances = factor[:, None] * pool_variances(values, pools[stratum])
    return half_widths(variances, in_pool - 1, level=level)
