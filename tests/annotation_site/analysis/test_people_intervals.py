"""Intervals for people like the annotators: against literal loops, and their conditions."""

import re
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from annotation_site.analysis.agreement.encoding import encode
from annotation_site.analysis.agreement.people import (
    RESAMPLED_AGREEMENT,
    PairsOfAnswers,
    resampled_agreement,
)
from annotation_site.analysis.agreement.tables import measure_agreement
from annotation_site.analysis.annotation_frames import AnnotationFrames
from annotation_site.analysis.coverage import list_coverage
from annotation_site.analysis.people_intervals import Setting, people_intervals
from annotation_site.analysis.strata import Populations
from annotation_site.analysis.two_way import (
    PEOPLE_RESAMPLES,
    Answers,
    equal_people,
    people_draws,
    resampled_differences,
    resampled_means,
    two_way_half_widths,
)
from annotation_site.results.tables.registry import TABLES
from annotation_site.results.tables.request import FINAL
from benchmarks.people_intervals import Design, people_coverage
from tests.annotation_site.analysis.agreement_frames import values_of
from tests.annotation_site.analysis.hand_worked import frames_of
from tests.annotation_site.results.requests import request

PAGE = (Path(__file__).parents[3] / "docs" / "measures.md").read_text(encoding="utf-8")
CATEGORIES = ["semantic", "syntactic", "names"]


def crowd(
    people: int, *, layers: int = 3, per_layer: int = 4, per_list: int = 2, seed: int = 0
) -> AnnotationFrames:
    """Value and random lists of 12 tokens, each annotated by some of the people."""
    rng = np.random.default_rng(seed)
    lists, annotations, members = [], [], []
    for kind in ("value", "random"):
        for layer in range(layers):
            for _ in range(per_layer):
                number = len(lists)
                lists.append((number, "toy", kind, layer, 12))
                for person in (np.arange(per_list) + number) % people:
                    one = len(annotations)
                    annotations.append((one, number, f"p{person:02}"))
                    size = int(rng.integers(3, 9)) - (kind == "random") + (person % 3)
                    ranks = rng.permutation(12)[: min(size, 12)] + 1
                    category = CATEGORIES[int(rng.integers(0, 2))]
                    members += [(one, 1, int(rank), category, person == 1) for rank in ranks]
    return frames_of(lists=lists, annotations=annotations, members=members)


def table(labels: AnnotationFrames, **changes) -> pd.DataFrame:
    found = TABLES["people_intervals"](request(labels, **changes))
    return found.set_index(["of", "kind", "measure"])


def test_the_case_worked_by_hand_has_these_draws_and_this_variance():
    rows = re.findall(r"^\| (\w+), (\w+) \| (\d) \|.*\| ([\d/]+) \|$", PAGE, re.MULTILINE)
    assert len(rows) == 6
    names = ["ana", "ben", "cem"]
    draws = np.array([[names[n] in pair and pair.count(names[n]) for *pair, _, _ in rows]
                      for n in range(3)], dtype=float)  # fmt: skip
    answers = Answers(
        np.array([0, 1, 1, 2]), np.array([0, 0, 1, 1]), np.array([[0.2], [0.4], [0.6], [0.8]])
    )
    (means,) = resampled_means(answers, draws)
    assert means == pytest.approx([float(Fraction(mean)) for *_, mean in rows])
    counts = np.array([int(count) for *_, count, _ in rows])
    middle = np.average(means, weights=counts)
    assert middle == pytest.approx(1 / 2)
    assert np.average((means - middle) ** 2, weights=counts) == pytest.approx(19 / 900)
    assert answers.equal_people == pytest.approx(8 / 3)


def test_coverage_and_differences_are_those_of_literal_copies_of_people():
    labels = crowd(5)
    draws = people_draws(5, resamples=12, seed=1)
    assert (draws.sum(axis=0) == 4).all()
    per_list = list_coverage(labels, min_tokens=4, categories=CATEGORIES)
    alone = AnnotationFrames(
        labels.lists.loc[labels.annotations["list_id"]].assign(
            list_id=labels.annotations["annotation_id"].to_numpy()
        ),
        labels.annotations.assign(list_id=labels.annotations["annotation_id"]),
        labels.members,
    )
    values = list_coverage(alone, min_tokens=4, categories=CATEGORIES).set_index("list_id")
    place = {list_id: n for n, list_id in enumerate(per_list["list_id"])}
    people = sorted(set(labels.annotations["annotator"]))
    rows = list(labels.annotations.itertuples(index=False))
    answers = Answers(
        np.array([people.index(row.annotator) for row in rows]),
        np.array([place[row.list_id] for row in rows]),
        np.array([[values.loc[row.annotation_id, "coverage"]] for row in rows]),
    )
    means, apart = [], []
    for drawn in draws.T:
        of_list = {}
        for list_id in per_list["list_id"]:
            copies = [
                values.loc[row.annotation_id, "coverage"]
                for row in rows
                if row.list_id == list_id
                for _ in range(int(drawn[people.index(row.annotator)]))
            ]
            if copies:
                of_list[list_id] = np.mean(copies)
        means.append(np.mean(list(of_list.values())))
        by_layer = []
        for layer in range(3):
            kinds = [
                [of_list[row.list_id] for row in per_list.itertuples()
                 if row.layer == layer and row.kind == kind and row.list_id in of_list]
                for kind in ("value", "random")
            ]  # fmt: skip
            if all(kinds):
                by_layer.append(np.mean(kinds[0]) - np.mean(kinds[1]))
        apart.append(np.mean(by_layer))  # layers have the same number of lists
    assert resampled_means(answers, draws)[0] == pytest.approx(means)
    found = resampled_differences(
        answers,
        draws,
        is_first=(per_list["kind"] == "value").to_numpy().astype(int),
        layer=per_list["layer"].to_numpy(),
        held=np.full(3, 8.0),
    )
    assert found[0] == pytest.approx(apart)


def test_a_layer_without_a_drawn_person_is_left_out_of_the_difference():
    # Layer 0: ben annotated the random list; layer 1: ana annotated both.
    answers = Answers(np.array([0, 1, 0, 0]), np.arange(4), np.array([[0.9], [0.1], [0.7], [0.4]]))
    draws = np.array([[1.0, 2.0, 0.0], [1.0, 0.0, 2.0]])
    found = resampled_differences(
        answers, draws, is_first=np.array([1, 0, 1, 0]), layer=np.array([0, 0, 1, 1]),
        held=np.array([3.0, 1.0]),
    )  # fmt: skip
    assert found[0][:2] == pytest.approx([(3 * 0.8 + 0.3) / 4, 0.3])
    assert np.isnan(found[0][2])


def test_agreement_with_everybody_drawn_once_is_the_measure_itself():
    labels = crowd(5, per_list=3)
    (annotations,) = encode(labels, min_tokens=4).values()
    found = resampled_agreement(PairsOfAnswers.of(annotations), np.ones((5, 1)))
    known = values_of(labels, min_tokens=4)
    assert {name: values[0] for name, values in found.items()} == pytest.approx(
        {name: known[name] for name in RESAMPLED_AGREEMENT}
    )


def test_agreement_is_that_of_literal_copies_whose_own_pairs_are_left_out():
    labels = crowd(4, per_list=3, layers=1)
    (annotations,) = encode(labels, min_tokens=4).values()
    pairs = PairsOfAnswers.of(annotations)
    draws = np.array([[2, 1, 1, 0], [3, 0, 1, 1], [0, 2, 2, 1], [4, 0, 0, 0]], dtype=float).T
    found = resampled_agreement(pairs, draws)
    marks = annotations.in_concept
    of_list = annotations.pairs.list
    people = annotations.pairs.people_pairs[annotations.pairs.people]
    for column, drawn in enumerate(draws.T):
        agreeing = entries = disagreement = 0.0
        marked = labels_given = 0.0
        overlaps: list[float] = []
        matched = same = 0.0
        for number in np.unique(of_list):
            here = np.flatnonzero(of_list == number)
            copies = [  # (person, copy) of everybody who annotated the list
                (person, n)
                for person in sorted(set(people[here].ravel()))
                for n in range(int(drawn[person]))
            ]
            couples = [(a, b) for a, b in combinations(copies, 2) if a[0] != b[0]]
            if not couples:
                continue
            row = {frozenset(people[one]): one for one in here}
            rows = [row[frozenset((a[0], b[0]))] for a, b in couples]
            share = len(copies) / (2 * len(couples))  # each copy counts as one label
            of_overlap = [pairs.overlap[one] for one in rows if not np.isnan(pairs.overlap[one])]
            overlaps += [np.mean(of_overlap)] if of_overlap else []
            for one in rows:
                first = marks[annotations.pairs.first[one]]
                second = marks[annotations.pairs.second[one]]
                alike = int((first == second).sum())
                agreeing, entries = agreeing + alike, entries + len(first)
                disagreement += 2 * share * (len(first) - alike)
                marked += share * int(first.sum() + second.sum())
                labels_given += share * 2 * len(first)
                matched, same = matched + pairs.matched[one], same + pairs.same[one]
        if not entries:
            assert all(np.isnan(values[column]) for values in found.values())
            continue
        assert found["percent_agreement_concept"][column] == pytest.approx(agreeing / entries)
        expected = 2 * marked * (labels_given - marked)
        alpha = 1 - (labels_given - 1) * disagreement / expected
        assert found["krippendorff_alpha_concept"][column] == pytest.approx(alpha)
        assert found["mean_matched_jaccard"][column] == pytest.approx(np.mean(overlaps))
        assert found["matched_category_agreement"][column] == pytest.approx(same / matched)


def test_the_interval_adds_the_two_variances_with_their_degrees_of_freedom():
    resampled = np.array([[0.4, 0.6, np.nan, 0.5], [np.nan, np.nan, np.nan, 0.5]])
    half = two_way_half_widths(np.array([[0.01, 0.01]]), np.array([8]), resampled, 5.0)
    freedom = 0.02**2 / (0.01**2 / 8 + 0.01**2 / 4)
    assert half[0] == pytest.approx(stats.t.ppf(0.975, freedom) * 0.02**0.5)
    assert np.isnan(half[1])  # one resample has no spread


def test_people_of_unequal_shares_count_like_fewer():
    assert equal_people(np.array([0, 1, 2, 3]), np.ones(4)) == 4
    assert equal_people(np.array([0, 0, 0, 1]), np.ones(4)) == pytest.approx(1.6)


def test_the_table_has_the_values_of_the_others_and_wider_intervals():
    labels = crowd(7, per_layer=8)
    study = request(labels, resamples=400)
    found = table(labels, resamples=400)
    known = study.intervals[study.intervals["layer"].isna()].set_index(["kind", "measure"])
    for (kind, measure), row in known.iterrows():
        if "concepts" in measure:
            continue
        one = found.loc[("coverage", kind, measure)]
        assert one["value"] == pytest.approx(row["value"])
        assert (one["people"], one["lists"]) == (7, row["lists"])
        assert "fewer than 10 people" in one["warning"]
        assert one["low"] <= row["low"] + 1e-9
        assert one["high"] >= row["high"] - 1e-9
    differences = TABLES["real_against_random"](study)
    for row in differences[differences["layer"].isna()].itertuples():
        one = found.loc["difference"].droplevel("kind").loc[row.measure]
        assert one["value"] == pytest.approx(row.difference)
        assert one["low"] < row.low
        assert one["high"] > row.high
    agreement = study.agreements["agreement"].set_index("measure")
    for measure in RESAMPLED_AGREEMENT:
        one = found.loc["agreement"].droplevel("kind").loc[measure]
        assert one["value"] == pytest.approx(agreement.loc[measure, "value"])
        assert one["low"] <= agreement.loc[measure, "low"]  # both are cut at 0


@pytest.mark.parametrize(
    ("people", "said"),
    [
        (1, "no interval for people like these: 1 person, at least 5 are needed"),
        (4, "no interval for people like these: 4 people, at least 5 are needed"),
    ],
)
def test_few_people_have_no_interval_and_the_reason(people, said):
    found = table(crowd(people, per_layer=8, per_list=min(people, 2)))
    assert found["low"].isna().all()
    rows = found.loc[["coverage", "difference"]]
    assert (rows["warning"] == said).all()
    assert (rows["people"] == people).all()
    assert found["value"].notna().sum() >= len(rows)


def test_people_who_annotated_few_lists_count_for_little():
    labels = crowd(5, per_layer=8, per_list=1)
    # Everybody annotated one of the first five lists, and p00 all others.
    most = labels.annotations["list_id"] >= 5
    annotations = labels.annotations.assign(
        annotator=labels.annotations["annotator"].where(~most, "p00")
    )
    found = table(AnnotationFrames(labels.lists, annotations, labels.members))
    row = found.loc[("coverage", "value", "coverage")]
    assert row["people"] == 5
    assert np.isnan(row["low"])
    assert row["warning"] == (
        "no interval for people like these: few people gave most of the annotations (they count "
        "like 1.4 people, at least 3 are needed)"
    )


def test_a_person_of_one_kind_alone_is_drawn_with_the_others():
    labels = crowd(7, per_layer=8)
    random = labels.lists.loc[labels.lists["kind"] == "random", "list_id"]
    gone = labels.annotations["list_id"].isin(random) & (labels.annotations["annotator"] == "p03")
    kept = labels.annotations[~gone]
    members = labels.members[labels.members["annotation_id"].isin(kept["annotation_id"])]
    found = table(AnnotationFrames(labels.lists, kept, members))
    assert found.loc[("coverage", "value", "coverage"), "people"].item() == 7
    assert found.loc[("coverage", "random", "coverage"), "people"].item() == 6
    difference = found.loc["difference"].droplevel("kind").loc["coverage"]
    assert difference["people"] == 7
    assert difference["low"] < difference["value"] < difference["high"]


def test_vectors_taken_whole_leave_the_people_and_chosen_ones_nothing():
    labels = crowd(7, per_layer=8)
    sizes = labels.lists.groupby(["model", "kind", "layer"]).size().to_dict()
    whole = table(labels, populations=Populations(sizes))
    row = whole.loc[("coverage", "value", "coverage")]
    assert row["low"] < row["high"]
    assert "the interval is of other people alone" in row["warning"]
    drawn = table(labels).loc[("coverage", "value", "coverage")]
    assert row["high"] - row["low"] < drawn["high"] - drawn["low"]
    chosen = Populations(chosen=frozenset({("toy", "value"), ("toy", "random")}))
    assert table(labels, populations=chosen)["low"].isna().all()


def test_an_adjudicated_list_has_no_people():
    labels = crowd(7, per_layer=8)
    first = labels.annotations["annotation_id"] == 0
    annotations = labels.annotations.assign(
        annotator=labels.annotations["annotator"].where(~first, FINAL)
    )
    final = AnnotationFrames(labels.lists, annotations, labels.members)
    found = table(labels, final=final, adjudicated=True)
    value = found.loc[("coverage", "value", "coverage")]
    assert value["warning"].startswith(
        "no interval for people like these: some lists rest on one adjudicated annotation"
    )
    assert found.loc[("coverage", "random", "coverage"), "low"] > 0
    # Agreement uses people's annotations.
    assert found.xs("agreement")["low"].notna().any()


def test_without_resamples_there_are_values_alone_and_never_more_than_the_most():
    labels = crowd(7, per_layer=8)
    found = table(labels, resamples=0)
    assert found["low"].isna().all()
    assert (found["warning"] == "").all()
    assert found["value"].notna().all()
    assert Setting(resamples=10_000).draws == PEOPLE_RESAMPLES


def test_rows_in_another_order_and_names_of_lists_change_nothing():
    labels = crowd(6, per_layer=8)
    shuffled = AnnotationFrames(
        *(frame.sample(frac=1, random_state=3) for frame in
          (labels.lists, labels.annotations, labels.members))
    )  # fmt: skip
    pd.testing.assert_frame_equal(table(labels), table(shuffled))


def test_several_models_have_rows_of_all_together_in_agreement_alone():
    labels = crowd(6, per_layer=8)
    second = labels.lists["list_id"] % 2 == 1
    lists = labels.lists.assign(model=labels.lists["model"].where(~second, "other"))
    two = AnnotationFrames(lists, labels.annotations, labels.members)
    found = people_intervals(
        two,
        measure_agreement(two, min_tokens=4),
        min_tokens=4,
        categories=CATEGORIES,
        setting=Setting(resamples=100),
    )
    together = found[found["model"].isna()]
    assert set(together["of"]) == {"agreement"}
    assert together["lists"].max() == 48
    assert set(found["model"].dropna()) == {"toy", "other"}


def test_the_benchmark_holds_the_truth_as_often_as_the_page_says():
    for design in (Design(5, 2), Design(10, 3)):
        found = people_coverage(design, 60)
        ours, conditional, _ = found.values()
        assert (ours >= 0.85).all()
        assert conditional[0] < ours[0]
