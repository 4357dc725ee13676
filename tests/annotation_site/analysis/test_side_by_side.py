"""Several people's patterns of one list: which are the same, and how far people agree."""

import itertools
import random

import pandas as pd
import pytest

from annotation_site.analysis.agreement.tables import agreement_table, measure_agreement
from annotation_site.analysis.side_by_side import (
    ListAgreement,
    MarkedPattern,
    couples,
    most_alike,
    pattern_groups,
    together,
)
from tests.annotation_site.analysis.hand_worked import frames_of

LENGTH = 12


def said(**people):
    """Patterns by person and number, from each person's lists of ranks."""
    return {
        (person, number): MarkedPattern(tuple(ranks))
        for person, patterns in people.items()
        for number, ranks in enumerate(patterns, start=1)
    }


def test_equal_patterns_of_three_people_are_one_whatever_their_numbers_are():
    patterns = said(
        A=[[1, 2, 3, 4], [9, 10]],
        B=[[9, 10, 11], [1, 2, 3]],
        C=[[1, 2, 4, 5], [6, 7], [9, 10]],
    )
    # Overlaps of the first: A–B 3/4, A–C 3/5, B–C 2/5. Of the second: A–B 2/3, A–C 1, B–C 2/3.
    assert pattern_groups(patterns) == [
        [("A", 1), ("B", 2), ("C", 1)],
        [("A", 2), ("B", 1), ("C", 3)],
        [("C", 2)],
    ]


def test_nobody_is_twice_in_a_group_and_the_larger_overlap_decides():
    # A splits what C has together. A1–B1 is 1, A1–C1 3/6, A2–C1 3/6, B1–C1 3/6: of A and C the
    # matching takes A1, which holds the better ranks, and B1 is with both.
    patterns = said(A=[[1, 2, 3], [4, 5, 6]], B=[[1, 2, 3]], C=[[1, 2, 3, 4, 5, 6]])
    assert pattern_groups(patterns) == [[("A", 1), ("B", 1), ("C", 1)], [("A", 2)]]


def test_a_chain_ends_where_a_person_would_come_twice():
    # A1–B1 3/4, B1–C1 3/4 and A1–C1 2/4 would be one; C also has A1's own ranks as its second
    # pattern: A1–C2 is 1 and comes first. Then B1 joins C1, and A1–B1 cannot bring C1 to C2.
    patterns = said(A=[[1, 2, 3]], B=[[1, 2, 3, 4]], C=[[2, 3, 4], [1, 2, 3]])
    # Of B and C the matching has C2 (3/4) or C1 (3/4); its ranks come first, so C2.
    assert pattern_groups(patterns) == [[("A", 1), ("B", 1), ("C", 2)], [("C", 1)]]


def test_people_without_a_common_entry_share_no_pattern_and_nobody_has_none():
    assert pattern_groups(said(A=[[1, 2]], B=[[3, 4]])) == [[("A", 1)], [("B", 1)]]
    assert pattern_groups({}) == []
    assert pattern_groups(said(A=[[100], [65]])) == [[("A", 2)], [("A", 1)]]


def test_neither_the_order_of_people_nor_their_numbers_decide():
    drawn = random.Random(4)
    for _ in range(40):
        people = {
            name: [sorted(drawn.sample(range(1, 9), drawn.randint(1, 4))) for _ in range(3)]
            for name in "ABC"
        }
        if any(a == b for own in people.values() for a, b in itertools.combinations(own, 2)):
            continue  # interchangeable
        found = by_ranks(said(**people))
        turned = {name: people[name][::-1] for name in "CAB"}
        assert by_ranks(said(**turned)) == found


def by_ranks(patterns):
    return {frozenset((key[0], patterns[key].ranks) for key in g) for g in pattern_groups(patterns)}


def test_most_alike_counts_the_largest_group_that_says_the_same():
    one, two, none = frozenset({1}), frozenset({2}), frozenset()
    assert most_alike([one, one, two]) == 2
    assert most_alike([none, one, two]) == 1
    assert most_alike([none, none, one]) == 2
    assert most_alike([frozenset({1, 2}), one]) == 1  # of several patterns, all must be the same
    assert most_alike([]) == 0


def test_agreement_on_a_list_worked_by_hand():
    patterns = said(A=[[1, 2, 3, 4], [9, 10, 11, 12]], B=[[1, 2, 3, 5]], C=[[7, 8]])
    ab, ac, bc = couples(patterns, ["A", "B", "C"], length=LENGTH, min_tokens=4)
    # In a pattern: A has 1–4 and 9–12, B 1–3 and 5; they differ on 4, 5 and 9–12.
    assert (ab.first, ab.second, ab.entries) == ("A", "B", 1 - 6 / 12)
    assert ab.patterns == pytest.approx((3 / 5) / 2)  # of 3 patterns one pair is matched
    assert (ab.half, ab.alike) == (1, 1)
    assert (ac.entries, ac.patterns, ac.half) == (1 - 8 / 12, 0.0, 0)  # C's is too small
    assert (bc.entries, bc.patterns, bc.half) == (1 - 4 / 12, 0.0, 0)
    assert together([ab, ac, bc]) == ListAgreement(pytest.approx(0.5), pytest.approx(0.1), 1.0)
    neither = couples({}, ["A", "B"], length=LENGTH, min_tokens=4)
    assert together(neither) == ListAgreement(1.0, None, None)
    assert couples(patterns, ["A"], length=LENGTH, min_tokens=4) == []
    assert together([]) == ListAgreement(None, None, None)


def test_agreement_on_a_list_is_that_of_the_tables():
    drawn = random.Random(7)
    for _ in range(25):
        names = "ABCD"[: drawn.randint(2, 4)]
        patterns = {
            (name, n): MarkedPattern(
                tuple(sorted(drawn.sample(range(1, LENGTH + 1), drawn.randint(1, 7)))),
                drawn.choice(["semantic", "syntactic"]),
            )
            for name in names
            for n in range(1, drawn.randint(1, 4))
        }
        frames = frames_of(
            lists=[("L", "toy", "value", 0, LENGTH)],
            annotations=[(name, "L", name) for name in names],
            members=[
                (name, n, rank, p.category, False)
                for (name, n), p in patterns.items()
                for rank in p.ranks
            ],
        )
        table = agreement_table(measure_agreement(frames, min_tokens=2)).set_index("measure")
        own = together(couples(patterns, names, length=LENGTH, min_tokens=2))
        for measure, value in (
            ("percent_agreement_concept", own.entries),
            ("mean_matched_jaccard", own.patterns),
            ("matched_category_agreement", own.category),
        ):
            expected = table.loc[measure, "value"]
            assert value == (None if pd.isna(expected) else pytest.approx(expected)), measure
