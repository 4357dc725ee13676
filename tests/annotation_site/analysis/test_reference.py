"""An answer's score against a reference answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_site.analysis.agreement.reference import reference_score

answers = st.lists(
    st.sets(st.integers(1, 12), min_size=1).map(sorted), max_size=4
)  # patterns may overlap


def score(answer, reference, min_tokens=4):
    return reference_score(answer, reference, length=30, min_tokens=min_tokens)


def test_worked_by_hand():
    # {1..4} against {1..5} is 4/5, {10..13} against {10..13} is 1; {20..23} has no partner:
    # 1.8 over 2 + 3 - 2 patterns.
    answer = [[1, 2, 3, 4], [10, 11, 12, 13]]
    reference = [[10, 11, 12, 13], [1, 2, 3, 4, 5], [20, 21, 22, 23]]
    assert score(answer, reference) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ([], [], 1),
        ([[1, 2, 3]], [], 1),  # too small to count
        ([[1, 2, 3, 4]], [], 0),
        ([], [[1, 2, 3, 4]], 0),
        ([[1, 2, 3, 4]], [[5, 6, 7, 8]], 0),
        ([[1, 2, 3, 4]], [[1, 2, 3, 4]], 1),
    ],
)
def test_where_one_side_or_both_have_nothing_in_common(answer, reference, expected):
    assert score(answer, reference) == expected


@given(answer=answers, reference=answers, min_tokens=st.integers(1, 5))
def test_between_0_and_1_and_the_same_from_either_side(answer, reference, min_tokens):
    there = score(answer, reference, min_tokens)
    assert 0 <= there <= 1
    assert there == pytest.approx(score(reference, answer, min_tokens))
    assert score(answer, answer, min_tokens) == 1
