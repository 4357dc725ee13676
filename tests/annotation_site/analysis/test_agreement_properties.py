from fractions import Fraction
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation_site.analysis.agreement.lists import machine_pairs_table
from annotation_site.analysis.agreement.registry import AGREEMENT_MEASURES
from annotation_site.analysis.agreement.tables import (
    agreement_table,
    agreement_tables,
    measure_agreement,
)
from annotation_site.analysis.annotation_frames import AnnotationFrames
from annotation_site.analysis.coverage import DEFAULT_CATEGORIES
from tests.annotation_site.analysis.agreement_frames import (
    LENGTH,
    PEOPLE,
    random_labels,
    some_labels,
    values_of,
)

# Building dataframes is slow beside what is tested; the time of one example says nothing.
examples = settings(max_examples=20, deadline=None)
sizes = st.integers(1, 3)


def tables(labels: AnnotationFrames, min_tokens: int) -> list[pd.DataFrame]:
    agreement = measure_agreement(labels, min_tokens=min_tokens, categories=DEFAULT_CATEGORIES)
    return agreement_tables(agreement, by=[(), ("kind", "layer"), ("category",)])


def assert_same(left: list[pd.DataFrame], right: list[pd.DataFrame]) -> None:
    for one, other in zip(left, right, strict=True):
        pd.testing.assert_frame_equal(one, other, rtol=0, atol=1e-9)


@examples
@given(some_labels(), sizes)
def test_renaming_people_and_renumbering_patterns_changes_nothing(
    labels: AnnotationFrames, min_tokens: int
) -> None:
    names = dict(zip(PEOPLE, ("z9", "a1", "k5"), strict=True))
    renamed = AnnotationFrames(
        labels.lists,
        labels.annotations.assign(annotator=labels.annotations["annotator"].map(names)),
        labels.members.assign(pattern=100 - 7 * labels.members["pattern"]),
    )
    assert_same(tables(labels, min_tokens), tables(renamed, min_tokens))


@examples
@given(some_labels(), sizes)
def test_the_order_of_rows_changes_nothing_not_even_a_last_digit(
    labels: AnnotationFrames, min_tokens: int
) -> None:
    frames = (labels.lists, labels.annotations, labels.members)
    shuffled = AnnotationFrames(*(frame.sample(frac=1, random_state=1) for frame in frames))
    for one, other in zip(tables(labels, min_tokens), tables(shuffled, min_tokens), strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


@examples
@given(some_labels(), sizes)
def test_permuting_lists_changes_nothing(labels: AnnotationFrames, min_tokens: int) -> None:
    permuted = AnnotationFrames(
        labels.lists.assign(list_id=99 - labels.lists["list_id"]),
        labels.annotations.assign(list_id=99 - labels.annotations["list_id"]),
        labels.members,
    )
    assert_same(tables(labels, min_tokens), tables(permuted, min_tokens))


@examples
@given(some_labels(), some_labels(), sizes)
def test_what_others_answer_to_other_lists_changes_no_group_and_no_pair(
    labels: AnnotationFrames, others: AnnotationFrames, min_tokens: int
) -> None:
    """An annotator unknown to these lists, and lists of another model, are added."""
    lists = others.lists.assign(list_id=others.lists["list_id"] + 50, model="other")
    annotations = others.annotations.assign(
        annotation_id=others.annotations["annotation_id"] + 500,
        list_id=others.annotations["list_id"] + 50,
        annotator=others.annotations["annotator"].map(dict(zip(PEOPLE, "abc", strict=True))),
    )
    members = others.members.assign(annotation_id=others.members["annotation_id"] + 500)
    more = AnnotationFrames(
        pd.concat([labels.lists, lists]),
        pd.concat([labels.annotations, annotations]),
        pd.concat([labels.members, members]),
    )

    def of(some: AnnotationFrames, by: tuple[str, ...]) -> pd.DataFrame:
        agreement = measure_agreement(some, min_tokens=min_tokens)
        table = agreement_table(agreement.by_pair() if "first" in by else agreement, by=by)
        return table[table["model"] == "toy"].reset_index(drop=True)

    for by in (("model",), ("model", "first", "second")):
        if len(labels.lists):
            pd.testing.assert_frame_equal(
                of(more, by), of(labels, by), check_dtype=False, rtol=0, atol=1e-9
            )


@examples
@given(some_labels(), sizes)
def test_the_same_tokens_and_categories_are_full_agreement(
    labels: AnnotationFrames, min_tokens: int
) -> None:
    """Descriptions are no part of the labels; numbers and the order of patterns differ here."""
    copy = AnnotationFrames(
        labels.lists,
        labels.annotations.assign(
            annotation_id=labels.annotations["annotation_id"] + 500,
            annotator="copy of " + labels.annotations["annotator"].astype(str),
        ),
        labels.members.assign(
            annotation_id=labels.members["annotation_id"] + 500,
            pattern=9 - labels.members["pattern"],
        ),
    )
    both = AnnotationFrames(
        labels.lists,
        pd.concat([labels.annotations, copy.annotations]),
        pd.concat([labels.members, copy.members]),
    )
    table = agreement_table(
        measure_agreement(both, min_tokens=min_tokens).by_pair(), by=["first", "second"]
    )
    copies = table[table["second"] == "copy of " + table["first"].astype(str)]
    assert len(copies) == len(AGREEMENT_MEASURES) * labels.annotations["annotator"].nunique()
    defined = copies[copies["undefined"] == ""]
    assert defined["value"].to_numpy() == pytest.approx(np.ones(len(defined)), abs=1e-12)
    shown = defined[defined["measure"] == "percent_agreement_concept"]
    assert len(shown) == labels.annotations["annotator"].nunique()


@examples
@given(some_labels(), sizes)
def test_a_value_is_a_number_or_says_why_not(labels: AnnotationFrames, min_tokens: int) -> None:
    for table in tables(labels, min_tokens):
        missing = table["value"].isna()
        assert (missing == table["undefined"].str.startswith("undefined, because ")).all()
        assert table.loc[~missing, "value"].between(-1, 1 + 1e-12).all()
        assert (table.loc[~missing, "n"] > 0).all()
        assert (table["lists"] <= table["lists_total"]).all()


@examples
@given(some_labels(overlap=False), sizes)
def test_without_overlap_sets_of_categories_are_categories(
    labels: AnnotationFrames, min_tokens: int
) -> None:
    values = values_of(labels, min_tokens)
    masi, nominal = values["krippendorff_alpha_masi"], values["krippendorff_alpha_category"]
    assert masi == pytest.approx(nominal, abs=1e-12, nan_ok=True)


@examples
@given(some_labels(), sizes)
def test_the_mean_over_pairs_of_people_is_the_whole(
    labels: AnnotationFrames, min_tokens: int
) -> None:
    agreement = measure_agreement(labels, min_tokens=min_tokens)
    pairs = agreement_table(agreement.by_pair(), by=["first", "second"])
    values = agreement_table(agreement).set_index("measure")["value"]
    for name in ("percent_agreement_concept", "cohen_kappa_concept", "cohen_kappa_category"):
        points = pairs[(pairs["measure"] == name) & (pairs["undefined"] == "")]
        if len(points):
            mean = np.average(points["value"], weights=points["n"])
            assert values[name] == pytest.approx(mean, abs=1e-12)


def token_values(labels: AnnotationFrames, min_tokens: int) -> dict[tuple[int, str], list[bool]]:
    """Per list and person whether each token is in a qualifying pattern, from the rows."""
    length = dict(zip(labels.lists["list_id"], labels.lists["length"], strict=True))
    found = {}
    for annotation, number, person in labels.annotations.itertuples(index=False, name=None):
        rows = labels.members[labels.members["annotation_id"] == annotation]
        sizes = rows.groupby("pattern")["rank"].transform("size")
        ranks = set(rows.loc[sizes >= min_tokens, "rank"])
        found[number, person] = [rank in ranks for rank in range(1, length[number] + 1)]
    return found


@examples
@given(some_labels(), sizes)
def test_alpha_and_percent_agreement_have_the_values_of_the_definition(
    labels: AnnotationFrames, min_tokens: int
) -> None:
    answers = token_values(labels, min_tokens)
    units = [
        [answers[number, person][rank] for person in PEOPLE if (number, person) in answers]
        for number in labels.lists["list_id"]
        for rank in range(LENGTH)
        if any((number, p) in answers and rank < len(answers[number, p]) for p in PEOPLE)
    ]
    units = [unit for unit in units if len(unit) > 1]
    pairs = [one == other for unit in units for one, other in combinations(unit, 2)]
    values = values_of(labels, min_tokens)
    if not pairs:
        assert np.isnan(values["percent_agreement_concept"])
        return
    agreement = Fraction(sum(pairs), len(pairs))
    assert values["percent_agreement_concept"] == pytest.approx(float(agreement), abs=1e-12)
    disagreement = sum(
        Fraction(2 * sum(one != other for one, other in combinations(unit, 2)), len(unit) - 1)
        for unit in units
    )
    given = sum(len(unit) for unit in units)
    marked = sum(sum(unit) for unit in units)
    expected = 2 * marked * (given - marked)
    if expected == 0:
        assert np.isnan(values["krippendorff_alpha_concept"])
    else:
        alpha = 1 - (given - 1) * disagreement / expected
        assert values["krippendorff_alpha_concept"] == pytest.approx(float(alpha), abs=1e-12)


@pytest.mark.parametrize("name", AGREEMENT_MEASURES)
def test_every_measure_tells_noise_from_agreement(name: str) -> None:
    """Whatever a new measure measures, shuffled answers must agree less than noisy copies."""
    labels = random_labels(60, 3, seed=1)
    rng = np.random.default_rng(0)
    shuffled = labels.members.assign(
        rank=labels.members.groupby("annotation_id")["rank"].transform(
            lambda ranks: ranks.map(dict(zip(range(1, 11), rng.permutation(10) + 1, strict=True)))
        )
    )
    noise = AnnotationFrames(labels.lists, labels.annotations, shuffled)
    few = {name: AGREEMENT_MEASURES[name]}
    agreed = values_of(labels, measures=few)[name]
    if name == "matched_category_agreement":
        assert 0.2 < agreed < 0.5  # categories are drawn at random in these answers
    elif name == "matched_stopwords_agreement":
        assert 0.5 < agreed < 0.8  # and flags have nothing to do with entries
    elif name == "pattern_count_agreement":
        assert agreed == values_of(noise, measures=few)[name]  # shuffled patterns are as many
    else:
        assert agreed > values_of(noise, measures=few)[name] + 0.05


@examples
@given(some_labels(), sizes)
def test_answers_read_apart_are_compared_as_if_they_had_been_read_together(
    labels: AnnotationFrames, min_tokens: int
) -> None:
    annotations = labels.annotations
    ana, ben = (annotations_of(labels, annotations["annotator"] == one) for one in ("ana", "ben"))
    shared = set(ana.annotations["list_id"]) & set(ben.annotations["list_id"])
    of_both = annotations["annotator"].isin(["ana", "ben"]) & annotations["list_id"].isin(shared)
    two = annotations_of(labels, of_both)
    lists = labels.lists[labels.lists["list_id"].isin(shared)]
    together = measure_agreement(
        AnnotationFrames(lists, two.annotations, two.members), min_tokens=min_tokens
    )
    apart = machine_pairs_table(
        *(measure_agreement(one, min_tokens=min_tokens) for one in (ana, ben)), list(shared)
    )
    table = agreement_table(together)
    # The machine's own annotations are not counted there.
    assert_same([apart], [table.assign(annotations=table["annotations"] // 2)])


def annotations_of(labels: AnnotationFrames, chosen: pd.Series) -> AnnotationFrames:
    annotations = labels.annotations[chosen]
    inside = labels.members["annotation_id"].isin(annotations["annotation_id"])
    return AnnotationFrames(labels.lists, annotations, labels.members[inside])
