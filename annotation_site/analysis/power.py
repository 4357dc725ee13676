"""Precision of a planned study: widths of intervals, and the smallest difference it would detect.

Pure functions of variance components and a design, with numpy alone, so that the web process can
ask for them. The definitions are in ``docs/measures.md``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf, nan, pi, sqrt, tan
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
POWER = 0.8
STUDIES = 2_000
SEED = 2022
LISTS = (2, 3, 5, 10, 20, 30, 50)
"""Lists per layer and kind that a curve shows."""
PEOPLE = (1, 2, 3, 4, 5)
"""People per list that a curve shows."""
FEWEST_OF_ONE_LAYER = 20
FEWEST_PEOPLE = 5
"""People below which the results give no interval for people like these."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Components:
    """Variance components of coverage of one kind.

    Attributes
    ----------
    lists
        Between lists within a layer.
    disagreement
        Of people on one list; 0 where it is unknown, and then a part of `lists`.
    people
        Between people within the kind; None where it is unknown.
    """

    lists: float
    disagreement: float = 0.0
    people: float | None = None

    def of_list_means(self, *, people_per_list: int, people: int) -> float:
        """The variance of list means within a layer, of lists shared at random by fixed people.

        Examples
        --------
        >>> round(Components(0.06, 0.0025, 0.03).of_list_means(people_per_list=2, people=4), 6)
        0.06875
        """
        share = 1 - people_per_list / people
        of_people = (self.people or 0.0) * share
        return self.lists + (of_people + self.disagreement) / people_per_list


@dataclass(frozen=True)
class Plan:
    """The part of a plan that all designs of a curve share.

    Attributes
    ----------
    value
        Of the kind whose coverage is estimated.
    control
        Of the kind that it is compared with; None without one.
    people_by_kind
        Variance of what people and kinds do together; None where it is unknown.
    layers
        With lists of each kind.
    people
        Who share the lists; at least as many as annotate a list.
    population
        Vectors of a layer that the lists of the first kind are drawn from; infinite where there is
        no such number.
    """

    value: Components
    control: Components | None
    people_by_kind: float | None
    layers: int
    people: int
    population: float = inf


@dataclass(frozen=True)
class Precision:
    """Predicted precision of one design. Numbers are shares of 1; NaN where there are none.

    `half_width` is the mean half width of the 95% interval of coverage, and `detectable` the
    smallest difference that `POWER` of such studies detect. With ``_people`` they are for people
    like these; without, for the lists that these people would see.
    """

    lists_per_layer: int
    people_per_list: int
    half_width: float
    detectable: float
    half_width_people: float
    detectable_people: float


@lru_cache(maxsize=256)
def precision_curve(
    plan: Plan,
    *,
    lists_per_layer: tuple[int, ...] = LISTS,
    people_per_list: tuple[int, ...] = PEOPLE,
    studies: int = STUDIES,
    seed: int = SEED,
) -> tuple[Precision, ...]:
    r"""Predict the precision of designs by simulation.

    Parameters
    ----------
    plan
        The components and what all designs have in common.
    lists_per_layer, people_per_list
        The designs: each of the one with each of the other.
    studies, seed
        Simulated studies of each design. A design's numbers do not depend on the other designs.

    Returns
    -------
    tuple of Precision
        By lists per layer, then by people per list.

    Raises
    ------
    ValueError
        For a plan without layers or people, or a design without lists or people.

    Notes
    -----
    Assumed is that lists' means are normal, with the same variance in each layer. Then the sample
    variances of layers are independent multiples of χ², and independent of the means. Each
    simulated study draws them and has the interval of the results: stratified t with the finite
    population correction and Satterthwaite's degrees of freedom
    (`annotation_site.analysis.stratified`), before bounds are cut. A study detects a difference
    if its interval of value − random lies above 0. With half width t and estimate δ + e, that is
    δ > t − e; so the smallest δ is the quantile `POWER` of t − e over the simulated studies.

    For people like these, the variance of the mean over people is added to that of the lists:
    people/A of coverage, 2 · people_by_kind/A of a difference, estimated with A − 1 degrees of
    freedom. Where few lists leave few degrees of freedom, these can make t smaller; an interval for
    people like these is never taken as narrower than the other. The intervals of the results for
    people like these are resampled; with fewer than 20 people they are somewhat narrower.

    There is no interval with one list per layer (a variance then comes from neighbouring layers,
    which components do not know), with fewer than 20 lists of a single layer, or where all vectors
    are taken; none for people like these with fewer than 5 people.

    References
    ----------
    Cochran (1977), Sampling techniques, 3rd edition, chapter 5.
    Cohen (1988), Statistical power analysis for the behavioral sciences, chapter 2.
    """
    if plan.layers < 1 or plan.people < 1:
        raise ValueError("A plan has at least one layer and one person.")
    if min(lists_per_layer, default=0) < 1 or min(people_per_list, default=0) < 1:
        raise ValueError("A design has at least one list per layer and one person per list.")
    return tuple(
        one
        for lists in lists_per_layer
        for one in _of_lists(plan, lists, people_per_list, studies, seed)
    )


def closed_form(plan: Plan, *, lists_per_layer: int, people_per_list: int) -> tuple[float, float]:
    """Half width and smallest difference by formula, conditional on these people.

    With the expected variances in place of drawn ones: t · SE, and (t + t') · SE with t' the
    quantile `POWER`. Beside the simulation as a check.
    """
    people = max(plan.people, people_per_list)
    sizes = {"people_per_list": people_per_list, "people": people}
    cells = plan.layers * lists_per_layer
    fraction = 1 - lists_per_layer / plan.population
    parts = [fraction * plan.value.of_list_means(**sizes) / cells]
    freedom = plan.layers * (lists_per_layer - 1)
    half = _quantile(LEVEL, freedom) * sqrt(parts[0])
    if plan.control is None:
        return half, nan
    parts.append(plan.control.of_list_means(**sizes) / cells)
    degrees = sum(parts) ** 2 / sum(part**2 / freedom for part in parts)
    both = _quantile(LEVEL, degrees) + _quantile(2 * POWER - 1, degrees)
    return half, both * sqrt(sum(parts))


def _of_lists(
    plan: Plan, lists: int, people_per_list: Sequence[int], studies: int, seed: int
) -> list[Precision]:
    """Designs of one number of lists per layer, which share their draws."""
    nothing = lists == 1 or (plan.layers == 1 and lists < FEWEST_OF_ONE_LAYER)
    if nothing or lists >= plan.population:
        return [Precision(lists, people, nan, nan, nan, nan) for people in people_per_list]
    generator = np.random.default_rng([seed, lists])
    drawn = generator.chisquare(lists - 1, size=(2, studies, plan.layers)) / (lists - 1)
    draws = _Draws(
        seed=[seed, lists],
        sums=drawn.sum(axis=2),
        squares=(drawn**2).sum(axis=2) / (lists - 1),
        normal=generator.permutation(_normal_scores(studies)),
    )
    return [_one(plan, lists, people, draws) for people in people_per_list]


@dataclass(frozen=True, eq=False)
class _Draws:
    """Of each study and kind the sum over layers of s²/σ², and of its square by degrees of
    freedom; of each study a normal score; and the seed of what else is drawn.
    """

    seed: list[int]
    sums: Floats
    squares: Floats
    normal: Floats

    def of_people(self, people: int) -> Floats:
        """Of each study s²/σ² between people."""
        generator = np.random.default_rng([*self.seed, people])
        freedom = max(people - 1, 1)
        return generator.chisquare(freedom, size=len(self.normal)) / freedom


def _one(plan: Plan, lists: int, people_per_list: int, draws: _Draws) -> Precision:
    people = max(plan.people, people_per_list)
    sizes = {"people_per_list": people_per_list, "people": people}
    cells = plan.layers * lists
    fraction = 1 - lists / plan.population
    value, control = plan.value, plan.control
    first = fraction * value.of_list_means(**sizes) / cells
    # People's part of a list's mean is the same, however many vectors are left to draw.
    true = first + (1 - fraction) * (value.of_list_means(**sizes) - value.lists) / cells
    parts = [first]
    between: list[float | None] = [_shared(value.people, people)]
    if control is not None:
        second = control.of_list_means(**sizes) / cells
        parts, true = [first, second], true + second
        by_kind = _shared(plan.people_by_kind, people)
        between.append(None if by_kind is None else 2 * by_kind)
    chance = draws.of_people(people)
    half = _half_widths(draws, parts[:1], plan.layers, None, people, chance)
    like = _half_widths(draws, parts[:1], plan.layers, between[0], people, chance)
    detectable = detectable_people = nan
    if control is not None:
        narrow = _half_widths(draws, parts, plan.layers, None, people, chance)
        detectable = _smallest(narrow, true, draws.normal)
        wide = _half_widths(draws, parts, plan.layers, between[1], people, chance)
        wide = np.maximum(narrow, wide)
        detectable_people = _smallest(wide, true + (between[1] or 0.0), draws.normal)
    few = people < FEWEST_PEOPLE
    return Precision(
        lists_per_layer=lists,
        people_per_list=people_per_list,
        half_width=float(half.mean()),
        detectable=detectable,
        half_width_people=nan
        if few or between[0] is None
        else float(np.maximum(half, like).mean()),
        detectable_people=nan if few or between[-1] is None else detectable_people,
    )


def _shared(variance: float | None, people: int) -> float | None:
    """The variance of a mean over people; None where it is unknown."""
    return None if variance is None else variance / people


def _half_widths(
    draws: _Draws,
    parts: Sequence[float],
    layers: int,
    between: float | None,
    people: int,
    chance: Floats,
) -> Floats:
    """Half the width of each study's interval: stratified t, with a part for people if there is
    one.

    `parts` are the expected variances that the kinds add to the estimate.
    """
    scale = np.array(parts)[:, None] / layers
    variance = (scale * draws.sums[: len(parts)]).sum(axis=0)
    squares = (scale**2 * draws.squares[: len(parts)]).sum(axis=0)
    if between:
        drawn = between * chance
        variance, squares = variance + drawn, squares + drawn**2 / (people - 1)
    varies = squares > 0
    half = np.zeros(len(variance))
    degrees = variance[varies] ** 2 / squares[varies]
    half[varies] = t_quantiles(degrees) * np.sqrt(variance[varies])
    return half


def _smallest(half: Floats, variance: float, normal: Floats) -> float:
    return float(np.quantile(half - sqrt(variance) * normal, POWER))


@lru_cache(maxsize=4)
def _normal_scores(size: int) -> Floats:
    """Equally likely values of a standard normal variable, in order."""
    normal = NormalDist()
    return np.array([normal.inv_cdf((one + 0.5) / size) for one in range(size)])


def t_quantiles(degrees: Floats, *, level: float = LEVEL) -> Floats:
    """Two-sided quantiles of Student's t: |t| is larger with probability 1 − level.

    Parameters
    ----------
    degrees
        Degrees of freedom, at least 1; not only whole numbers.
    level
        Between 0.5 and 1.

    Returns
    -------
    NDArray
        The shape of `degrees`; within 0.2% from 2 degrees of freedom on, and within 3% below.

    Notes
    -----
    Hill (1970), Algorithm 396: Student's t-quantiles, Communications of the ACM 13,
    https://doi.org/10.1145/355598.355600. Below 2 degrees of freedom, where it is not meant to be
    used, log t is linear in 1/degrees between the exact values at 1 and 2. SciPy has an exact
    function, but the web process does without SciPy.
    """
    outside = 1 - level
    freedom = np.maximum(degrees, 2.0)
    normal = NormalDist().inv_cdf(outside / 2)
    a = 1 / (freedom - 0.5)
    b = 48 / a**2
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * np.sqrt(a * np.pi / 2) * freedom
    y = (d * outside) ** (2 / freedom)
    middle, tail = _about_normal(freedom, normal, a, b, c, d), _about_tail(freedom, y, d)
    found = np.sqrt(freedom * np.where(y > 0.05 + a, middle, tail))
    one, two = tan(pi * level / 2), level * sqrt(2 / (1 - level**2))
    below = two * (one / two) ** (2 / np.minimum(degrees, 2.0) - 1)
    return np.asarray(np.where(degrees <= 2, below, found))


def _about_normal(
    freedom: Floats, normal: float, a: Floats, b: Floats, c: Floats, d: Floats
) -> Floats:
    """t²/degrees by Hill's expansion about the normal quantile."""
    c = c + np.where(freedom < 5, 0.3 * (freedom - 4.5) * (normal + 0.6), 0.0)
    c = (((0.05 * d * normal - 5) * normal - 7) * normal - 2) * normal + b + c
    polynomial = ((0.4 * normal**2 + 6.3) * normal**2 + 36) * normal**2 + 94.5
    return np.asarray(np.expm1(a * (((polynomial / c - normal**2 - 3) / b + 1) * normal) ** 2))


def _about_tail(freedom: Floats, y: Floats, d: Floats) -> Floats:
    """t²/degrees by Hill's expansion about the tail."""
    inner = 1 / (((freedom + 6) / (freedom * y) - 0.089 * d - 0.822) * (freedom + 2) * 3)
    inner = (inner + 0.5 / (freedom + 4)) * y - 1
    return np.asarray(inner * (freedom + 1) / (freedom + 2) + 1 / y)


def _quantile(level: float, degrees: float) -> float:
    return float(t_quantiles(np.array([degrees]), level=level)[0])
