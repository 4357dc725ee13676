from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from annotation_site.analysis import comparisons, intervals
from annotation_site.analysis.comparisons import (
    cliffs_delta,
    holm,
    kind_comparison,
    permutation_p,
)
from annotation_site.analysis.intervals import (
    mean_intervals,
    percentile_interval,
    resampled_sums,
)


def frame(values: list[float], kinds: str, layers: list[int]) -> pd.DataFrame:
    names = {"v": "value", "r": "random", "u": "update"}
    return pd.DataFrame(
        {"model": "toy", "kind": [names[k] for k in kinds], "layer": layers, "coverage": values}
    )


def sampled(lists: int = 60, *, shift: float = 0.3, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    kinds = "vr" * (lists // 2)
    values = rng.random(lists) + shift * np.array([kind == "v" for kind in kinds])
    return frame(list(values), kinds, [number // 2 % 3 for number in range(lists)])


def means(lists: pd.DataFrame, *, by: Sequence[str] = ("kind",), **options: int) -> pd.DataFrame:
    return mean_intervals(lists, columns=["coverage"], by=[by], **options)[0]


def test_every_resample_draws_each_stratum_as_often_as_it_has_lists() -> None:
    strata = np.array([0, 1, 0, 1, 1, 2])
    ones_and_marks = np.column_stack([np.ones(6), np.eye(6)])
    drawn = np.concatenate(list(resampled_sums(ones_and_marks, strata, resamples=50)), axis=1)
    assert drawn.shape == (3, 50, 7)
    assert (drawn[..., 0] == np.array([[2], [3], [1]])).all()
    for stratum in range(3):
        assert (drawn[stratum, :, 1:][:, strata != stratum] == 0).all()
    assert len({tuple(row) for row in drawn[1]}) > 5


def test_draws_depend_on_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    strata = np.repeat([0, 1], 30)
    values = np.random.default_rng(0).random((60, 4))
    whole = np.concatenate(list(resampled_sums(values, strata, resamples=64)), axis=1)
    monkeypatch.setattr(intervals, "_NUMBERS", 500)
    blocks = list(resampled_sums(values[:, :3], strata, resamples=64))
    assert len(blocks) > 1
    np.testing.assert_allclose(np.concatenate(blocks, axis=1), whole[..., :3], rtol=1e-12)
    other = np.concatenate(list(resampled_sums(values, strata, resamples=64, seed=1)), axis=1)
    assert not np.allclose(other, whole)


def test_the_interval_of_a_mean_is_scipy_s() -> None:
    values = np.random.default_rng(1).normal(size=80)
    lists = frame(list(values), "v" * 80, [0] * 80)
    ours = means(lists).iloc[0]
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert ours["value"] == pytest.approx(values.mean())
    assert [ours["low"], ours["high"]] == pytest.approx([theirs.low, theirs.high], abs=0.02)
    assert ours["lists"] == 80
    assert ours["warning"] == ""


def test_lists_are_drawn_within_kind_and_layer() -> None:
    # Every list of a layer is the same: drawn within layers, the mean cannot move.
    lists = frame([0.0] * 5 + [1.0] * 15, "v" * 20, [0] * 5 + [1] * 15)
    row = means(lists, resamples=100).iloc[0]
    assert (row["value"], row["low"], row["high"]) == (0.75, 0.75, 0.75)


def test_a_list_without_a_value_is_not_drawn() -> None:
    lists = frame([0.2, 0.4, np.nan, 0.6], "vvvv", [0] * 4)
    with_gap = means(lists, resamples=200)
    without = means(lists.dropna(), resamples=200)
    pd.testing.assert_frame_equal(with_gap, without)
    assert with_gap["lists"].to_list() == [3]
    assert with_gap["warning"].to_list() == ["fewer than 20 lists"]


@pytest.mark.parametrize("by", [[], ["list_id"]])
def test_means_are_for_groups_that_lists_were_sampled_in(by: list[str]) -> None:
    with pytest.raises(ValueError, match="it takes some of model, kind, layer"):
        means(frame([0.1], "v", [0]), by=by)


def test_undefined_resamples_are_counted_and_left_out() -> None:
    values = np.array([np.nan, *np.linspace(0, 1, 101)])
    interval = percentile_interval(values, strata=2, single=0)
    assert (interval.low, interval.high) == pytest.approx((0.025, 0.975))
    assert interval.warnings() == ["undefined in 1 of 102 resamples, which the interval leaves out"]


def test_cliffs_delta_counts_pairs() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 6, 40).astype(float), rng.integers(1, 7, 25).astype(float)
    pairs = np.sign(one[:, None] - other)
    assert cliffs_delta(one, other) == pytest.approx(pairs.mean(), abs=1e-15)
    assert cliffs_delta(other, one) == pytest.approx(-pairs.mean(), abs=1e-15)
    u = stats.mannwhitneyu(one, other).statistic
    assert cliffs_delta(one, other) == pytest.approx(2 * u / (40 * 25) - 1, abs=1e-12)


def test_holm_is_statsmodels() -> None:
    p = np.random.default_rng(3).random(12) ** 3
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-15)
    assert len(holm(np.array([]))) == 0


def test_the_permutation_test_counts_shuffles() -> None:
    # One layer, 4 against 4, all of the first above: 2 of the 70 ways are as extreme.
    values = np.arange(8.0)
    is_first = values >= 4
    p = permutation_p(values, is_first, np.zeros(8, dtype=np.int64), permutations=20_000)
    assert p == pytest.approx(2 / 70, abs=0.004)
    exact = stats.permutation_test(
        (values[is_first], values[~is_first]),
        lambda x, y, axis: x.mean(axis=axis) - y.mean(axis=axis),
        vectorized=True,
    ).pvalue
    assert p == pytest.approx(exact, abs=0.004)


def test_kinds_are_shuffled_within_layers_only() -> None:
    # The layers differ, the kinds do not: across layers nearly every shuffle would be less extreme.
    values = np.array([0.0] * 6 + [1.0] * 6)
    is_first = np.array([True] * 5 + [False] + [True] + [False] * 5)
    layer = np.repeat([0, 1], 6)
    assert permutation_p(values, is_first, layer, permutations=500) == 1.0
    assert permutation_p(values, is_first, 0 * layer, permutations=500) < 0.2


def test_equal_values_are_no_evidence_however_they_add_up() -> None:
    values = np.array([0.1, 0.2, 0.3] * 6)
    is_first = np.arange(18) % 6 < 3
    assert permutation_p(values, is_first, np.zeros(18, dtype=np.int64), permutations=200) == 1.0


def test_p_is_never_zero() -> None:
    values = np.arange(40.0)
    p = permutation_p(values, values > 19, np.zeros(40, dtype=np.int64), permutations=99)
    assert p == 1 / 100


def test_real_beside_random_in_one_table(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = pd.concat([sampled(shift=0.4), frame([0.5, np.nan], "uv", [0, 0])])
    table = kind_comparison(lists, columns=["coverage"], resamples=500, permutations=400)
    assert table["layer"].to_list() == [pd.NA, 0, 1, 2]
    whole = table.iloc[0]
    one = lists.query("kind == 'value'")["coverage"].dropna()
    other = lists.query("kind == 'random'")["coverage"]
    assert (whole["lists_first"], whole["lists_second"]) == (30, 30)
    assert whole["difference"] == pytest.approx(one.mean() - other.mean())
    assert whole["low"] < whole["difference"] < whole["high"]
    assert whole["p"] == 1 / 401
    assert pd.isna(whole["p_adjusted"])
    layers = table.iloc[1:]
    assert layers["p_adjusted"].to_numpy() == pytest.approx(holm(layers["p"].to_numpy()))
    assert (layers["warning"] == "fewer than 20 lists").all()
    monkeypatch.setattr(comparisons, "_NUMBERS", 700)
    again = kind_comparison(lists, columns=["coverage"], resamples=500, permutations=400)
    pd.testing.assert_frame_equal(again, table, rtol=1e-12)


def test_several_numbers_are_compared_in_the_same_draws() -> None:
    lists = sampled().assign(other=lambda frame: 1 - frame["coverage"])
    options = {"resamples": 200, "permutations": 100}
    both = kind_comparison(lists, columns=["coverage", "other"], **options)
    alone = kind_comparison(lists, columns=["other"], **options)
    rows = both[both["measure"] == "other"].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, alone, rtol=1e-12)
    one = both[both["measure"] == "coverage"].reset_index(drop=True)
    assert rows["low"].to_numpy() == pytest.approx(-one["high"].to_numpy())
    assert rows["p"].to_list() == one["p"].to_list()


def test_a_layer_with_one_kind_is_in_the_whole_only() -> None:
    lists = frame([0.1, 0.2, 0.3, 0.9], "vrvv", [0, 0, 0, 1])
    table = kind_comparison(lists, columns=["coverage"], resamples=50, permutations=50)
    assert table["layer"].to_list() == [pd.NA, 0]
    assert table["lists_first"].to_list() == [3, 2]


def test_without_one_of_the_kinds_there_is_no_row() -> None:
    table = kind_comparison(frame([0.1], "v", [0]), columns=["coverage"])
    assert table.empty
    assert list(table.columns)[:3] == ["measure", "model", "layer"]
