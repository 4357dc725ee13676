"""The benchmark of estimates, at a small size: what it measures, and that it is as it should be."""

import numpy as np
import pytest

from annotation_site.analysis.estimates.tables import estimates_table
from benchmarks import estimates as benchmark

CAMPAIGNS = 300


@pytest.mark.parametrize(("correlation", "most"), [(0.0, 1.03), (0.7, 0.76)])
def test_intervals_hold_the_truth_and_a_proxy_narrows_them(correlation, most):
    row = benchmark.measured(0.5, correlation, 10, CAMPAIGNS)
    assert 0.90 <= row.held <= 0.99
    assert 0.90 <= row.classical <= 0.99
    assert row.width <= most


def test_the_designs_are_what_their_names_say():
    vectors = benchmark.population(0.7, -0.6)
    assert (vectors.outcome == 0).mean() == pytest.approx(0.7, abs=0.01)
    generator = np.random.default_rng(0)
    said = benchmark.judged(vectors.outcome, generator).mean(axis=0)
    within = [np.corrcoef(*both)[0, 1] for both in zip(said, vectors.proxy, strict=True)]
    assert np.mean(within) == pytest.approx(-0.6, abs=0.02)
    assert said.mean() == pytest.approx(vectors.outcome.mean(), abs=1e-3)


def test_a_row_that_is_not_as_it_should_be_is_named():
    good = benchmark.Row(0.5, 0.7, 10, held=0.95, classical=0.95, width=0.72)
    assert good.complaint == ""
    assert benchmark.Row(0.5, 0.7, 10, 0.92, 0.95, 0.8).complaint == "coverage and width"
    assert benchmark.Row(0.5, 0.0, 10, 0.95, 0.98, 1.03).complaint == "coverage and width"


def test_tables_of_a_model_of_ordinary_size_take_less_than_a_second():
    assert benchmark.seconds() < 1
    table = estimates_table(benchmark.study())
    whole = table[table["layer_from"].isna() & (table["proxy"] == "p")].iloc[0]
    assert (whole["lists"], whole["vectors"]) == (200, 36_864)
    assert whole["relative_width"] < 0.8
    truth = benchmark.population(0.5, 0.7).outcome.mean()
    assert abs(whole["value"] - truth) < whole["high"] - whole["low"]
