"""The estimator, against a second implementation that is written out, and against ppi-python."""

import json
from math import inf, sqrt
from pathlib import Path
from time import process_time

import numpy as np
import pytest
from scipy import stats

from annotation_site.analysis.estimates.estimator import (
    Census,
    IndependentSample,
    Sample,
    classical_estimate,
    difference_estimate,
)
from fixtures.ppi_python import drawn

PPI = json.loads((Path(__file__).parents[3] / "fixtures/ppi_python.json").read_text())


def literal(strata, *, fit=True):
    """METHOD's formulas, list by list: strata of (N, census mean, [(y, f), …], disagreement).

    Gives the estimate, λ, its variance and degrees of freedom.
    """
    total = sum(size for size, *_ in strata)
    lists = sum(len(rows) for _, _, rows, _ in strata)

    def covariance(pairs):
        means = [sum(one) / len(pairs) for one in zip(*pairs, strict=True)]
        return sum((a - means[0]) * (b - means[1]) for a, b in pairs) / (len(pairs) - 1)

    above = below = 0.0
    for size, _, rows, _ in strata:
        w = (size / total) ** 2 * (1 - len(rows) / size) / len(rows)
        above += w * covariance(rows)
        below += w * covariance([(f, f) for _, f in rows])
    lam = above / below if fit else 0.0
    value = variance = 0.0
    freedom = lists - len(strata) - fit
    for size, mean, rows, disagreement in strata:
        left = [y - lam * f for y, f in rows]
        share, n = size / total, len(rows)
        value += share * (lam * mean + sum(left) / n)
        own = covariance([(one, one) for one in left])
        grown = (lists - len(strata)) / freedom
        variance += share**2 * (1 - n / size) * own / n * grown
        variance += share**2 * (n / size) * disagreement / n
    return value, lam, variance, freedom


def strata_of(seed, sizes=((3, 40), (5, 10), (4, 300))):
    generator = np.random.default_rng(seed)
    return [
        (
            size,
            float(generator.normal()),
            [(y, 2 * y + float(generator.normal())) for y in generator.random(n).tolist()],
            float(generator.random() / 20),
        )
        for n, size in sizes
    ]


def sample_of(strata):
    """The same as arrays: the sample, the proxy, the census and the disagreement."""
    sizes = np.array([size for size, *_ in strata], dtype=float)
    rows = np.array([row for _, _, rows, _ in strata for row in rows])
    stratum = np.repeat(np.arange(len(strata)), [len(rows) for _, _, rows, _ in strata])
    sample = Sample(rows[:, :1], stratum, sizes / sizes.sum(), sizes, np.arange(len(strata)))
    means = np.array([[mean] for _, mean, *_ in strata])
    return sample, rows[:, 1:], Census(means), np.array([[d] for *_, d in strata])


@pytest.mark.parametrize("seed", range(5))
def test_the_estimate_is_that_of_the_formulas_written_out(seed):
    strata = strata_of(seed)
    sample, proxy, census, disagreement = sample_of(strata)
    found = difference_estimate(sample, proxy, census, disagreement=disagreement)
    expected = literal(strata)
    got = (found.value[0], found.coefficient[0], found.variance[0], found.freedom)
    assert got == pytest.approx(expected, rel=1e-12)
    half = stats.t.ppf(0.975, expected[3]) * sqrt(expected[2])
    assert found.half_widths()[0] == pytest.approx(half, rel=1e-12)
    classical = classical_estimate(sample, disagreement=disagreement)
    value, _, variance, freedom = literal(strata, fit=False)
    assert (classical.value[0], classical.variance[0]) == pytest.approx((value, variance))
    assert classical.freedom == freedom == 9


def test_measures_are_estimated_together_as_each_alone():
    sample, proxy, census, _ = sample_of(strata_of(3))
    several = np.hstack([sample.values, 1 - sample.values, sample.values**2])
    together = Sample(several, sample.stratum, sample.weights, sample.population, sample.pools)
    found = difference_estimate(together, proxy, census)
    for column in range(3):
        alone = Sample(
            several[:, [column]], sample.stratum, sample.weights, sample.population, sample.pools
        )
        one = difference_estimate(alone, proxy, census)
        assert found.value[column] == pytest.approx(one.value[0])
        assert found.variance[column] == pytest.approx(one.variance[0])
    assert found.value[0] + found.value[1] == pytest.approx(1)
    assert found.coefficient[1] == pytest.approx(-found.coefficient[0])
    assert found.correlation[1] == pytest.approx(-found.correlation[0])


def test_the_scale_and_the_zero_of_a_proxy_change_nothing():
    sample, proxy, census, _ = sample_of(strata_of(4))
    found = difference_estimate(sample, proxy, census)
    moved = difference_estimate(sample, 7 - 100 * proxy, Census(7 - 100 * census.mean))
    assert moved.value == pytest.approx(found.value)
    assert moved.variance == pytest.approx(found.variance)
    assert moved.coefficient * -100 == pytest.approx(found.coefficient)
    assert moved.correlation == pytest.approx(-found.correlation)


def test_the_square_of_the_correlation_is_what_a_proxy_takes_away():
    sample, proxy, census, _ = sample_of(strata_of(1))
    found, classical = difference_estimate(sample, proxy, census), classical_estimate(sample)
    left = (1 - found.correlation**2) * sample.freedom / found.freedom
    assert found.variance / classical.variance == pytest.approx(left)


def test_a_proxy_that_is_the_outcome_gives_its_census():
    sample, _, census, _ = sample_of(strata_of(2))
    found = difference_estimate(sample, sample.values, census)
    assert found.coefficient == pytest.approx(1)
    assert found.value == pytest.approx(sample.weights @ census.mean)
    assert found.variance == pytest.approx(0, abs=1e-30)


def test_a_stratum_taken_whole_has_the_variance_of_its_people_alone():
    strata = strata_of(6)
    _, _, rows, disagreement = strata[1]
    # The census of a layer that was taken whole is the mean of its own lists.
    strata[1] = (len(rows), float(np.mean([f for _, f in rows])), rows, disagreement)
    sample, proxy, census, disagreements = sample_of(strata)
    found = difference_estimate(sample, proxy, census, disagreement=disagreements)
    assert found.freedom == 3 + 4 - 2 - 1  # neither its lists nor itself are counted
    without = disagreements * [[1], [0], [1]]
    people = (sample.weights[1] ** 2) * disagreement / len(rows)
    fewer = difference_estimate(sample, proxy, census, disagreement=without)
    assert found.variance - fewer.variance == pytest.approx(people)
    others = np.flatnonzero(sample.stratum != 1)
    halves = Sample(
        sample.values[others], sample.stratum[others] // 2, sample.weights[[0, 2]],
        sample.population[[0, 2]], np.arange(2),
    )  # fmt: skip
    left = difference_estimate(
        halves, proxy[others], Census(census.mean[[0, 2]]), disagreement=disagreements[[0, 2]]
    )
    assert fewer.variance == pytest.approx(left.variance)
    assert found.coefficient == pytest.approx(left.coefficient)


def test_strata_of_one_list_share_a_variance_with_their_pool():
    values = np.array([[0.0], [0.4], [0.6], [1.0], [0.2], [0.5]])
    sample = Sample(
        values,
        np.array([0, 1, 1, 2, 2, 2]),
        np.array([0.25, 0.25, 0.5]),
        np.full(3, inf),
        np.array([0, 0, 1]),
    )
    found = classical_estimate(sample)
    first, second = np.var([0, 0.4, 0.6], ddof=1), np.var([1, 0.2, 0.5], ddof=1)
    assert found.variance[0] == pytest.approx(first * (1 / 16 + 1 / 32) + second / 4 / 3)
    assert found.freedom == 4


def test_a_constant_proxy_has_no_coefficient_and_changes_nothing():
    sample, proxy, census, _ = sample_of(strata_of(0))
    found = difference_estimate(sample, np.full_like(proxy, 0.1), Census(0 * census.mean + 0.1))
    assert np.isnan(found.coefficient).all()
    assert np.isnan(found.correlation).all()
    assert found.value == pytest.approx(classical_estimate(sample).value)


@pytest.mark.parametrize("case", PPI["cases"], ids=lambda case: f"seed {case['design'][0]}")
def test_in_its_setting_the_estimate_is_that_of_ppi_python(case):
    values, proxy, others = drawn(*case["design"])
    sample = Sample(
        values[:, None],
        np.zeros(len(values), dtype=int),
        np.ones(1),
        np.array([inf]),
        np.zeros(1, dtype=int),
    )
    known = IndependentSample(others[:, None], np.zeros(len(others), dtype=int))
    found = difference_estimate(sample, proxy[:, None], known)
    (value,), (half,) = found.value, found.half_widths(level=PPI["level"])
    assert found.coefficient[0] == pytest.approx(case["lambda"], abs=1e-6)
    assert (value, value - half, value + half) == pytest.approx(
        (case["value"], case["low"], case["high"]), abs=1e-8
    )


def test_a_clipped_coefficient_is_among_the_cases_of_ppi_python():
    lambdas = [case["lambda"] for case in PPI["cases"]]
    assert min(lambdas) == 0  # of a negative one, whose proxy goes unused
    assert max(lambdas) == pytest.approx(1, abs=1e-6)  # of a proxy on a smaller scale
    assert any(0.2 < one < 0.8 for one in lambdas)


def test_a_model_of_ordinary_size_is_estimated_in_a_moment():
    generator = np.random.default_rng(0)
    lists = 200
    census = Census(generator.random((12, 36_864 // 12)).mean(axis=1, keepdims=True))
    stratum = np.arange(lists) % 12
    sizes = np.full(12, 3_072.0)
    values = generator.random((lists, 7))
    sample = Sample(values, stratum, sizes / sizes.sum(), sizes, np.arange(12))
    began = process_time()
    found = difference_estimate(sample, generator.random((lists, 1)), census)
    assert process_time() - began < 0.5
    assert np.isfinite(found.half_widths()).all()
