"""Which rows are taken, and the random baseline."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffn_extract.errors import FFNExtractError
from ffn_extract.sampling import draw_random, generator, merged, moments_of, sample_rows


@given(st.integers(0, 2**63 - 1), st.integers(1, 60), st.data())
def test_rows_are_distinct_ascending_and_repeatable(seed, n_rows, data):
    count = data.draw(st.integers(1, n_rows))
    rows = sample_rows(n_rows, count, generator(seed, "value", 3))
    assert rows == sorted(set(rows))
    assert len(rows) == count
    assert set(rows) <= set(range(n_rows))
    assert rows == sample_rows(n_rows, count, generator(seed, "value", 3))


def test_all_rows_can_be_taken_but_not_more():
    assert sample_rows(8, 8, generator(0, "value", 0)) == list(range(8))
    with pytest.raises(FFNExtractError, match="has 8 value vectors; 9 of them"):
        sample_rows(8, 9, generator(0, "value", 0))


def test_a_larger_sample_contains_the_smaller_one():
    few, many = (sample_rows(1000, n, generator(0, "value", 0)) for n in (10, 20))
    assert set(few) < set(many)


def test_seeds_layers_and_kinds_draw_differently():
    streams = [(0, "value", 0), (1, "value", 0), (0, "value", 1), (0, "random", 0)]
    drawn = {tuple(sample_rows(10**6, 5, generator(*stream))) for stream in streams}
    assert len(drawn) == len(streams)


def test_every_row_is_equally_likely():
    counts = np.zeros(10)
    for seed in range(4000):
        counts[sample_rows(10, 3, generator(seed, "value", 0))] += 1
    assert np.abs(counts / 4000 - 0.3).max() < 0.03


@pytest.mark.parametrize("chunk", [1, 7, 64, 100])
def test_moments_do_not_need_all_vectors_at_once(chunk):
    vectors = np.random.default_rng(0).normal(3, 2, (100, 6))
    moments = moments_of(vectors[i : i + chunk] for i in range(0, 100, chunk))
    np.testing.assert_allclose(moments.mean, vectors.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.std, vectors.std(axis=0), rtol=1e-12)


def test_pooled_moments_are_those_of_all_numbers():
    vectors = np.random.default_rng(0).normal(3, 2, (100, 6)) * np.arange(1, 7)
    pooled = moments_of([vectors]).pooled()
    np.testing.assert_allclose(pooled.mean, np.full(6, vectors.mean()), rtol=1e-12)
    np.testing.assert_allclose(pooled.std, np.full(6, vectors.std()), rtol=1e-12)


def test_layers_pool_into_the_model():
    layers = np.random.default_rng(0).normal(3, 2, (3, 50, 4)) * np.array([1, 5, 9])[:, None, None]
    pooled = merged(moments_of([layer]) for layer in layers).pooled()
    np.testing.assert_allclose(pooled.mean[0], layers.mean(), rtol=1e-12)
    np.testing.assert_allclose(pooled.std[0], layers.std(), rtol=1e-12)


def test_random_vectors_have_the_moments_of_the_values():
    vectors = np.random.default_rng(0).normal(3, 2, (100, 4)) * np.array([1, 2, 3, 4])
    moments = moments_of([vectors])
    drawn = draw_random(moments, 40_000, generator(0, "random", 0))
    np.testing.assert_allclose(drawn.mean(axis=0), moments.mean, rtol=0.02)
    np.testing.assert_allclose(drawn.std(axis=0), moments.std, rtol=0.02)


def test_a_dimension_without_spread_stays_constant():
    moments = moments_of([np.array([[1.0, 5.0], [3.0, 5.0]])])
    assert (draw_random(moments, 9, generator(0, "random", 0))[:, 1] == 5.0).all()
