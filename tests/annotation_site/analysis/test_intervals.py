import numpy as np
import pytest

from annotation_site.analysis.intervals import drawn_weights, percentile_interval
from tests.annotation_site.analysis.resampled import resampled_sums


def test_a_resample_draws_one_list_fewer_and_weighs_it_more() -> None:
    strata = np.array([0, 1, 0, 1, 1, 2])
    drawn = np.concatenate(list(resampled_sums(np.eye(6), strata, resamples=50)), axis=1)
    assert drawn.shape == (3, 50, 6)
    for stratum, lists in enumerate((2, 3, 1)):
        weights = drawn[stratum][:, strata == stratum]
        assert weights.sum(axis=1) == pytest.approx(lists)
        if lists > 1:
            times = weights * (lists - 1) / lists
            assert (np.abs(times - times.round()) < 1e-12).all()
            assert (times.sum(axis=1).round() == lists - 1).all()
        assert (drawn[stratum][:, strata != stratum] == 0).all()
    assert (drawn[2, :, 5] == 1).all()  # alone, it stays
    assert len({tuple(row) for row in drawn[1]}) > 5


@pytest.mark.parametrize("lists", [2, 3, 5, 10])
def test_a_resampled_sum_varies_as_the_sample_says(lists: int) -> None:
    """By the variance with divisor n - 1; n draws of n would give (n - 1)/n of it."""
    values = np.random.default_rng(lists).normal(size=lists)
    sums = resampled_sums(values[:, None], np.zeros(lists, dtype=np.int64), resamples=40_000)
    found = np.concatenate(list(sums), axis=1).ravel()
    assert found.var() == pytest.approx(lists * values.var(ddof=1), rel=0.04)
    assert found.mean() == pytest.approx(values.sum(), abs=0.04 * np.sqrt(found.var()))


def test_what_was_taken_whole_is_not_drawn_anew() -> None:
    strata = np.repeat([0, 1], 4)
    fixed = np.array([True, False])
    drawn = np.concatenate(list(resampled_sums(np.eye(8), strata, fixed=fixed, resamples=30)), 1)
    assert (drawn[0, :, :4] == 1).all()
    assert (drawn[1, :, 4:] != 1).any()


def test_draws_depend_on_the_seed_alone() -> None:
    strata = np.repeat([0, 1], 30)
    values = np.random.default_rng(0).random((60, 4))
    whole = np.concatenate(list(resampled_sums(values, strata, resamples=64)), axis=1)
    blocks = list(resampled_sums(values[:, :3], strata, resamples=64, block=5))
    assert len(blocks) > 1
    np.testing.assert_allclose(np.concatenate(blocks, axis=1), whole[..., :3], rtol=1e-12)
    other = np.concatenate(list(resampled_sums(values, strata, resamples=64, seed=1)), axis=1)
    assert not np.allclose(other, whole)


def test_nothing_is_drawn_where_there_is_nothing() -> None:
    assert list(drawn_weights([], resamples=5, seed=1, block=2)) == []


def test_undefined_resamples_are_counted_and_left_out() -> None:
    values = np.array([np.nan, *np.linspace(0, 1, 101)])
    interval = percentile_interval(values, value=0.5)
    assert (interval.low, interval.high) == pytest.approx((0.025, 0.975))
    assert interval.warnings() == ["undefined in 1 of 102 resamples, which the interval leaves out"]
    never = percentile_interval(np.full(5, np.nan), value=0.5)
    assert np.isnan(never.low)
    assert never.warnings() == ["no interval: undefined in every resample"]


def test_an_interval_without_width_says_so_and_holds_its_value() -> None:
    value = 0.2
    interval = percentile_interval(
        np.array([0.2, 0.19999999999999998, 0.20000000000000004]), value=value
    )
    assert (interval.low, interval.high) == (value, value)
    assert interval.warnings() == [
        "every resample gives the same, so that the interval has no width"
    ]
