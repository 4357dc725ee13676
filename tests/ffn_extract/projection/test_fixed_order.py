"""Sums that are the same bits whatever is around them."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ffn_extract.projection.fixed_order import fixed_order_norm, fixed_order_sum

FLOATS = st.floats(-1e6, 1e6)


@given(st.lists(FLOATS, min_size=1, max_size=70))
def test_the_sum_is_as_exact_as_float64_allows(terms):
    total = fixed_order_sum(np.array([terms]))[0]
    assert abs(total - math.fsum(terms)) <= 1e-15 * sum(map(abs, terms)) * math.log2(len(terms) + 2)


@given(st.integers(1, 50), st.integers(1, 9))
def test_a_row_has_the_same_sum_alone_and_among_others(width, rows):
    terms = np.random.default_rng(width).standard_normal((rows, width))
    together = fixed_order_sum(terms.copy())
    assert [fixed_order_sum(row[None].copy())[0] for row in terms] == together.tolist()
    assert fixed_order_sum(terms.T.copy(), axis=0).tolist() == together.tolist()


def test_an_empty_sum_is_zero():
    assert fixed_order_sum(np.zeros((3, 0))).tolist() == [0, 0, 0]


def test_norms_do_not_overflow():
    vectors = np.array([[3e200, 4e200], [3e-200, 4e-200], [0.0, 0.0]])
    np.testing.assert_allclose(fixed_order_norm(vectors), [5e200, 5e-200, 0], rtol=1e-15)
