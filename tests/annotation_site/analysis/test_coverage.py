from fractions import Fraction

import pandas as pd
import pytest

from annotation_site.analysis.coverage import annotation_coverage, coverage_table, list_coverage
from tests.annotation_site.analysis.hand_worked import frames_of, hand_worked_labels

CATEGORIES = ["semantic", "syntactic", "names"]

# Derived by hand in docs/measures.md; "-" is missing.
BY_ANNOTATION = """
annotation_id list_id annotator patterns coverage coverage_with_stopwords names semantic syntactic \
concepts concepts_with_stopwords
A-ana A ana 2  5/10 5/10  0    5/10 0    1 1
A-ben A ben 2  6/10 6/10  0    7/20 5/20 2 2
B-ana B ana 2  4/10 9/10  4/10 0    0    1 2
B-ben B ben 2  4/10 7/10  0    4/10 0    1 2
C-ana C ana 1  8/10 8/10  0    0    8/10 1 1
D-ana D ana 0  0    0     0    0    0    0 0
D-ben D ben 1  0    0     0    0    0    0 0
"""
BY_LIST = """
list_id model kind layer annotations no_pattern coverage coverage_with_stopwords \
semantic syntactic names concepts_per_list concepts_per_list_with_stopwords
A toy value  0 2 0  11/20 11/20  17/40 1/8 0    3/2 3/2
B toy value  1 2 0  2/5   4/5    1/5   0   1/5  1   2
C toy value  1 1 0  4/5   4/5    0     4/5 0    1   1
D toy random 0 2 1  0     0      0     0   0    0   0
E toy random 1 0 0  -     -      -     -   -    -   -
"""
BY_KIND = """
model kind lists_total lists annotations no_pattern coverage coverage_with_stopwords \
semantic syntactic names concepts_per_list concepts_per_list_with_stopwords
toy value  3 3 5 0  7/12 43/60  5/24 37/120 1/15  7/6 3/2
toy random 2 1 2 1  0    0      0    0      0     0   0
"""
BY_KIND_FROM_THREE_MEMBERS = """
model kind lists_total lists annotations no_pattern coverage coverage_with_stopwords \
semantic syntactic names concepts_per_list concepts_per_list_with_stopwords
toy value  3 3 5 0  19/30 23/30  5/24 43/120 1/15  4/3 5/3
toy random 2 1 2 1  3/20  3/20   3/20 0      0     1/2 1/2
"""
BY_KIND_AND_LAYER = """
model kind layer lists_total lists annotations no_pattern coverage coverage_with_stopwords \
semantic syntactic names concepts_per_list concepts_per_list_with_stopwords
toy value  0 1 1 2 0  11/20 11/20  17/40 1/8 0     3/2 3/2
toy value  1 2 2 3 0  3/5   4/5    1/10  2/5 1/10  1   3/2
toy random 0 1 1 2 1  0     0      0     0   0     0   0
toy random 1 1 0 0 0  -     -      -     -   -     -   -
"""


def assert_table(table: pd.DataFrame, expected: str) -> None:
    header, *lines = [line.split() for line in expected.strip().splitlines()]
    assert list(table.columns) == header
    assert len(table) == len(lines)
    for row, line in zip(table.itertuples(index=False), lines, strict=True):
        for name, got, wanted in zip(header, row, line, strict=True):
            if isinstance(got, str):
                assert got == wanted, name
            elif wanted == "-":
                assert pd.isna(got), name
            else:
                assert got == pytest.approx(float(Fraction(wanted)), abs=1e-12), (line, name)


def test_hand_worked_study_by_annotation() -> None:
    assert_table(annotation_coverage(hand_worked_labels(), min_tokens=4), BY_ANNOTATION)


def test_hand_worked_study_by_list() -> None:
    lists = list_coverage(hand_worked_labels(), min_tokens=4, categories=CATEGORIES)
    lists["kind"] = lists["kind"].astype(str)
    # Kinds come in the order value, random, update.
    assert_table(lists, BY_LIST)


@pytest.mark.parametrize(
    ("by", "min_tokens", "expected"),
    [
        (("model", "kind"), 4, BY_KIND),
        (("model", "kind"), 3, BY_KIND_FROM_THREE_MEMBERS),
        (("model", "kind", "layer"), 4, BY_KIND_AND_LAYER),
    ],
)
def test_hand_worked_study_as_tables(by: tuple[str, ...], min_tokens: int, expected: str) -> None:
    table = coverage_table(
        hand_worked_labels(), min_tokens=min_tokens, categories=CATEGORIES, by=by
    )
    assert_table(table, expected)


@pytest.mark.parametrize(("min_tokens", "covered"), [(4, 24), (3, 27)])
def test_example_of_the_paper(min_tokens: int, covered: int) -> None:
    """Geva et al. (2022), table 7: of 30 tokens, 24 in pattern 1 and 3 in pattern 2."""
    naming = {9, 26, 28}
    none = {19, 21, 23}
    labels = frames_of(
        lists=[("7", "WikiLM", "value", 0, 30)],
        annotations=[("a", "7", "author")],
        members=[
            ("a", 2 if rank in naming else 1, rank, "semantic", False)
            for rank in range(1, 31)
            if rank not in none
        ],
    )
    (answer,) = annotation_coverage(labels, min_tokens=min_tokens).to_dict("records")
    assert answer["coverage"] == covered / 30
    assert answer["semantic"] == pytest.approx(covered / 30)
    assert answer["concepts"] == (2 if min_tokens == 3 else 1)


def test_groups_come_in_a_fixed_order_whatever_the_order_of_the_lists() -> None:
    lists = [
        (f"{model}-{kind}-{layer}", model, kind, layer, 30)
        for layer in (10, 2, 0)
        for kind in ("update", "random", "value")
        for model in ("wikilm", "gpt2")
    ]
    table = coverage_table(
        frames_of(lists=lists), min_tokens=4, categories=CATEGORIES, by=("model", "kind", "layer")
    )
    assert list(table[["model", "kind", "layer"]].itertuples(index=False, name=None)) == [
        (model, kind, layer)
        for model in ("gpt2", "wikilm")
        for kind in ("value", "random", "update")
        for layer in (0, 2, 10)
    ]


def test_no_labels_at_all_give_a_table_of_missing_values() -> None:
    table = coverage_table(
        frames_of(lists=[("A", "toy", "value", 0, 30)]), min_tokens=4, categories=CATEGORIES
    )
    assert table.iloc[0, :6].to_list() == ["toy", "value", 1, 0, 0, 0]
    assert table.iloc[0, 6:].isna().all()
    assert len(table.columns) == 13


def test_no_lists_at_all_give_the_same_columns() -> None:
    empty = coverage_table(frames_of(lists=[]), min_tokens=4, categories=CATEGORIES)
    full = coverage_table(hand_worked_labels(), min_tokens=4, categories=CATEGORIES)
    assert empty.empty
    assert list(empty.columns) == list(full.columns)


def test_a_category_that_nobody_used_is_zero_and_not_missing() -> None:
    table = coverage_table(hand_worked_labels(), min_tokens=4, categories=[*CATEGORIES, "shallow"])
    assert table["shallow"].to_list() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"categories": ["semantic", "syntactic"]}, "hold the categories names"),
        ({"categories": [*CATEGORIES, "names"]}, "one of them twice"),
        ({"categories": [*CATEGORIES, "lists"]}, "No category can be named lists"),
        ({"min_tokens": 0}, "a pattern has at least 1 member"),
        ({"by": ()}, "model, kind and layer, each at most once"),
        ({"by": ("kind", "kind")}, "model, kind and layer, each at most once"),
        ({"by": ("annotator",)}, "model, kind and layer, each at most once"),
    ],
)
def test_a_request_that_would_drop_or_confuse_something_is_refused(
    arguments: dict, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        coverage_table(
            hand_worked_labels(), **{"min_tokens": 4, "categories": CATEGORIES, **arguments}
        )
