"""Summaries of columns against plain resampling."""

import numpy as np
import pytest

from ffn_extract.measurements.bootstrap import summaries


def test_intervals_are_those_of_plain_resampling():
    random = np.random.default_rng(3)
    values = random.normal(size=(40, 3)) * [1, 5, 0.1] + [0, 2, -1]
    values[random.random((40, 3)) < 0.2] = np.nan
    found = summaries(values, seed=7, resamples=600)
    draws = np.random.Generator(np.random.PCG64(7))
    means = []
    for rows in (250, 250, 100):
        for drawn in draws.integers(0, 40, (rows, 40)):
            means.append(np.nanmean(values[drawn], axis=0))
    np.testing.assert_allclose(found.mean, np.nanmean(values, axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.median, np.nanmedian(values, axis=0), rtol=1e-12)
    ends = np.percentile(means, (2.5, 97.5), axis=0)
    np.testing.assert_allclose([found.low, found.high], ends, rtol=1e-9)
    assert found.n.tolist() == (~np.isnan(values)).sum(axis=0).tolist()


def test_without_values_nothing_is_defined_and_one_value_has_no_interval():
    values = np.array([[np.nan, 2.0, 1.0], [np.nan, np.nan, 3.0]])
    found = summaries(values, seed=0, resamples=200)
    assert found.n.tolist() == [0, 1, 2]
    assert np.isnan(found.mean).tolist() == [True, False, False]
    assert np.isnan(found.low).tolist() == [True, True, False]
    assert np.isnan(found.high).tolist() == [True, True, False]
    assert found.mean[1:].tolist() == [2.0, 2.0]


@pytest.mark.parametrize("shape", [(0, 2), (1, 2)])
def test_no_example_or_one_is_no_reason_to_fail(shape):
    found = summaries(np.ones(shape), seed=0, resamples=100)
    assert np.isnan(found.low).all()
    assert found.n.tolist() == [shape[0]] * 2
