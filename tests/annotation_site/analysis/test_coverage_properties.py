from collections import Counter
from fractions import Fraction

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation_site.analysis.annotation_frames import KINDS
from annotation_site.analysis.coverage import (
    DEFAULT_CATEGORIES,
    AnnotationFrames,
    annotation_coverage,
    coverage_table,
)
from tests.annotation_site.analysis.hand_worked import frames_of

LENGTH = 8
SHARES = ["coverage", "coverage_with_stopwords", *DEFAULT_CATEGORIES]
# Building dataframes is slow beside what is tested; the time of one example says nothing.
examples = settings(max_examples=20, deadline=None)
MEASURES = [*SHARES, "concepts_per_list", "concepts_per_list_with_stopwords"]

patterns = st.lists(
    st.tuples(st.sets(st.integers(1, LENGTH)), st.sampled_from(DEFAULT_CATEGORIES), st.booleans()),
    max_size=4,
)


@st.composite
def some_labels(draw: st.DrawFn) -> AnnotationFrames:
    """A few lists of every kind and layer, each annotated by none to three people."""
    groups = draw(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 2)), max_size=6))
    lists, annotations, members = [], [], []
    for number, (kind, layer) in enumerate(groups):
        lists.append((number, "toy", kind, layer, draw(st.integers(LENGTH, LENGTH + 2))))
        for person in draw(st.sets(st.sampled_from(["ana", "ben", "cem"]))):
            annotations.append((len(annotations), number, person))
            for pattern, (ranks, category, flag) in enumerate(draw(patterns), start=1):
                answer = annotations[-1][0]
                members += [(answer, pattern, rank, category, flag) for rank in sorted(ranks)]
    return frames_of(lists=lists, annotations=annotations, members=members)


def table_of(labels: AnnotationFrames, min_tokens: int = 3) -> pd.DataFrame:
    return coverage_table(
        labels,
        min_tokens=min_tokens,
        categories=DEFAULT_CATEGORIES,
        by=("model", "kind", "layer"),
    )


def assert_same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(left, right, rtol=0, atol=1e-12)


def defined(labels: AnnotationFrames, annotation: int, min_tokens: int) -> dict[str, Fraction]:
    """The definition of docs/measures.md with sets and fractions, for one annotation."""
    rows = labels.members[labels.members["annotation_id"] == annotation]
    of_list = labels.annotations.set_index("annotation_id")["list_id"][annotation]
    k = int(labels.lists.set_index("list_id")["length"][of_list])
    found = {
        number: (set(rows_of["rank"]), rows_of["category"].iloc[0], rows_of["stopwords"].iloc[0])
        for number, rows_of in rows.groupby("pattern")
        if len(rows_of) >= min_tokens
    }
    headline = [(ranks, category) for ranks, category, flag in found.values() if not flag]
    union = set().union(*(ranks for ranks, _ in headline))
    shares: Counter[str] = Counter()
    for rank in union:
        of_token = {category for ranks, category in headline if rank in ranks}
        for category in of_token:
            shares[category] += Fraction(1, len(of_token) * k)
    return {
        "coverage": Fraction(len(union), k),
        "coverage_with_stopwords": Fraction(len(set().union(*(r for r, *_ in found.values()))), k),
        **{category: Fraction(shares[category]) for category in set(rows["category"])},
        "concepts": Fraction(len(headline)),
        "concepts_with_stopwords": Fraction(len(found)),
    }


@examples
@given(some_labels(), st.integers(1, 5))
def test_every_annotation_has_the_values_of_the_definition(
    labels: AnnotationFrames, min_tokens: int
) -> None:
    for row in annotation_coverage(labels, min_tokens=min_tokens).to_dict("records"):
        wanted = defined(labels, row["annotation_id"], min_tokens)
        assert {name: round(row[name], 12) for name in wanted} == {
            name: round(float(value), 12) for name, value in wanted.items()
        }


@examples
@given(some_labels(), st.integers(1, 5))
def test_categories_add_up_to_the_headline(labels: AnnotationFrames, min_tokens: int) -> None:
    table = table_of(labels, min_tokens)
    parts = table[list(DEFAULT_CATEGORIES)].sum(axis=1, skipna=False)
    pd.testing.assert_series_equal(parts, table["coverage"], check_names=False, atol=1e-12)


@examples
@given(some_labels(), st.integers(1, 5))
def test_leaving_stopwords_out_never_raises_a_number(
    labels: AnnotationFrames, min_tokens: int
) -> None:
    table = table_of(labels, min_tokens).dropna()
    for measure in ("coverage", "concepts_per_list"):
        assert (table[measure] <= table[f"{measure}_with_stopwords"] + 1e-12).all()


@examples
@given(some_labels(), st.integers(1, 5))
def test_raising_the_minimum_never_raises_coverage_or_concepts(
    labels: AnnotationFrames, min_tokens: int
) -> None:
    lower, higher = table_of(labels, min_tokens), table_of(labels, min_tokens + 1)
    for measure in MEASURES:
        if measure not in DEFAULT_CATEGORIES:
            # A category may gain: a token that another one shared can become its own.
            assert ((higher[measure] <= lower[measure] + 1e-12) | higher[measure].isna()).all()
    counts = ["lists_total", "lists", "annotations", "no_pattern"]
    assert_same(lower[counts], higher[counts])


@examples
@given(some_labels())
def test_the_order_of_rows_changes_nothing_not_even_a_last_digit(labels: AnnotationFrames) -> None:
    shuffled = AnnotationFrames(*(frame.sample(frac=1, random_state=1) for frame in parts(labels)))
    pd.testing.assert_frame_equal(table_of(labels), table_of(shuffled), check_exact=True)


@examples
@given(some_labels())
def test_names_of_people_and_numbers_of_patterns_change_nothing(labels: AnnotationFrames) -> None:
    lists, annotations, members = parts(labels)
    people = {"ana": "z9", "ben": "a1", "cem": "k5"}
    renamed = AnnotationFrames(
        lists,
        annotations.assign(annotator=annotations["annotator"].map(people)),
        members.assign(pattern=100 - 7 * members["pattern"]),
    )
    pd.testing.assert_frame_equal(table_of(labels), table_of(renamed), check_exact=True)


@examples
@given(some_labels())
def test_ids_change_nothing(labels: AnnotationFrames) -> None:
    lists, annotations, members = parts(labels)
    renamed = AnnotationFrames(
        lists.assign(list_id="l" + (99 - lists["list_id"]).astype(str)),
        annotations.assign(
            annotation_id="a" + (99 - annotations["annotation_id"]).astype(str),
            list_id="l" + (99 - annotations["list_id"]).astype(str),
        ),
        members.assign(annotation_id="a" + (99 - members["annotation_id"]).astype(str)),
    )
    assert_same(table_of(labels), table_of(renamed))


@examples
@given(some_labels())
def test_a_group_is_computed_from_its_own_lists_alone(labels: AnnotationFrames) -> None:
    lists, annotations, members = parts(labels)
    values = lists[lists["kind"] == "value"]
    of_values = annotations[annotations["list_id"].isin(values["list_id"])]
    inside = members["annotation_id"].isin(of_values["annotation_id"])
    alone = table_of(AnnotationFrames(values, of_values, members[inside]))
    together = table_of(labels)
    assert_same(together[together["kind"] == "value"].reset_index(drop=True), alone)


def parts(labels: AnnotationFrames) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    return labels.lists, labels.annotations, labels.members
