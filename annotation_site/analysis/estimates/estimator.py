"""Means over a whole population, estimated from a stratified sample and a proxy known of all of it.

Pure functions of arrays. docs/estimates.md derives them and works a case by hand; the tables are in
`annotation_site.analysis.estimates.tables`.

References
----------
Cassel, Särndal and Wretman (1976), Some results on generalized difference estimation and
generalized regression estimation for finite populations, https://doi.org/10.1093/biomet/63.3.615
Angelopoulos, Duchi and Zrnic (2023), PPI++: Efficient prediction-powered inference,
https://arxiv.org/abs/2311.01453
Cochran (1977), Sampling techniques, 3rd edition, chapters 5, 5A and 7.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import ndtri, stdtrit

from annotation_site.analysis.strata import Floats, Integers, Marks
from annotation_site.analysis.stratified import LEVEL, pool_variances


@dataclass(frozen=True, eq=False)
class Sample:
    """A stratified sample of lists, drawn without replacement.

    Attributes
    ----------
    values
        A row per list and a column per measure, shape (lists, columns).
    stratum
        Each list's stratum, 0, 1, …; each stratum has a list. Shape (lists,).
    weights
        W_h, the share of the population that each stratum has. Shape (strata,).
    population
        N_h, how many vectors each stratum has; infinite where there is no such number. Shape
        (strata,).
    pools
        Strata with the same number have one variance together, about their common mean
        (`Strata.pools`). Shape (strata,).
    """

    values: Floats
    stratum: Integers
    weights: Floats
    population: Floats
    pools: Integers

    @cached_property
    def size(self) -> Integers:
        """n_h, shape (strata,)."""
        return np.bincount(self.stratum, minlength=len(self.weights))

    @cached_property
    def pool(self) -> Integers:
        """The number of each stratum's pool among those that are there, 0, 1, …"""
        return np.unique(self.pools, return_inverse=True)[1]

    @cached_property
    def of_lists(self) -> Integers:
        """Each list's pool, shape (lists,)."""
        return self.pool[self.stratum]

    @cached_property
    def in_pool(self) -> Integers:
        """How many lists each pool has, shape (pools,)."""
        return np.bincount(self.pool, self.size).astype(np.int64)

    @cached_property
    def taken(self) -> Floats:
        """The share of its vectors that each pool has lists of, shape (pools,)."""
        return np.divide(self.in_pool, np.bincount(self.pool, self.population))

    @cached_property
    def squared(self) -> Floats:
        """Σ W_h² / n_h of each pool, shape (pools,)."""
        return np.bincount(self.pool, self.weights**2 / self.size).astype(np.float64)

    @cached_property
    def varies(self) -> Marks:
        """Pools that were not taken whole, shape (pools,)."""
        return np.asarray(self.taken < 1)

    @cached_property
    def freedom(self) -> int:
        """n − H over the pools that vary."""
        return int((self.in_pool - 1)[self.varies].sum())

    def means(self, values: Floats) -> Floats:
        """The mean of each stratum by column, shape (strata, columns)."""
        return stratum_means(values, self.stratum, self.size)


@dataclass(frozen=True, eq=False)
class Census:
    """A proxy that is known of every vector: its mean in each stratum, shape (strata, columns)."""

    mean: Floats


@dataclass(frozen=True, eq=False)
class IndependentSample:
    """A proxy that is known of another sample, which is independent of the judged lists.

    This is the setting of prediction-powered inference, whose conventions it follows: variances
    with divisor n, the coefficient clipped to 0 to 1, normal quantiles.

    Attributes
    ----------
    values
        The other sample's proxies, shape (others, columns).
    stratum
        The stratum of each, shape (others,).
    """

    values: Floats
    stratum: Integers


@dataclass(frozen=True, eq=False)
class Estimate:
    """Estimates of some means; arrays have an entry per measure.

    Attributes
    ----------
    value, variance
        The estimate, and its estimated variance.
    coefficient
        λ; NaN where there is no proxy, or where it does not vary within strata.
    correlation
        Of proxy and values within strata, with the weights of λ, so that the square is the share
        of the sampling variance that the best λ takes away. NaN where either does not vary.
    freedom
        Degrees of freedom of the variance; infinite for normal quantiles. Below 1 there is no
        variance.
    """

    value: Floats
    variance: Floats
    coefficient: Floats
    correlation: Floats
    freedom: float

    def half_widths(self, *, level: float = LEVEL) -> Floats:
        """Half the width of each interval; NaN where there is no variance."""
        if np.isinf(self.freedom):
            quantile = float(ndtri((1 + level) / 2))
        else:
            quantile = float(stdtrit(self.freedom, (1 + level) / 2)) if self.freedom > 0 else np.nan
        return np.asarray(quantile * np.sqrt(self.variance))


def classical_estimate(sample: Sample, *, disagreement: Floats | None = None) -> Estimate:
    r"""Estimate means of the population from the sample alone.

    Parameters
    ----------
    sample
        The judged lists.
    disagreement
        As for `difference_estimate`.

    Returns
    -------
    Estimate
        Σ_h W_h · (mean of the stratum), with variance
        Σ_h W_h² (1 − n_h/N_h) s²_y,h / n_h and n − H degrees of freedom.
    """
    value = sample.weights @ sample.means(sample.values)
    spread = ((1 - sample.taken) * sample.squared) @ _spread(sample, sample.values)
    nothing = np.full(value.shape, np.nan)
    return Estimate(
        value,
        spread + _disagreeing(sample, disagreement),
        nothing,
        nothing,
        sample.freedom,
    )


def difference_estimate(
    sample: Sample,
    proxy: Floats,
    known: Census | IndependentSample,
    *,
    disagreement: Floats | None = None,
) -> Estimate:
    r"""Estimate means of the population from the sample and a proxy that is known beyond it.

    Parameters
    ----------
    sample
        The judged lists.
    proxy
        The proxy of each list, shape (lists, 1) for all measures, or (lists, columns).
    known
        The proxy's means over the population, or its values in an independent sample.
    disagreement
        The part of each stratum's variance that is disagreement of a list's people, by measure,
        shape (strata, columns). None leaves nothing out of the finite population correction.

    Returns
    -------
    Estimate

    Notes
    -----
    With the proxy f, judged values y, and a census of f::

        θ = Σ_h W_h · (mean of λf over the stratum + mean of (y − λf) over its sample)
        λ = Σ_h w_h s_yf,h / Σ_h w_h s²_f,h,    w_h = W_h² (1 − n_h/N_h) / n_h
        V = Σ_h w_h s²_(y−λf),h · (n − H) / (n − H − 1)

    One λ serves all strata and is not clipped; a t interval has n − H − 1 degrees of freedom.
    Strata that share a pool have one variance together, and H counts pools. Pools that were taken
    whole have w_h = 0 and are not in n and H. The disagreement d_h of people is no sampling of
    vectors, so that the correction is left off it: V has Σ_h W_h² (n_h/N_h) d_h / n_h more.

    With an independent sample of M_h proxies in each stratum, and variances of divisor n::

        λ = Σ_h W_h² s_yf,h / n_h / Σ_h W_h² (1/n_h + 1/M_h) s²_f,h,    clipped to 0 to 1
        V = Σ_h W_h² (s²_(y−λf),h / n_h + λ² s²_f,h / M_h)

    where s²_f,h is, in λ, that of both samples together (divisor n − 1), and in V that of the
    independent one.
    """
    if isinstance(known, IndependentSample):
        return _with_independent(sample, proxy, known)
    weight = (1 - sample.taken) * sample.squared
    shared = weight @ _varying(sample, pool_covariances(sample.values, proxy, sample.of_lists))
    of_proxy, of_values = (weight @ _spread(sample, one) for one in (proxy, sample.values))
    with np.errstate(divide="ignore", invalid="ignore"):
        coefficient = np.where(of_proxy > 0, shared / of_proxy, np.nan)
        correlation = np.where(
            (of_proxy > 0) & (of_values > 0), shared / np.sqrt(of_proxy * of_values), np.nan
        )
    used = np.nan_to_num(coefficient)
    residual = sample.values - used * proxy
    value = sample.weights @ (used * known.mean + sample.means(residual))
    freedom = sample.freedom - 1
    spread = weight @ _spread(sample, residual)
    spread = spread * (sample.freedom / freedom) if freedom > 0 else np.full(spread.shape, np.nan)
    variance = spread + _disagreeing(sample, disagreement)
    return Estimate(value, variance, coefficient, np.clip(correlation, -1, 1), freedom)


def _with_independent(sample: Sample, proxy: Floats, known: IndependentSample) -> Estimate:
    others = known.values
    count = np.bincount(known.stratum, minlength=len(sample.weights))
    of_others = sample.pool[known.stratum]
    in_others = np.bincount(of_others)
    size = sample.in_pool
    divided = ((size - 1) / size)[:, None]
    shared = sample.squared @ (pool_covariances(sample.values, proxy, sample.of_lists) * divided)
    together = pool_variances(
        np.concatenate([proxy, others]), np.concatenate([sample.of_lists, of_others])
    )
    beyond = np.bincount(sample.pool, sample.weights**2 / count)
    coefficient = np.clip(shared / ((sample.squared + beyond) @ together), 0, 1)
    residual = sample.values - coefficient * proxy
    mean = stratum_means(others, known.stratum, count)
    value = sample.weights @ (coefficient * mean + sample.means(residual))
    variance = sample.squared @ (pool_variances(residual, sample.of_lists) * divided)
    of_proxy = pool_variances(others, of_others) * ((in_others - 1) / in_others)[:, None]
    variance = variance + coefficient**2 * (beyond @ of_proxy)
    spread = sample.squared @ (pool_variances(sample.values, sample.of_lists) * divided)
    own = sample.squared @ (pool_variances(proxy, sample.of_lists) * divided)
    return Estimate(value, variance, coefficient, shared / np.sqrt(spread * own), np.inf)


def stratum_means(values: Floats, stratum: Integers, size: Integers) -> Floats:
    """The mean of each stratum by column, shape (strata, columns)."""
    sums = np.zeros((len(size), values.shape[1]))
    np.add.at(sums, stratum, values)
    return np.asarray(sums / size[:, None])


def pool_covariances(first: Floats, second: Floats, pool: Integers) -> Floats:
    """The sample covariance (divisor n − 1) within each pool, by column.

    Parameters
    ----------
    first, second
        One row per list, shape (lists, columns); one of them may have a single column.
    pool
        Each list's pool, 0, 1, …; each has a list. Shape (lists,).

    Returns
    -------
    NDArray
        Shape (pools, columns); NaN where a pool has one list.
    """
    size = np.bincount(pool)
    away = [one - stratum_means(one, pool, size)[pool] for one in (first, second)]
    sums = np.zeros((len(size), max(first.shape[1], second.shape[1])))
    np.add.at(sums, pool, away[0] * away[1])
    return np.asarray(np.where(size[:, None] > 1, sums / np.maximum(size - 1, 1)[:, None], np.nan))


def _spread(sample: Sample, values: Floats) -> Floats:
    """Variances within pools, 0 in those that were taken whole."""
    return _varying(sample, pool_variances(values, sample.of_lists))


def _varying(sample: Sample, found: Floats) -> Floats:
    """Numbers of pools, with 0 for those that were taken whole, which may have one list alone."""
    return np.where(sample.varies[:, None], found, 0.0)


def _disagreeing(sample: Sample, disagreement: Floats | None) -> Floats:
    """Σ_h W_h² (n_h/N_h) d_h / n_h, by measure."""
    if disagreement is None:
        return np.zeros(sample.values.shape[1])
    weights = sample.weights**2 * sample.taken[sample.pool] / sample.size
    return np.asarray(weights @ disagreement)
