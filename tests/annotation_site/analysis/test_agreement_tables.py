from dataclasses import replace
from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from annotation_site.analysis.agreement.lists import disagreement_ranking, retest_table
from annotation_site.analysis.agreement.registry import AGREEMENT_MEASURES
from annotation_site.analysis.agreement.tables import (
    COLUMNS,
    agreement_table,
    agreement_tables,
    measure_agreement,
)
from annotation_site.analysis.annotation_frames import AnnotationFrames
from tests.annotation_site.analysis.agreement_frames import grid_labels, random_labels
from tests.annotation_site.analysis.hand_worked import frames_of, hand_worked_labels

NOBODY_TWICE = "undefined, because no list has answers of two people."
SAME_LABEL = (
    "undefined, because every label is the same, so that chance alone gives full agreement."
)


def reasons(labels: AnnotationFrames, **options: object) -> dict[str, str]:
    table = agreement_table(measure_agreement(labels, min_tokens=1), **options)
    return dict(zip(table["measure"], table["undefined"], strict=True))


@pytest.mark.parametrize(
    "labels",
    [
        frames_of(lists=[]),
        frames_of(lists=[("A", "toy", "value", 0, 3)]),
        grid_labels({"ana": [["names", None]]}),
        grid_labels({"ana": [["names"], None], "ben": [None, ["names"]]}),
    ],
    ids=["no list", "no answer", "one person", "two people with different lists"],
)
def test_without_two_answers_to_one_list_everything_is_undefined(labels: AnnotationFrames) -> None:
    assert reasons(labels) == dict.fromkeys(AGREEMENT_MEASURES, NOBODY_TWICE)


def test_two_answers_without_a_pattern_agree_on_tokens_and_on_no_pattern() -> None:
    labels = grid_labels({"ana": [[None] * 3], "ben": [[None] * 3]})
    table = agreement_table(measure_agreement(labels, min_tokens=1)).set_index("measure")
    assert table.at["percent_agreement_concept", "value"] == 1
    assert table.at["percent_agreement_concept", "undefined"] == ""
    assert table.at["krippendorff_alpha_concept", "undefined"] == SAME_LABEL
    assert table.at["krippendorff_alpha_masi", "undefined"] == SAME_LABEL
    assert table.at["fleiss_kappa_concept", "undefined"] == SAME_LABEL
    assert table.at["cohen_kappa_concept", "undefined"] == (
        "undefined, because in every pair both people give one and the same label to all tokens."
    )
    assert table.at["mean_matched_jaccard", "undefined"] == (
        "undefined, because nothing can be compared "
        "(1 of the pairs of answers: neither person has a pattern)."
    )
    assert table.at["adjusted_rand_index", "undefined"] == (
        "undefined, because nothing can be compared (1 of the pairs of answers: both people leave "
        "every token by itself, or both put all tokens together)."
    )


def test_one_answer_without_a_pattern_is_no_agreement_on_patterns() -> None:
    labels = grid_labels({"ana": [["names", "names", None]], "ben": [[None] * 3]})
    table = agreement_table(measure_agreement(labels, min_tokens=1)).set_index("measure")
    for name in ("mean_matched_jaccard", "pattern_f1"):
        assert table.at[name, "value"] == 0
    assert table.at["matched_category_agreement", "undefined"] == (
        "undefined, because nothing can be compared (1 of the pairs of answers: no two of their "
        "patterns share half of their tokens)."
    )


def test_fleiss_kappa_needs_equal_numbers_of_annotators() -> None:
    answers = [["names", None, None], ["names", "names", None]]
    labels = grid_labels({"ana": answers, "ben": answers[::-1], "cem": [answers[0], None]})
    assert reasons(labels)["fleiss_kappa_concept"] == (
        "undefined, because the lists do not all have the same number of annotators."
    )
    by_list = agreement_table(measure_agreement(labels, min_tokens=1), by=["list_id"])
    assert by_list.query("measure == 'fleiss_kappa_concept'")["value"].notna().all()


def test_min_tokens_is_applied_to_each_person_before_anything_is_matched() -> None:
    # ben's pattern of 3 tokens would overlap more with ana's than his pattern of 4 does.
    labels = frames_of(
        lists=[("L", "toy", "value", 0, 8)],
        annotations=[(0, "L", "ana"), (1, "L", "ben")],
        members=[(0, 1, rank, "names", False) for rank in (1, 2, 3, 4)]
        + [(1, 1, rank, "names", False) for rank in (1, 2, 3)]
        + [(1, 2, rank, "names", False) for rank in (4, 5, 6, 7)],
    )
    for min_tokens, overlap in ((3, 3 / 4 / 2), (4, 1 / 7)):
        table = agreement_table(measure_agreement(labels, min_tokens=min_tokens))
        value = table.set_index("measure").at["mean_matched_jaccard", "value"]
        assert value == pytest.approx(overlap)


def test_patterns_flagged_as_stopwords_take_part() -> None:
    labels = grid_labels({"ana": [["names", None]], "ben": [["names", None]]})
    flagged = AnnotationFrames(
        labels.lists, labels.annotations, labels.members.assign(stopwords=True)
    )
    tables = [agreement_table(measure_agreement(one, min_tokens=1)) for one in (labels, flagged)]
    pd.testing.assert_frame_equal(*tables)
    assert tables[0].set_index("measure").at["mean_matched_jaccard", "value"] == 1


def test_a_table_says_what_it_rests_on_and_what_it_leaves_out() -> None:
    labels = hand_worked_labels(third_person=True)
    table = agreement_table(measure_agreement(labels, min_tokens=4), by=["kind"])
    assert list(table.columns) == ["kind", *COLUMNS]
    row = table.query("kind == 'value' and measure == 'adjusted_rand_index'").iloc[0]
    assert row[["n", "unit", "lists", "lists_total", "annotations", "undefined"]].to_list() == [
        *(2, "lists", 2, 3, 6, ""),
    ]
    assert row["left_out"] == (
        "1 of the lists: fewer than two people answered; "
        "2 of the annotations: a token is in several of its patterns"
    )
    assert row["warning"] == "fewer than 20 lists"


def test_a_category_alone_says_nothing_about_categories() -> None:
    agreement = measure_agreement(random_labels(30, 2), min_tokens=1, categories=["semantic"])
    table = agreement_table(agreement, by=["category"]).set_index("measure")
    assert set(table["category"]) == {"semantic"}
    for name, measure in AGREEMENT_MEASURES.items():
        assert table.at[name, "undefined"] == (
            "undefined, because the row looks at one category alone."
            if measure.needs_categories
            else ""
        )


def test_intervals_hold_their_values_and_share_draws() -> None:
    agreement = measure_agreement(random_labels(90, 3), min_tokens=1, categories=["names"])
    by = [(), ("kind",), ("category",), ("kind", "layer")]
    tables = agreement_tables(agreement, by=by, resamples=400)
    for table in tables:
        defined = table[table["undefined"] == ""]
        none = defined["low"].isna()
        assert (defined["warning"].str.startswith("no interval: ") == none).all()
        assert none.all() == ("layer" in table)  # 15 lists at most
        defined = defined[~none]
        assert (defined["low"] <= defined["value"]).all()
        assert (defined["value"] <= defined["high"]).all()
        assert (defined["low"] < defined["high"]).all()
    again = agreement_tables(agreement, by=by[1:2], resamples=400)
    pd.testing.assert_frame_equal(again[0], tables[1])
    other = agreement_tables(agreement, by=by[1:2], resamples=400, seed=1)
    assert not other[0]["low"].equals(tables[1]["low"])


def test_an_interval_is_that_of_lists_drawn_and_measured_again() -> None:
    """The same interval from copies of lists, each draw measured from its labels."""
    labels = random_labels(24, 3, share=0.9)
    # Chance levels are no part of it, and cost their time in each draw.
    plain = {name: replace(one, has_chance=False) for name, one in AGREEMENT_MEASURES.items()}
    agreement = measure_agreement(labels, min_tokens=1, measures=plain)
    ours = agreement_tables(agreement, by=[()], resamples=2000)[0].set_index("measure")
    rng = np.random.default_rng(5)
    annotated = labels.annotations.groupby("list_id")["annotation_id"].size()
    lists = labels.lists[labels.lists["list_id"].isin(annotated[annotated > 1].index)]
    drawn = []
    for _ in range(150):
        chosen = lists.groupby(["kind", "layer"])["list_id"].transform(
            lambda ids: rng.choice(ids, len(ids))
        )  # plain draws: of as many lists as here they are nearly the rescaled ones
        copies = lists.assign(original=chosen.to_numpy())
        copies = copies[["list_id", "original", "model", "kind", "layer", "length"]]
        answers = copies[["list_id", "original"]].merge(
            labels.annotations.rename(columns={"list_id": "original"}), on="original"
        )
        answers["new"] = np.arange(len(answers))
        members = answers[["new", "annotation_id"]].merge(labels.members, on="annotation_id")
        sample = AnnotationFrames(
            copies,
            answers[["new", "list_id", "annotator"]].rename(columns={"new": "annotation_id"}),
            members.drop(columns="annotation_id").rename(columns={"new": "annotation_id"}),
        )
        table = agreement_table(measure_agreement(sample, min_tokens=1, measures=plain))
        drawn.append(table.set_index("measure")["value"])
    low, high = pd.DataFrame(drawn).quantile(0.025), pd.DataFrame(drawn).quantile(0.975)
    for name in ours.index[ours["undefined"] == ""]:
        width = high[name] - low[name]
        assert ours.at[name, "low"] == pytest.approx(low[name], abs=0.35 * width), name
        assert ours.at[name, "high"] == pytest.approx(high[name], abs=0.35 * width), name


def test_intervals_warn_of_what_weakens_them() -> None:
    lists = [(n, "toy", "value", layer, 2) for n, layer in enumerate((0, 0, 1))]
    annotations = [(2 * n + side, n, "ab"[side]) for n in range(3) for side in (0, 1)]
    members = [(a, 1, 1, "names", False) for a in (0, 1, 2)]
    labels = frames_of(lists=lists, annotations=annotations, members=members)
    agreement = measure_agreement(labels, min_tokens=1)
    everywhere, by_layer = agreement_tables(agreement, by=[(), ("layer",)], resamples=200)
    warning = everywhere.set_index("measure").at["percent_agreement_concept", "warning"]
    assert warning == (
        "fewer than 20 lists; 1 of 2 groups of kind and layer has one list and is pooled with "
        "the nearest layer of the same kind; fewer than 6 lists in 2 of 2 groups of kind and layer"
    )
    alone = by_layer.query("layer == 1").set_index("measure").loc["percent_agreement_concept"]
    assert (alone["value"], alone["undefined"]) == (1, "")
    assert np.isnan(alone["low"])
    assert np.isnan(alone["high"])
    assert alone["warning"] == "no interval: fewer than 20 lists of one layer"
    category = everywhere.set_index("measure").at["matched_category_agreement", "warning"]
    assert "of 200 resamples, which the interval leaves out" in category


@pytest.mark.parametrize(
    ("by", "reason"),
    [
        (["annotator"], "it takes category, kind, layer, list_id, model, each once"),
        (["kind", "kind"], "each once"),
        (["category"], "no categories were given"),
    ],
)
def test_a_grouping_that_cannot_be_is_refused(by: list[str], reason: str) -> None:
    agreement = measure_agreement(hand_worked_labels(), min_tokens=4)
    with pytest.raises(ValueError, match=reason):
        agreement_table(agreement, by=by)


def test_intervals_are_for_groups_that_lists_were_sampled_in() -> None:
    agreement = measure_agreement(hand_worked_labels(), min_tokens=4)
    for one, by in ((agreement, ["list_id"]), (agreement.by_pair(), ["first"])):
        with pytest.raises(ValueError, match="groups of model, kind, layer and category"):
            agreement_tables(one, by=[by], resamples=10)


def test_two_answers_of_one_person_and_no_minimum_are_refused() -> None:
    labels = hand_worked_labels()
    twice = labels.annotations.assign(annotator="ana")
    with pytest.raises(ValueError, match="two answers of one person to one list"):
        measure_agreement(AnnotationFrames(labels.lists, twice, labels.members), min_tokens=4)
    with pytest.raises(ValueError, match="at least 1 member"):
        measure_agreement(labels, min_tokens=0)


def test_lists_people_disagree_on_most_come_first() -> None:
    labels = hand_worked_labels(third_person=True)
    ranking = disagreement_ranking(measure_agreement(labels, min_tokens=4))
    assert ranking["list_id"].to_list() == ["A", "B", "D"]
    assert ranking["mean_matched_jaccard"].to_list()[:2] == pytest.approx([31 / 60, 35 / 60])
    assert np.isnan(ranking["mean_matched_jaccard"].iloc[2])
    assert ranking["percent_agreement_concept"].to_list() == pytest.approx([26 / 30, 20 / 30, 1])
    assert ranking["annotations"].to_list() == [3, 3, 3]


def test_lists_with_equal_means_are_ranked_by_what_comes_next() -> None:
    """However the overlaps of their pairs of people were summed: rounding decides nothing."""
    members: list[tuple[int, int, int, str, bool]] = []
    annotations, lists = [], []
    # Three people and three sizes of overlap with nobody's fourth; in every order of the people.
    sets = [set(range(1, 11)), set(range(1, 4)) | {11}, set(range(1, 8)) | {12, 13}]
    for number, order in enumerate(permutations(sets)):
        lists.append((number, "toy", "value", 0, 20))
        for person, ranks in zip("abc", order, strict=True):
            annotations.append((len(annotations), number, person))
            members += [(len(annotations) - 1, 1, rank, "names", False) for rank in sorted(ranks)]
    # Another one, of the same overlap, on which people agree more about single tokens.
    lists.append((9, "toy", "value", 0, 40))
    for person, ranks in zip("abc", sets, strict=True):
        annotations.append((len(annotations), 9, person))
        members += [(len(annotations) - 1, 1, rank, "names", False) for rank in sorted(ranks)]
    labels = frames_of(lists=lists, annotations=annotations, members=members)
    ranking = disagreement_ranking(measure_agreement(labels, min_tokens=4))
    assert ranking["list_id"].to_list() == [*range(6), 9]
    assert np.ptp(ranking["mean_matched_jaccard"]) < 1e-15


@pytest.mark.parametrize("seed", range(4))
def test_everybody_s_kappa_of_repeats_is_the_mean_over_people_weighted_by_tokens(seed: int) -> None:
    labels = random_labels(40, 3, seed=seed)
    again = random_labels(40, 3, seed=seed + 100)
    # Each person answers another number of lists again.
    some = {"p0": 0.2, "p1": 0.5, "p2": 0.9}
    asked = np.random.default_rng(seed).random(len(again.annotations))
    few = again.annotations[asked < again.annotations["annotator"].map(some)]
    members = again.members[again.members["annotation_id"].isin(few["annotation_id"])]
    table = retest(labels, AnnotationFrames(again.lists, few, members))
    checked = 0
    for name in ("cohen_kappa_concept", "cohen_kappa_category"):
        rows = table[table["measure"] == name]
        everybody = rows[rows["annotator"].isna()].iloc[0]
        people = rows[rows["annotator"].notna() & rows["value"].notna()]
        checked += people["n"].nunique() > 1  # else weights change nothing
        assert everybody["value"] == pytest.approx(
            np.average(people["value"], weights=people["n"]), abs=1e-12
        )
    assert checked


def retest(labels: AnnotationFrames, repeats: AnnotationFrames) -> pd.DataFrame:
    return retest_table(*(measure_agreement(one, min_tokens=4) for one in (labels, repeats)))


def test_test_and_retest_compares_people_with_themselves() -> None:
    labels = hand_worked_labels(third_person=True)
    # ana answers A again as ben did at first, and D as before; cem answers C, new to him.
    repeats = frames_of(
        lists=labels.lists.itertuples(index=False, name=None),
        annotations=[("r1", "A", "ana"), ("r2", "D", "ana"), ("r3", "C", "cem")],
        members=[("r1", 1, rank, "semantic", False) for rank in (1, 2, 3, 4, 7, 10)],
    )
    table = retest(labels, repeats).set_index(["annotator", "measure"])
    for person in (None, "ana"):
        rows = table.xs(person) if person else table[table.index.get_level_values(0).isna()]
        rows = rows.reset_index().set_index("measure")
        assert rows.at["percent_agreement_concept", "value"] == pytest.approx(19 / 20)
        assert rows.at["percent_agreement_concept", "lists"] == 2
        assert rows.at["mean_matched_jaccard", "value"] == pytest.approx(5 / 6)
        assert rows.at["mean_matched_jaccard", "lists"] == 1
    assert "cem" not in table.index.get_level_values("annotator")


def test_test_and_retest_without_repeats_is_undefined() -> None:
    labels = hand_worked_labels()
    nothing = frames_of(lists=labels.lists.itertuples(index=False, name=None))
    table = retest(labels, nothing)
    assert table["undefined"].to_list() == [NOBODY_TWICE] * len(AGREEMENT_MEASURES)
