"""Running lists beside full sorts, and rounding of arrays beside formatted numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffn_extract.keys.passes import BLOCK, FIRST_BLOCK, blocks_of
from ffn_extract.keys.rounding import (
    NONE,
    codes_of,
    first_of_largest,
    sizes_of,
    thresholds_of,
)
from ffn_extract.keys.top import FOUND, TopPrefixes

SIZES = st.floats(min_value=2.0**-120, max_value=2.0**120, width=32, allow_subnormal=False)
TIES = [12345.5, 12346.5, 1000.25, 1000.75, 99999.5, 0.5, 1.0, 1e10, float(np.float32(9.99995))]


def rounded(m):
    return float(f"{m:.4e}")


@given(st.lists(SIZES, min_size=1, max_size=50))
def test_codes_are_in_the_order_of_numbers_with_five_digits(found):
    m = np.array([*found, *TIES], np.float32)
    codes = codes_of(m)
    expected = np.array([rounded(one) for one in m.tolist()])
    assert np.abs(sizes_of(codes) / expected - 1).max() < 1e-12
    by_code, by_number = np.argsort(codes, kind="stable"), np.argsort(expected, kind="stable")
    assert by_code.tolist() == by_number.tolist()


def test_what_is_not_above_zero_has_no_code():
    codes = codes_of(np.array([0.0, -1.0, np.nan, 2.0], np.float32))
    assert codes[:3].tolist() == [NONE] * 3
    assert thresholds_of(codes).tolist() == [0.0, 0.0, 0.0, np.float32(2 * (1 - 1e-4))]


@given(st.lists(st.lists(SIZES, min_size=3, max_size=3), min_size=1, max_size=9))
def test_the_first_of_the_largest_rounded_numbers(rows):
    m = np.array([*rows, [1.000001, 5.0, -3.0], [1.000002, 5.0, -3.0]], np.float32)
    largest = m.max(axis=0)
    expected = [
        [rounded(one) for one in column].index(rounded(top))
        for column, top in zip(m.T.tolist(), largest.tolist(), strict=True)
    ]
    assert first_of_largest(m, largest).tolist() == expected


LENGTH = 3
OFFERS = st.lists(  # of each sentence: a prefix and a strength for each of two keys, or nothing
    st.tuples(*[st.one_of(st.none(), st.tuples(st.integers(0, 9), st.integers(0, 4)))] * 2),
    max_size=40,
)


@given(OFFERS, st.integers(1, 7), st.booleans())
def test_running_lists_are_those_of_a_full_sort(offers, block, backwards):
    """Prefixes have one strength each, up to last bits; a block comes in any order of its own."""
    strengths = {}
    found = []
    for sentence, offered in enumerate(offers):
        for key, one in enumerate(offered):
            if one is not None:
                prefix, strength = one
                m = strengths.setdefault((key, prefix), 1 + strength / 2)
                found.append((key, sentence, prefix, m * (1 + 1e-7 * (sentence % 3))))
    lists = TopPrefixes(2, LENGTH)
    for start in range(0, len(offers), block):
        some = [one for one in found if start <= one[1] < start + block]
        if backwards:
            some.reverse()
        rows = np.zeros(len(some), FOUND)
        for row, (key, sentence, prefix, m) in zip(rows, some, strict=True):
            row["key"], row["sentence"], row["m"], row["position"] = key, sentence, m, prefix
        lists.add(rows, np.array([prefix for _, _, prefix, _ in some], np.uint64))
    for key in range(2):
        merged = {}
        for own, sentence, prefix, m in found:
            if own == key:
                first = merged.setdefault(prefix, [rounded(m), sentence, prefix, 0, np.float32(m)])
                first[3] += 1
        best = sorted(merged.values(), key=lambda one: (-one[0], one[1]))[:LENGTH]
        entries = lists.entries[key]
        entries = entries[entries["copies"] > 0]
        assert [(e["sentence"], e["position"], e["copies"], e["m"]) for e in entries] == [
            (sentence, prefix, copies, m) for _, sentence, prefix, copies, m in best
        ]


def test_a_threshold_keeps_copies_whose_last_bits_differ_and_never_falls():
    lists = TopPrefixes(1, 2)
    assert lists.thresholds().tolist() == [0.0]
    rows = np.zeros(2, FOUND)
    rows["sentence"], rows["m"] = [0, 1], [2.0, 1.0]
    lists.add(rows, np.array([7, 8], np.uint64))
    (threshold,) = lists.thresholds().tolist()
    assert 0.9998 < threshold < 1.0
    rows["sentence"], rows["m"] = [2, 3], [0.99999, 0.9]
    lists.add(rows, np.array([8, 9], np.uint64))
    assert lists.entries["copies"].tolist() == [[1, 2]]
    assert lists.entries["m"].tolist() == [[2.0, 1.0]]


@pytest.mark.parametrize("sentences", [1, 63, 64, 65, 1_000, 5_000])
def test_blocks_cover_the_sentences_and_none_is_larger_than_all_before_it(sentences):
    blocks = blocks_of(sentences)
    assert [number for block in blocks for number in block] == list(range(sentences))
    assert all(len(block) <= max(block.start, FIRST_BLOCK) for block in blocks)
    assert max(map(len, blocks)) <= BLOCK
