"""The benchmark of intervals measures the bounds that tables show."""

import numpy as np
import pandas as pd
import pytest

from annotation_site.analysis.comparisons import kind_comparison
from annotation_site.analysis.means import mean_intervals
from benchmarks import intervals as benchmark

PER_LAYER, STUDIES = 3, 4
LAYERS = range(benchmark.LAYERS)


def as_lists(values, kind):
    """The lists of the first study as tables take them."""
    return pd.DataFrame(
        {
            "model": "m",
            "kind": kind,
            "layer": np.repeat(np.array(LAYERS), PER_LAYER),
            "coverage": values[:, 0],
        }
    )


@pytest.mark.parametrize("name", benchmark.SHAPES)
def test_the_benchmark_measures_what_tables_show(name):
    generator = np.random.default_rng(5)
    shape = benchmark.SHAPES[name]
    value, random = (
        benchmark.studies(one, PER_LAYER, STUDIES, generator, LAYERS)
        for one in (shape, benchmark.fewer(shape))
    )
    each = 1 / benchmark.LAYERS
    low, high = benchmark.intervals(value, PER_LAYER, [each] * benchmark.LAYERS)
    lists = pd.concat([as_lists(value, "value"), as_lists(random, "random")], ignore_index=True)
    (table,) = mean_intervals(lists, columns=["coverage"], by=[("model", "kind")])
    shown = table[table["kind"] == "value"].iloc[0]
    assert (shown["low"], shown["high"]) == pytest.approx((low[0], high[0]), abs=1e-12)

    weights = [each] * benchmark.LAYERS + [-each] * benchmark.LAYERS
    low, high = benchmark.intervals(np.concatenate([value, random]), PER_LAYER, weights)
    tokens = np.rint(benchmark.TOKENS * lists["coverage"]).astype(int)
    counts = lists.assign(coverage=tokens, labels=benchmark.TOKENS)
    shown = kind_comparison(counts, columns=["coverage"], permutations=1).iloc[0]
    assert pd.isna(shown["layer"])
    assert (shown["low"], shown["high"]) == pytest.approx((low[0], high[0]), abs=1e-12)


def test_every_shape_heaps_where_its_name_says():
    generator = np.random.default_rng(3)
    drawn = {n: shape(generator, 5, 20_000) for n, shape in benchmark.SHAPES.items()}
    for percent in (50, 70, 85):
        zeros = (drawn[f"{percent}% zeros"] == 0).mean()
        assert zeros == pytest.approx(percent / 100, abs=0.02)
    assert np.median(drawn["skewed"]) < drawn["skewed"].mean()
    assert drawn["near 1"].mean() > 0.85
