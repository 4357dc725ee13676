"""The matching of patterns, beside a search through every matching there is."""

from fractions import Fraction
from itertools import combinations, permutations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation_site.analysis.agreement import matching as module
from annotation_site.analysis.agreement.lists import matched_patterns
from annotation_site.analysis.annotation_frames import AnnotationFrames
from tests.annotation_site.analysis.hand_worked import frames_of, hand_worked_labels

examples = settings(max_examples=60, deadline=None)
people = st.lists(st.sets(st.integers(1, 6), min_size=1).map(frozenset), max_size=4)

Pattern = frozenset[int]


def answers(
    one: list[Pattern], other: list[Pattern], length: int = 6, **names: str
) -> AnnotationFrames:
    return frames_of(
        lists=[("L", "toy", "value", 0, length)],
        annotations=[(0, "L", names.get("one", "ana")), (1, "L", names.get("other", "ben"))],
        members=[
            (person, number, rank, "names", False)
            for person, patterns in enumerate((one, other))
            for number, ranks in enumerate(patterns, start=1)
            for rank in sorted(ranks)
        ],
    )


def matched(labels: AnnotationFrames, one: str = "ana") -> set[tuple[Pattern, Pattern]]:
    """Matched patterns as token sets, the person `one`'s first."""
    table = matched_patterns(labels, list_ids=["L"], min_tokens=1)
    found = set()
    for row in table[table["jaccard"] > 0].to_dict("records"):
        sides = [
            frozenset(row["shared"]) | frozenset(row[f"only_{s}"]) for s in ("first", "second")
        ]
        found.add(tuple(sides if row["first"] == one else sides[::-1]))
    return found


def jaccard(p: Pattern, q: Pattern) -> Fraction:
    return Fraction(len(p & q), len(p | q))


def largest_sum(one: list[Pattern], other: list[Pattern]) -> Fraction:
    small, large = sorted((one, other), key=len)
    return max(
        sum((jaccard(p, q) for p, q in zip(small, chosen, strict=True)), Fraction(0))
        for chosen in permutations(large, len(small))
    )


@examples
@given(people, people)
def test_the_summed_overlap_is_the_largest_there_is(
    one: list[Pattern], other: list[Pattern]
) -> None:
    table = matched_patterns(answers(one, other), list_ids=["L"], min_tokens=1)
    found = table[table["jaccard"] > 0]
    assert found["jaccard"].sum() == pytest.approx(float(largest_sum(one, other)), abs=1e-12)
    for side in ("first_pattern", "second_pattern"):
        assert found[side].is_unique
        assert sorted(table[side].dropna()) == list(
            range(1, len(one if side == "first_pattern" else other) + 1)
        )


@examples
@given(people, people, st.randoms())
def test_neither_numbers_nor_people_decide(
    one: list[Pattern], other: list[Pattern], random
) -> None:
    plain = matched(answers(one, other))
    random.shuffle(one)
    random.shuffle(other)
    assert matched(answers(one, other)) == plain
    swapped = matched(answers(other, one), one="ben")
    assert swapped == plain


@examples
@given(people, people)
def test_many_patterns_are_matched_as_few_are(one: list[Pattern], other: list[Pattern]) -> None:
    """Large matrices are solved by another algorithm, which decides ties in the same way."""
    plain = matched(answers(one, other))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_ENUMERATED", 0)
        module._assignments.cache_clear()
        try:
            assert matched(answers(one, other)) == plain
        finally:
            module._assignments.cache_clear()


LONG = 30
long_people = st.lists(
    st.sets(st.integers(1, LONG), min_size=1, max_size=12).map(frozenset),
    max_size=4,
    unique=True,
)


def documented(one: list[Pattern], other: list[Pattern]) -> set[tuple[Pattern, Pattern]]:
    """Of all matchings with the largest sum, in fractions, the one that docs/measures.md names."""

    def place(pattern: Pattern) -> list[bool]:
        return [rank not in pattern for rank in range(1, LONG + 1)]

    pairs = [(p, q) for p in one for q in other if p & q]
    pairs.sort(key=lambda pair: (-jaccard(*pair), sorted(map(place, pair))))
    earlier = {pair: number for number, pair in enumerate(pairs)}
    small, large = sorted((one, other), key=len)
    matchings = []
    for chosen in permutations(large, len(small)):
        couples = list(zip(small, chosen, strict=True))
        couples = couples if small is one else [(q, p) for p, q in couples]
        matchings.append([pair for pair in couples if pair in earlier])
    most = max(sum((jaccard(*pair) for pair in m), Fraction(0)) for m in matchings)
    best = [m for m in matchings if sum((jaccard(*pair) for pair in m), Fraction(0)) == most]
    # The earliest pair that only one of two matchings holds decides.
    return set(min(best, key=lambda m: [pair not in m for pair in pairs]))


@settings(max_examples=150, deadline=None)
@given(long_people, long_people)
def test_equal_sums_are_equal_as_fractions_and_decided_as_the_page_says(
    one: list[Pattern], other: list[Pattern]
) -> None:
    if len({*one, *other}) < len(one) + len(other):
        return  # of pairs in one place the categories decide
    assert matched(answers(one, other, length=LONG)) == documented(one, other)


def test_sums_that_floats_tell_apart_though_they_are_equal_are_decided_by_ranks() -> None:
    """1/3 + 1/7 + 1/9 and others: every sum below is reached by two matchings."""
    checked = 0
    for a, b in combinations(range(3, 12), 2):
        # Both of ana's overlap with each of ben's in one token: 1/(a + b - 1) each, crosswise.
        ana = [frozenset(range(1, a + 1)), frozenset(range(12, 12 + a))]
        rest = set(range(24, 24 + b - 2))
        ben = [frozenset({1, 12, *rest}), frozenset({2, 13, *rest})]
        floats = {float(jaccard(p, q)) for p in ana for q in ben}
        assert len(floats) == 1
        if max(rest) > LONG:
            continue
        checked += 1
        assert matched(answers(ana, ben, length=LONG)) == documented(ana, ben)
    assert checked > 10


def test_equal_optima_are_decided_by_the_better_ranks() -> None:
    # Both of ben's patterns overlap with ana's by one half; that with the better rank is matched.
    ana, early, late = frozenset({2, 3}), frozenset({1, 2, 3, 4}), frozenset({2, 3, 5, 6})
    for other in ([early, late], [late, early]):
        assert matched(answers([ana], other)) == {(ana, early)}


def test_equal_tokens_are_matched_to_the_same_category() -> None:
    both = [("ana", 1, "semantic"), ("ana", 2, "syntactic"), ("ben", 1, "syntactic")]
    labels = frames_of(
        lists=[("L", "toy", "value", 0, 4)],
        annotations=[("ana", "L", "ana"), ("ben", "L", "ben")],
        members=[(person, n, rank, name, False) for person, n, name in both for rank in (1, 2)],
    )
    table = matched_patterns(labels, list_ids=["L"], min_tokens=1)
    assert table[["first_pattern", "second_pattern", "same_category"]].to_numpy().tolist() == [
        [2, 1, True],
        [1, None, None],
    ]


def test_lists_longer_than_a_word_of_bits_are_matched_by_all_their_ranks() -> None:
    one = [frozenset({1, 65, 130}), frozenset({2, 66, 131})]
    other = [frozenset({2, 66, 130}), frozenset({1, 65, 131})]
    labels = answers(one, other, length=131)
    assert matched(labels) == {(one[0], other[1]), (one[1], other[0])}


def test_nine_patterns_each_find_their_partner() -> None:
    one = [frozenset({n, n + 1, n + 2}) for n in range(1, 10)]
    other = [ranks | {12} for ranks in one]
    found = matched(answers(one, other[::-1], length=12))
    assert found == set(zip(one, other, strict=True))


def test_matched_patterns_side_by_side() -> None:
    labels = hand_worked_labels(third_person=True)
    table = matched_patterns(labels, list_ids=["B"], min_tokens=4)
    expected = pd.DataFrame(
        [
            ("B", "ana", "ben", 1, 1, 1.0, (3, 5, 7, 9), (), (), False),
            ("B", "ana", "ben", 2, 2, 0.5, (1, 2, 6), (4, 8), (9,), False),
            ("B", "ana", "cem", 1, 1, 1.0, (3, 5, 7, 9), (), (), True),
            ("B", "ana", "cem", 2, None, 0.0, (), (1, 2, 4, 6, 8), (), None),
            ("B", "ben", "cem", 1, 1, 1.0, (3, 5, 7, 9), (), (), False),
            ("B", "ben", "cem", 2, None, 0.0, (), (1, 2, 6, 9), (), None),
        ],
        columns=table.columns,
    )
    assert table.to_dict("records") == expected.astype("object").where(
        expected.notna(), None
    ).to_dict("records")


def test_a_list_with_one_answer_or_none_has_nothing_side_by_side() -> None:
    for list_id in ("C", "E"):
        assert matched_patterns(hand_worked_labels(), list_ids=[list_id], min_tokens=4).empty


def test_all_pairs_of_people_are_compared() -> None:
    labels = hand_worked_labels(third_person=True)
    table = matched_patterns(labels, list_ids=["A"], min_tokens=4)
    pairs = list(table[["first", "second"]].drop_duplicates().itertuples(index=False, name=None))
    assert pairs == list(combinations(("ana", "ben", "cem"), 2))
