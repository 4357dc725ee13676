"""The measures beside other people's code and published numbers, on input that is not degenerate.

On degenerate input libraries differ: scikit-learn gives 1.0 for two partitions into singletons,
NLTK gives 1 for a single value. Ours says "undefined"; test_agreement_tables.py holds that.
"""

import importlib
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, cohen_kappa_score, f1_score
from statsmodels.stats.inter_rater import fleiss_kappa

from annotation_site.analysis.agreement.tables import agreement_table, measure_agreement
from annotation_site.analysis.annotation_frames import AnnotationFrames
from tests.annotation_site.analysis.agreement_frames import grid_labels, random_labels, values_of

# `import nltk.metrics.agreement` is shadowed by names that NLTK's packages export.
AnnotationTask = importlib.import_module("nltk.metrics.agreement").AnnotationTask
masi_distance = importlib.import_module("nltk.metrics.distance").masi_distance

KRIPPENDORFF_2011 = {
    # Krippendorff (2011), section C: nominal data of four observers with missing values.
    "A": "1 2 3 3 2 1 4 1 2 . . .",
    "B": "1 2 3 3 2 2 4 1 2 5 . 3",
    "C": ". 3 3 3 2 3 4 2 2 5 1 .",
    "D": "1 2 3 3 2 4 4 1 2 5 1 .",
}
KRIPPENDORFF_BINARY = {
    # The same text, section A: binary data of two observers.
    "Meg": "0 1 0 0 0 0 0 0 1 0",
    "Owen": "1 1 1 0 0 1 0 0 0 0",
}
KRIPPENDORFF_NOMINAL = {
    # Section B: nominal data of two observers.
    "Ben": "a a b b d c c c e d d a",
    "Gerry": "b a b b b c c c e d d d",
}

NEARLY_ALL_MARKED = {
    # Made up: four observers who mark nearly everything, with missing values.
    "A": "1 1 0 1 1 0 1 1 1 1 0 1 1 .",
    "B": "1 1 0 1 1 1 1 1 0 1 . 1 1 1",
    "C": ". 1 0 1 1 1 1 1 1 1 0 1 . 1",
    "D": "1 1 . 0 1 1 1 1 1 1 1 1 1 1",
}


def observed(rows: dict[str, str], none: str = "") -> AnnotationFrames:
    """Units as lists of one token; "." is missing, and `none` is a token without a pattern."""
    return grid_labels(
        {
            person: [
                None if value == "." else [None if value == none else value]
                for value in row.split()
            ]
            for person, row in rows.items()
        }
    )


@pytest.mark.parametrize(
    ("rows", "none", "alpha"),
    [
        (KRIPPENDORFF_BINARY, "0", 0.095),
        (KRIPPENDORFF_NOMINAL, "", 0.692),
        (KRIPPENDORFF_2011, "", 0.743),
    ],
)
def test_krippendorff_s_published_examples(rows: dict[str, str], none: str, alpha: float) -> None:
    values = values_of(observed(rows, none))
    assert values["krippendorff_alpha_category"] == pytest.approx(alpha, abs=5e-4)
    assert values["krippendorff_alpha_masi"] == pytest.approx(alpha, abs=5e-4)


@pytest.mark.parametrize(
    ("rows", "ac1"),
    [(KRIPPENDORFF_BINARY, 0.310344827586), (NEARLY_ALL_MARKED, 0.78335482591)],
)
def test_ac1_is_that_of_irrcac(rows: dict[str, str], ac1: float) -> None:
    """Values of irrCAC 0.4.4, `CAC(ratings, digits=12).gwet()`; units are lists of one token."""
    assert values_of(observed(rows, "0"))["gwet_ac1_concept"] == pytest.approx(ac1, abs=1e-11)


def test_fleiss_published_example() -> None:
    # Fleiss (1971), table 1 as reprinted widely: 10 subjects, 14 raters, 5 categories, kappa 0.210.
    counts = np.array(
        [
            [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
            [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
        ]
    )  # fmt: skip
    rows = np.array([np.repeat(list("abcde"), row) for row in counts])
    grid = {f"p{rater}": [[value] for value in rows[:, rater]] for rater in range(14)}
    values = values_of(grid_labels(grid))
    assert values["fleiss_kappa_category"] == pytest.approx(0.210, abs=5e-4)
    assert values["fleiss_kappa_category"] == pytest.approx(fleiss_kappa(counts), abs=1e-12)


def codes(labels: AnnotationFrames) -> dict[str, dict[tuple[int, int], frozenset[str]]]:
    """Per person the set of categories of every token, read from the rows one by one."""
    found: dict[str, dict[tuple[int, int], frozenset[str]]] = {}
    length = dict(zip(labels.lists["list_id"], labels.lists["length"], strict=True))
    of_token: dict[tuple[int, int], set[str]] = {}
    for annotation, _, rank, category, _ in labels.members.itertuples(index=False, name=None):
        of_token.setdefault((annotation, rank), set()).add(category)
    for annotation, number, person in labels.annotations.itertuples(index=False, name=None):
        for rank in range(1, length[number] + 1):
            value = frozenset(of_token.get((annotation, rank), {"none"}))
            found.setdefault(person, {})[number, rank] = value
    return found


def task(labels: AnnotationFrames, convert: Any, **options: Any) -> Any:
    people = codes(labels)
    return AnnotationTask(
        [
            (person, f"{token}", convert(value))
            for person in people
            for token, value in people[person].items()
        ],
        **options,
    )


def in_concept(value: frozenset[str]) -> bool:
    return value != {"none"}


def name(value: frozenset[str]) -> str:
    return "+".join(sorted(value))


@pytest.mark.parametrize("share", [1.0, 0.8])
@pytest.mark.parametrize(("coding", "convert"), [("concept", in_concept), ("category", name)])
def test_token_measures_are_those_of_nltk(coding: str, convert: Any, share: float) -> None:
    labels = random_labels(30, 4, share=share)
    values, reference = values_of(labels), task(labels, convert)
    alpha = values[f"krippendorff_alpha_{coding}"]
    assert alpha == pytest.approx(reference.alpha(), abs=1e-9)
    if share == 1:
        assert values[f"percent_agreement_{coding}"] == pytest.approx(reference.avg_Ao(), abs=1e-9)
        assert values[f"cohen_kappa_{coding}"] == pytest.approx(reference.kappa(), abs=1e-9)


def test_alpha_of_sets_is_nltk_s_with_its_masi_distance() -> None:
    labels = random_labels(20, 3, share=0.9, overlap=True)
    reference = task(labels, frozenset, distance=masi_distance)
    value = values_of(labels)["krippendorff_alpha_masi"]
    assert value == pytest.approx(reference.alpha(), abs=1e-9)


@pytest.mark.parametrize(("coding", "convert"), [("concept", in_concept), ("category", name)])
def test_kappas_are_those_of_scikit_learn_and_statsmodels(coding: str, convert: Any) -> None:
    labels = random_labels(30, 3, share=0.8)
    people = codes(labels)
    kappas, weights = [], []
    for one, other in combinations(people, 2):
        common = [token for token in people[one] if token in people[other]]
        left, right = ([convert(people[p][token]) for token in common] for p in (one, other))
        kappas.append(cohen_kappa_score(left, right))
        weights.append(len(common))
    value = values_of(labels)[f"cohen_kappa_{coding}"]
    assert value == pytest.approx(np.average(kappas, weights=weights), abs=1e-12)

    everywhere = random_labels(30, 3)
    people = codes(everywhere)
    tokens = list(people["p0"])
    given = [[convert(people[person][token]) for person in people] for token in tokens]
    values = sorted({value for row in given for value in row})
    counts = [[row.count(value) for value in values] for row in given]
    value = values_of(everywhere)[f"fleiss_kappa_{coding}"]
    assert value == pytest.approx(fleiss_kappa(counts), abs=1e-12)


def test_the_adjusted_rand_index_is_scikit_learn_s() -> None:
    labels = random_labels(12, 2)
    wanted = []
    for _, annotations in labels.annotations.groupby("list_id")["annotation_id"]:
        groups = []
        for annotation in annotations:
            group = {rank: -rank for rank in range(1, 11)}
            rows = labels.members[labels.members["annotation_id"] == annotation]
            groups.append(
                [*(group | dict(zip(rows["rank"], rows["pattern"], strict=True))).values()]
            )
        wanted.append(adjusted_rand_score(*groups))
    agreement = measure_agreement(labels, min_tokens=1)
    table = agreement_table(agreement, by=["list_id"])
    for name in ("adjusted_rand_index", "omega_index"):  # equal where no token is in two patterns
        got = table[table["measure"] == name].set_index("list_id")["value"]
        assert got.loc[labels.lists["list_id"]].to_numpy() == pytest.approx(
            np.array(wanted), abs=1e-12
        )


def test_f1_is_scikit_learn_s_where_patterns_are_equal_or_apart() -> None:
    # Patterns 1, 2, 3 of ana, 2, 3, 4, 5 of ben, each two ranks of the list: found or not.
    of_person = {"ana": (1, 2, 3), "ben": (2, 3, 4, 5)}
    grid = grid_labels({person: [["names"] * 10] for person in of_person})
    members = grid.members.assign(pattern=(grid.members["rank"] + 1) // 2)
    people = members["annotation_id"].map(dict(enumerate(of_person)))
    kept = [n in of_person[person] for n, person in zip(members["pattern"], people, strict=True)]
    values = values_of(AnnotationFrames(grid.lists, grid.annotations, members[kept]))
    marks = [[n in of_person[person] for n in range(1, 6)] for person in of_person]
    assert values["pattern_f1"] == pytest.approx(f1_score(*marks), abs=1e-12)
