"""The tables of results on the study that is worked through by hand."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from annotation_site.analysis.labels import Labels
from annotation_site.analysis.paper import PAPER_TABLE_2, TABLE_2_ROWS
from annotation_site.results.tables import ALL_VECTORS, TABLES, TableRequest
from tests.annotation_site.analysis.hand_worked import hand_worked_labels

CATEGORIES = ["semantic", "syntactic", "names"]


def request(labels: Labels | None = None, **changes) -> TableRequest:
    labels = labels or hand_worked_labels()
    seconds = 10 * np.arange(1, len(labels.annotations) + 1)
    times = labels.annotations[["annotation_id", "annotator"]].assign(active_seconds=seconds)
    options = {"resamples": 200, "times": times, **changes}
    return TableRequest(labels, CATEGORIES, 4, **options)


@pytest.mark.parametrize("name", TABLES)
def test_every_table_can_be_made_of_a_study_and_of_nothing(name):
    nothing = Labels(
        hand_worked_labels().lists,
        hand_worked_labels().annotations.head(0),
        hand_worked_labels().members.head(0),
    )
    for labels in (hand_worked_labels(third_person=True), nothing):
        frame = TABLES[name](request(labels))
        assert isinstance(frame, pd.DataFrame)
        assert len(frame.columns)


def test_table_2_has_the_numbers_worked_out_by_hand():
    table = TABLES["table_2"](request())
    found = table.set_index(["kind", "stopwords_concepts"])
    assert found["coverage"].to_dict() == pytest.approx(
        {
            ("value", "without"): Fraction(7, 12),
            ("value", "with"): Fraction(43, 60),
            ("random", "without"): 0,
            ("random", "with"): 0,
        }
    )
    value = found.loc[("value", "without")]
    assert (value["lists"], value["lists_total"], value["annotations"]) == (3, 3, 5)
    assert value["concepts_per_list"] == pytest.approx(7 / 6)
    assert found.loc[("value", "with"), "concepts_per_list"] == pytest.approx(3 / 2)
    # List A is alone in its layer; B and C are drawn anew: B twice, B and C, or C twice.
    assert (value["low"], value["high"]) == pytest.approx((0.45, 43 / 60))
    assert value["warning"].startswith("fewer than 20 lists")


def test_vectors_that_were_all_taken_have_no_sampling_interval():
    every = request(whole=frozenset({("toy", "value"), ("toy", "random")}))
    table = TABLES["table_2"](every).set_index("kind")
    assert table.loc["value", "low"].isna().all()
    assert set(table.loc["value", "warning"]) == {ALL_VECTORS}
    # Nobody has judged E, so the random lists that were judged are a sample after all.
    assert ALL_VECTORS not in set(table.loc["random", "warning"])


def test_lists_are_ranked_by_disagreement_with_their_patterns_side_by_side():
    study = request(hand_worked_labels(third_person=True))
    ranking = TABLES["disagreement"](study)
    assert ranking["list_id"].tolist() == ["A", "B", "D"]
    assert ranking["score"].tolist() == pytest.approx([1 - 31 / 60, 1 - 7 / 12, 0])
    rows = TABLES["side_by_side"](study)
    assert rows["list_id"].drop_duplicates().tolist() == ["A", "B"]  # D has no pattern to match
    first = rows[rows["list_id"] == "A"].iloc[0]
    assert (first["first"], first["second"], first["shared"]) == ("ana", "ben", "1 2 3 4 7")
    assert (first["only_first"], first["only_second"]) == ("", "10")
    assert first["jaccard"] == pytest.approx(5 / 6)


def machine_that_says_what(person: str) -> Labels:
    labels = hand_worked_labels(third_person=True)
    rows = labels.annotations[labels.annotations["annotator"] == person]
    members = labels.members[labels.members["annotation_id"].isin(rows["annotation_id"])]
    return Labels(
        labels.lists,
        rows.assign(annotator="machine-affixes", annotation_id="machine " + rows["annotation_id"]),
        members.assign(annotation_id="machine " + members["annotation_id"]),
    )


def test_a_machine_is_compared_with_people_and_stands_in_no_other_table():
    people = hand_worked_labels(third_person=True)
    with_machine = request(people, machines=machine_that_says_what("cem"))
    without = request(people)
    for name in ("coverage", "agreement", "people", "agreement_of_pairs"):
        pd.testing.assert_frame_equal(TABLES[name](with_machine), TABLES[name](without))
    table = TABLES["machine_agreement"](with_machine).set_index("measure")
    assert set(table["annotator"]) == {"machine-affixes"}
    # With ana on 24 of 30 tokens, with ben on 25, with cem, whom it repeats, on all 30.
    assert table.loc["percent_agreement_concept", "value"] == pytest.approx(79 / 90)
    coverage = TABLES["machine_coverage"](with_machine).set_index("kind")
    assert coverage.loc["value", "coverage"] == pytest.approx(0.4)  # A and B, 4 of 10 each


def test_people_have_their_own_coverage_time_and_agreement():
    table = TABLES["people"](request(hand_worked_labels(third_person=True)))
    ana = table.set_index("annotator").loc["ana"]
    assert (ana["annotations"], ana["no_pattern"]) == (4, 1)
    assert ana["coverage"] == pytest.approx((5 + 4 + 8 + 0) / 40)
    # 27 of 30 tokens with ben and 24 of 30 with cem
    assert ana["percent_agreement_concept"] == pytest.approx(51 / 60)


def test_practice_counts_each_persons_lists_in_the_order_of_submission():
    table = TABLES["learning_curve"](request(hand_worked_labels(third_person=True)))
    assert table[["first_list", "last_list", "annotations"]].to_numpy().tolist() == [[1, 5, 10]]
    # 4, 3 and 3 annotations: A 26/30, B 20/30, D 1 three times each; C has no second answer.
    assert table["percent_agreement_concept"].tolist() == pytest.approx([(26 + 20 + 30) / 90])


def test_a_second_answer_is_compared_with_the_first():
    first = hand_worked_labels()
    again = Labels(
        first.lists,
        first.annotations[first.annotations["annotator"] == "ana"],
        first.members[first.members["annotation_id"].str.endswith("ana")],
    )
    table = TABLES["retest"](request(first, repeats=again))
    everybody = table[table["annotator"].isna()].set_index("measure")
    assert everybody.loc["percent_agreement_concept", "value"] == 1
    assert everybody.loc["percent_agreement_concept", "lists"] == 4


def test_the_papers_figures_have_the_rows_of_table_2():
    for model, figures in PAPER_TABLE_2.items():
        assert tuple(figures) == TABLE_2_ROWS, model
    assert PAPER_TABLE_2["GPT2"]["update", True] == 0.46
