"""Signs of hurried work: each with its numbers, none that depends on names or numbering."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_site.annotation.monitoring.flags import (
    FEWEST,
    RecentAnnotation,
    empty_flag,
    fast_flag,
    flags_of,
    identical_flag,
)

ONE = frozenset({frozenset({1, 2, 3, 4})})
NONE: frozenset[frozenset[int]] = frozenset()


def marks(n: int) -> frozenset[frozenset[int]]:
    """The marks of the n-th of lists that all differ."""
    return frozenset({frozenset({1 + n % 30, 31 + n})})


@pytest.mark.parametrize(
    ("seconds", "median", "sentence"),
    [
        ([9] * 20, 95.0, "Very fast: the median of the last 20 lists is 9 s of active time; in the "
                         "whole study it is 95 s."),
        ([20] * 20, 95.0, "Very fast: the median of the last 20 lists is 20 s of active time; in "
                          "the whole study it is 95 s."),
        ([24] * 20, 95.0, None),
        ([15] * 20, 40.0, None),
        ([1] * (FEWEST - 1), 95.0, None),
        ([14, 14, 14, 300, 300], None, "Very fast: the median of the last 5 lists is 14 s of "
                                       "active time."),
    ],
)  # fmt: skip
def test_fast_is_a_median_under_15_seconds_or_a_quarter_of_the_studys(seconds, median, sentence):
    flag = fast_flag(seconds, median)
    assert (flag and flag.sentence) == sentence


@pytest.mark.parametrize(
    ("own", "others", "sentence"),
    [
        ((14, 20), (24, 200), "Often empty: no pattern in 14 of the last 20 lists (70%); the "
                              "others say so of 12%."),
        ((5, 20), (24, 200), None),  # 25% against 12%: that can be chance
        ((10, 10), (9, 9), None),  # too few others
        ((9, 9), (0, 200), None),  # too few of one's own
        ((20, 20), (200, 200), None),  # lists without patterns, not a person
    ],
)  # fmt: skip
def test_empty_is_far_above_the_others(own, others, sentence):
    flag = empty_flag(*own, *others)
    assert (flag and flag.sentence) == sentence


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ([marks(1), marks(2), ONE, ONE, ONE],
         "Identical: the same ranks are marked in 3 lists in a row."),
        ([marks(1), ONE, marks(2), ONE, marks(3)], None),
        ([ONE, marks(1), marks(2)] * 5,
         "Identical: the same ranks are marked in 5 of the last 15 lists (33%)."),
        ([ONE, *(marks(n) for n in range(4))] * 3, None),  # a fifth is not more than a fifth
        ([NONE] * 20, None),  # said by another flag
        ([ONE] * (FEWEST - 1), None),
    ],
)  # fmt: skip
def test_identical_is_a_row_of_three_or_a_fifth_of_the_lists(answers, sentence):
    flag = identical_flag(answers)
    assert (flag and flag.sentence) == sentence


answers = st.builds(
    RecentAnnotation,
    st.integers(0, 500),
    st.sampled_from([NONE, ONE, *(marks(n) for n in range(6))]),
)
people = st.dictionaries(st.integers(0, 50), st.lists(answers, max_size=50), max_size=6)
medians = st.none() | st.floats(1, 600)


@given(people, medians, st.randoms(use_true_random=False))
def test_flags_do_not_depend_on_who_is_asked_first(recent, median, rng: random.Random):
    found = flags_of(recent, study_median=median)
    order = list(recent)
    rng.shuffle(order)
    renamed = {f"person {n}": recent[n] for n in order}
    again = flags_of(renamed, study_median=median)
    assert {f"person {n}": flags for n, flags in found.items()} == again


@given(people, medians)
def test_every_flag_has_one_sentence_with_a_number_and_each_kind_comes_once(recent, median):
    for flags in flags_of(recent, study_median=median).values():
        assert len({flag.kind for flag in flags}) == len(flags)
        for flag in flags:
            assert flag.sentence.endswith(".")
            assert any(c.isdigit() for c in flag.sentence)


@given(people, medians)
def test_slow_varied_work_is_never_flagged(recent, median):
    careful = [RecentAnnotation(600, marks(n)) for n in range(50)]
    assert flags_of({**recent, 99: careful}, study_median=median)[99] == []


@given(st.lists(st.integers(0, 500), min_size=FEWEST, max_size=20), medians)
def test_being_slower_never_makes_a_flag(seconds, median):
    if fast_flag(seconds, median) is None:
        assert fast_flag([s + 1 for s in seconds], median) is None
