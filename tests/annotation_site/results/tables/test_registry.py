"""The tables of results on the study that is worked through by hand."""

from fractions import Fraction
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from annotation_site.analysis.agreement.tables import agreement_table, measure_agreement
from annotation_site.analysis.annotation_frames import (
    KIND_NAMES,
    KINDS,
    AnnotationFrames,
    kind_heading,
)
from annotation_site.analysis.paper import PAPER_TABLE_2
from annotation_site.analysis.strata import ALL_VECTORS, ONE_ANNOTATOR, Populations
from annotation_site.results.figures import charts
from annotation_site.results.pages import tables
from annotation_site.results.pages.remarks import warnings_of
from annotation_site.results.pages.values import group_name
from annotation_site.results.tables.registry import TABLES
from annotation_site.results.tables.request import TableRequest
from benchmarks.coverage import frames_of
from tests.annotation_site.analysis.agreement_frames import random_labels
from tests.annotation_site.analysis.hand_worked import hand_worked_labels
from tests.annotation_site.analysis.resampled import resampled_sums
from tests.annotation_site.results.requests import CATEGORIES, request


@pytest.mark.parametrize("name", TABLES)
def test_every_table_can_be_made_of_a_study_and_of_nothing(name):
    nothing = AnnotationFrames(
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
    # A is alone in its layer and pooled with B and C: 3 lists, 11/20, 8/20 and 16/20.
    half = 4.302652729911275 * (49 / 1200 / 3) ** 0.5  # t with 2 degrees of freedom
    assert 7 / 12 + half > 1
    assert (value["low"], value["high"]) == pytest.approx((7 / 12 - half, 1))
    assert value["warning"] == (
        "fewer than 20 lists; 1 of 2 groups of kind and layer has one list and is pooled with "
        "the nearest layer of the same kind; fewer than 3 lists in 2 of 2 groups of kind and layer"
    )
    random = found.loc[("random", "without")]
    assert random["warning"] == "no interval: fewer than 20 lists of one layer"


def test_vectors_that_were_all_taken_have_no_sampling_interval():
    sizes = {("toy", "value", 0): 1, ("toy", "value", 1): 2, ("toy", "random", 1): 1}
    every = request(populations=Populations(sizes))
    table = TABLES["table_2"](every).set_index("kind")
    assert table.loc["value", "low"].isna().all()
    assert set(table.loc["value", "warning"]) == {ALL_VECTORS}
    # Nobody has judged E, so the random lists that were judged are a sample after all.
    assert ALL_VECTORS not in set(table.loc["random", "warning"])


def lists_per_layer(labels: AnnotationFrames, kind: str, more: int = 0) -> Populations:
    lists = labels.lists[labels.lists["kind"] == kind]
    counts = lists.groupby(["model", "kind", "layer"]).size() + more
    return Populations(counts.to_dict())


def test_agreement_on_vectors_that_were_all_taken_has_no_sampling_interval():
    drawn = request(frames_of(180))
    every = request(drawn.labels, populations=lists_per_layer(drawn.labels, "value"))
    before, after = (
        one.agreements["agreement_by_kind"].set_index("kind") for one in (drawn, every)
    )
    assert before.loc["value", "low"].notna().any()
    assert after.loc["value", "low"].isna().all()
    assert set(after.loc["value", "warning"]) == {ALL_VECTORS}
    others = [kind for kind in after.index.unique() if kind != "value"]
    assert_frame_equal(before.loc[others], after.loc[others])
    # All kinds together are a sample as long as one of them is, but only the rest varies.
    together, alone = (
        one.agreements["agreement"].set_index("measure").loc["percent_agreement_concept"]
        for one in (every, drawn)
    )
    assert 0 < together["high"] - together["low"] < alone["high"] - alone["low"]


@pytest.mark.parametrize("kind", ["value", "random", "update"])
def test_no_table_has_a_sampling_interval_of_what_was_taken_whole_or_chosen(kind):
    """Whichever kind: a number that rests on it alone has no interval, in no table."""
    labels = frames_of(120)
    whole = lists_per_layer(labels, kind)
    chosen = Populations(chosen=frozenset({("gpt2", kind)}))
    for populations, word in ((whole, "all vectors"), (chosen, "chosen")):
        study = request(labels, populations=populations)
        for name, make in TABLES.items():
            table = make(study)
            if "low" not in table or "kind" not in table or name == "time_per_list":
                continue
            rows = table[(table["kind"] == kind)]
            if "undefined" in rows:
                rows = rows[rows["undefined"] == ""]
            assert len(rows), name
            assert rows["low"].isna().all(), name
            assert rows["warning"].str.contains(word).all(), name


def test_one_annotator_alone_is_said_where_the_numbers_are():
    both = hand_worked_labels()
    ana = both.annotations[both.annotations["annotator"] == "ana"]
    members = both.members[both.members["annotation_id"].isin(ana["annotation_id"])]
    for labels, said in ((both, False), (AnnotationFrames(both.lists, ana, members), True)):
        for name in ("table_2", "real_against_random"):
            table = TABLES[name](request(labels))
            assert len(table)
            assert table["warning"].str.contains(ONE_ANNOTATOR).all() == said, name
    by_layer = TABLES["coverage_intervals"](request(both)).query("kind == 'value' and layer == 1")
    assert not by_layer["warning"].str.contains(ONE_ANNOTATOR).any()  # ben judged B


@given(seed=st.integers(0, 10_000), people=st.integers(1, 4), share=st.sampled_from([0.4, 1.0]))
@settings(max_examples=8, deadline=None)
def test_every_interval_holds_its_value_and_every_other_row_says_why(seed, people, share):
    labels = random_labels(30, people, share=share, seed=seed)
    study = TableRequest(labels, CATEGORIES, 2, resamples=60)
    for name, value in (
        ("table_2", "coverage"),
        ("coverage_intervals", "value"),
        ("real_against_random", "difference"),
        ("agreement", "value"),
        ("agreement_by_kind", "value"),
        ("agreement_by_layer", "value"),
    ):
        table = TABLES[name](study)
        known = table["low"].notna()
        assert (table["low"] <= table["high"])[known].all(), name
        if not name.startswith("agreement"):  # a resampled interval can lie beside its value
            assert (table["low"] <= table[value])[known].all(), name
            assert (table[value] <= table["high"])[known].all(), name
        columns = [one for one in ("warning", "undefined") if one in table]
        assert (table.loc[~known, columns] != "").any(axis=1).all(), name


def test_lists_are_ranked_by_disagreement_with_their_patterns_side_by_side():
    study = request(hand_worked_labels(third_person=True))
    ranking = TABLES["disagreement"](study)
    assert ranking["list_id"].tolist() == ["A", "B", "D"]
    assert ranking["score"].tolist() == pytest.approx(
        [1 - 31 / 60, 1 - 7 / 12, np.nan], nan_ok=True
    )
    assert ranking["undefined"].tolist() == ["", "", "undefined, because nobody found a pattern."]
    rows = TABLES["side_by_side"](study)
    assert rows["list_id"].drop_duplicates().tolist() == ["A", "B"]  # D has no pattern to match
    first = rows[rows["list_id"] == "A"].iloc[0]
    assert (first["first"], first["second"], first["shared"]) == ("ana", "ben", "1 2 3 4 7")
    assert (first["only_first"], first["only_second"]) == ("", "10")
    assert first["jaccard"] == pytest.approx(5 / 6)


def machine_that_says_what(person: str) -> AnnotationFrames:
    labels = hand_worked_labels(third_person=True)
    rows = labels.annotations[labels.annotations["annotator"] == person]
    members = labels.members[labels.members["annotation_id"].isin(rows["annotation_id"])]
    return AnnotationFrames(
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
    table = TABLES["machine_agreement"](with_machine)
    assert set(table["annotator"]) == {"machine-affixes"}
    assert table["between"].drop_duplicates().tolist() == ["people", "people and machine"]
    # A, B and D have two people and the machine: far too few for a number.
    assert set(table["undefined"]) == {
        "undefined, because only 3 lists have annotations of two people and of this machine "
        "annotator; at least 30 are needed."
    }
    assert table[["value", "low", "high", "chance"]].isna().all(axis=None)
    assert (table["lists_total"] == 3).all()
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
    again = AnnotationFrames(
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
        assert tuple(figures) == tuple(product(KINDS[:3], (False, True))), model
    assert PAPER_TABLE_2["GPT2"]["update", True] == 0.46


def test_every_kind_has_its_row_in_every_table_in_the_order_of_kinds():
    """Kinds of a later bundle too, in tables, on pages, in charts and in an archive's text."""
    lists = pd.DataFrame(
        {"list_id": n, "model": "toy", "kind": kind, "layer": 0, "length": 30}
        for n, kind in enumerate(reversed(KINDS))
    )
    annotations = lists[["list_id"]].assign(annotation_id=lists["list_id"], annotator="ana")
    members = pd.DataFrame(
        {
            "annotation_id": n, "pattern": 1, "rank": rank, "category": "semantic",
            "stopwords": False,
        }
        for n in lists["list_id"] for rank in range(1, 7)
    )  # fmt: skip
    asked = request(AnnotationFrames(lists, annotations, members))
    for name in ("table_2", "coverage", "missing"):
        assert tuple(dict.fromkeys(TABLES[name](asked)["kind"])) == KINDS, name
    table = TABLES["table_2"](asked)
    rows = [dict(row) for _, row in table.astype(object).where(table.notna(), None).iterrows()]
    shown = [row[0].text for row in tables.table_2(rows).rows]
    assert shown == [
        text for kind in KIND_NAMES.values() for text in (kind, f"{kind} + stopwords concepts")
    ]
    plan = charts.coverage_by_kind(table)
    assert all(kind_heading(kind) in plan.alt for kind in KINDS)


def program_that_answers(lists: pd.DataFrame) -> AnnotationFrames:
    """A machine that puts the first five tokens of every list together."""
    ids = -1 - np.arange(len(lists))
    annotations = pd.DataFrame(
        {"annotation_id": ids, "list_id": lists["list_id"], "annotator": "machine-affixes"}
    )
    members = pd.DataFrame(
        {"annotation_id": np.repeat(ids, 5), "rank": np.tile(np.arange(1, 6), len(ids))}
    )
    members = members.assign(pattern=1, category="names", stopwords=False)
    return AnnotationFrames(lists, annotations, members)


def half(study: TableRequest, between: str, measure: str = "percent_agreement_concept"):
    table = TABLES["machine_agreement"](study)
    return table[table["between"] == between].set_index("measure").loc[measure]


def in_lists(labels: AnnotationFrames, ids) -> AnnotationFrames:
    rows = labels.annotations[labels.annotations["list_id"].isin(list(ids))]
    inside = labels.members["annotation_id"].isin(rows["annotation_id"])
    return AnnotationFrames(labels.lists, rows, labels.members[inside])


def test_agreement_with_a_machine_has_an_interval_over_lists_with_all_their_answers():
    people = random_labels(60, 3, share=0.8)
    machine = program_that_answers(people.lists)
    study = TableRequest(people, CATEGORIES, 1, resamples=300, machines=machine)
    row = half(study, "people and machine")
    of_list = people.annotations["list_id"].value_counts()
    people = in_lists(people, of_list[of_list > 1].index)
    in_concept = people.members.groupby("annotation_id")["rank"].apply(set)
    five = set(range(1, 6))
    same = [10 - len(in_concept.get(a, set()) ^ five) for a in people.annotations["annotation_id"]]
    of_list = people.annotations.assign(same=same, labels=10).groupby("list_id")
    sums = of_list[["same", "labels"]].sum()
    assert row["value"] == pytest.approx(sums["same"].sum() / sums["labels"].sum())
    assert (row["lists"], row["lists_total"]) == (len(sums), len(sums))
    assert row["annotations"] == len(people.annotations)
    # The same draws, of lists within kind and layer, added up by hand.
    lists = people.lists[people.lists["list_id"].isin(sums.index)].assign(
        kind=lambda frame: pd.Categorical(frame["kind"], KINDS, ordered=True)
    )
    lists = lists.sort_values(["kind", "layer", "list_id"])
    strata = lists.groupby(["kind", "layer"], observed=True).ngroup().to_numpy()
    values = sums.loc[lists["list_id"]].to_numpy(dtype=float)
    drawn = np.concatenate(list(resampled_sums(values, strata, resamples=300)), axis=1).sum(axis=0)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    assert (row["low"], row["high"]) == pytest.approx((low, high))
    assert low < row["value"] < high


def test_people_stand_beside_a_machine_on_the_lists_that_it_annotated_too():
    people = random_labels(60, 3, share=0.8)
    some = people.lists["list_id"].iloc[:50]
    machine = in_lists(program_that_answers(people.lists), some)
    options = {"categories": CATEGORIES, "min_tokens": 1, "resamples": 100}
    table = TABLES["machine_agreement"](TableRequest(people, machines=machine, **options))
    found = table[table["between"] == "people"].drop(columns=["annotator", "between"])
    of_list = in_lists(people, some).annotations["list_id"].value_counts()
    alone = in_lists(people, of_list[of_list > 1].index)
    kept = people.lists["list_id"].isin(of_list[of_list > 1].index)
    alone = AnnotationFrames(people.lists[kept], alone.annotations, alone.members)
    wanted = TableRequest(alone, **options).agreements["agreement"].drop(columns="model")
    # Chance levels shuffle as often as the whole study does.
    apart = ["chance", "shuffles"]
    found = found.drop(columns=apart).reset_index(drop=True)
    assert_frame_equal(found, wanted.drop(columns=apart), check_dtype=False)


def test_both_halves_have_the_same_draws():
    """A machine that repeats a person agrees with all of them as people agree, and fully once."""
    people = random_labels(80, 2, share=1)
    first = people.annotations[people.annotations["annotator"] == "p0"]
    members = people.members[people.members["annotation_id"].isin(first["annotation_id"])]
    machine = AnnotationFrames(
        people.lists,
        first.assign(annotator="machine-copy", annotation_id=-1 - first["annotation_id"]),
        members.assign(annotation_id=-1 - members["annotation_id"]),
    )
    study = TableRequest(people, CATEGORIES, 1, resamples=200, machines=machine)
    one, other = half(study, "people"), half(study, "people and machine")
    bounds = ["value", "low", "high"]
    assert other[bounds].tolist() == pytest.approx([(1 + one[name]) / 2 for name in bounds])
    assert one["low"] < one["high"]


def test_failed_replies_are_no_annotations_and_are_counted():
    people = random_labels(60, 3, share=1)
    ids = people.lists["list_id"].tolist()
    machine = in_lists(program_that_answers(people.lists), ids[4:])
    failures = pd.DataFrame({"annotator": "machine-affixes", "list_id": ids[:4]})
    study = TableRequest(
        people, CATEGORIES, 1, resamples=0, machines=machine, machine_failures=failures
    )
    for between in ("people", "people and machine"):
        row = half(study, between)
        assert row["left_out"] == "4 of the lists: the machine's replies failed"
        assert (row["lists"], row["lists_total"], row["undefined"]) == (56, 60, "")
    coverage = TABLES["machine_coverage"](study)
    assert coverage["failed"].sum() == 4
    assert coverage["lists"].sum() == 56
    assert list(coverage.columns)[-2:] == ["lists", "failed"]


def test_a_machine_whose_replies_all_failed_is_in_the_tables_that_name_it():
    people = random_labels(40, 3, share=1)
    ids = people.lists["list_id"].tolist()
    nothing = in_lists(program_that_answers(people.lists), [])
    failures = pd.DataFrame({"annotator": "machine-model", "list_id": ids})
    study = TableRequest(
        people, CATEGORIES, 1, resamples=50, machines=nothing, machine_failures=failures
    )
    coverage = TABLES["machine_coverage"](study)
    assert set(coverage["annotator"]) == {"machine-model"}
    assert (coverage["lists"].sum(), coverage["failed"].sum()) == (0, 40)
    assert coverage["coverage"].isna().all()
    assert half(study, "people")["undefined"] == (
        "undefined, because no list has annotations of two people and of this machine annotator; "
        "at least 30 are needed."
    )
    test = TABLES["alternative_annotators"](study)
    assert set(test["passed"]) == {"no"}
    assert set(test["failed"]) == {40}


@pytest.mark.parametrize("lists", [1, 29, 30])
def test_fewer_than_30_lists_have_no_agreement_with_a_machine(lists):
    people = random_labels(40, 3, share=1)
    machine = in_lists(
        program_that_answers(people.lists), people.lists["list_id"].iloc[:lists].tolist()
    )
    study = TableRequest(people, CATEGORIES, 1, resamples=50, machines=machine)
    table = TABLES["machine_agreement"](study)
    has = {1: "only 1 list has", 29: "only 29 lists have"}.get(lists)
    if has is None:
        assert table["value"].notna().any()
        return
    assert table["value"].isna().all()
    assert set(table["undefined"]) == {
        f"undefined, because {has} annotations of two people and of this machine annotator; at "
        "least 30 are needed."
    }
    assert (table.loc[table["measure"] == "percent_agreement_concept", "lists"] == lists).all()


def test_where_no_list_has_two_people_a_machine_is_compared_on_all_lists():
    people = random_labels(45, 1, share=1)
    machine = program_that_answers(people.lists)
    study = TableRequest(people, CATEGORIES, 1, resamples=50, machines=machine)
    assert half(study, "people")["undefined"] == (
        "undefined, because no list has answers of two people."
    )
    row = half(study, "people and machine")
    assert (row["undefined"], row["lists"]) == ("", 45)
    assert row["low"] < row["value"] < row["high"]
    assert ONE_ANNOTATOR in row["warning"]
    few = TableRequest(in_lists(people, range(20)), CATEGORIES, 1, resamples=50, machines=machine)
    assert half(few, "people and machine")["undefined"] == (
        "undefined, because only 20 lists have annotations of a person and of this machine "
        "annotator; at least 30 are needed."
    )


def test_machines_that_are_counted_as_people_are_not_people_beside_machines():
    people = random_labels(50, 3, share=0.9)
    machine = program_that_answers(people.lists)
    model = AnnotationFrames(
        machine.lists,
        machine.annotations.assign(
            annotator="machine-model", annotation_id=machine.annotations["annotation_id"] - 1000
        ),
        machine.members.assign(annotation_id=machine.members["annotation_id"] - 1000),
    )
    both = joined(machine, model)
    plain = TableRequest(people, CATEGORIES, 1, resamples=30, machines=both)
    counted = TableRequest(joined(people, both), CATEGORIES, 1, resamples=30, machines=both)
    for name in ("machine_agreement", "alternative_annotators", "alternative_annotator_people"):
        assert_frame_equal(TABLES[name](plain), TABLES[name](counted))
    assert set(TABLES["machine_agreement"](plain)["annotator"]) == {
        "machine-affixes", "machine-model",
    }  # fmt: skip
    reasons = TABLES["people_intervals"](counted)["warning"]
    assert reasons.str.contains("machine annotators are counted as people").all()
    missing = TABLES["missing"](counted)
    assert_frame_equal(missing, TABLES["missing"](plain))


def joined(one: AnnotationFrames, other: AnnotationFrames) -> AnnotationFrames:
    return AnnotationFrames(
        one.lists,
        pd.concat([one.annotations, other.annotations], ignore_index=True),
        pd.concat([one.members, other.members], ignore_index=True),
    )


def test_programs_come_before_language_models():
    people = random_labels(30, 1, share=1)
    machine = program_that_answers(people.lists)
    names = ["machine-shallow", "machine-a", "machine-affixes", "machine-z"]
    rows = machine.annotations.assign(annotator=names * 7 + names[:2])
    failures = pd.DataFrame(
        {"annotator": ["machine-m"], "list_id": people.lists["list_id"].iloc[0]}
    )
    study = TableRequest(
        people, CATEGORIES, 1, resamples=0, machine_failures=failures,
        machines=AnnotationFrames(machine.lists, rows, machine.members),
    )  # fmt: skip
    wanted = ["machine-affixes", "machine-shallow", "machine-a", "machine-m", "machine-z"]
    for name in ("machine_coverage", "machine_agreement", "alternative_annotators"):
        assert TABLES[name](study)["annotator"].drop_duplicates().tolist() == wanted, name


def test_test_and_retest_has_intervals_of_everybody_and_of_each_person():
    first = random_labels(40, 3, share=0.9)
    other = random_labels(40, 3, share=0.5, seed=7)
    both = first.annotations.merge(other.annotations, on=["list_id", "annotator"])
    kept = other.annotations["annotation_id"].isin(both["annotation_id_y"])
    again = AnnotationFrames(
        other.lists,
        other.annotations[kept],
        other.members[other.members["annotation_id"].isin(both["annotation_id_y"])],
    )
    table = TABLES["retest"](TableRequest(first, CATEGORIES, 1, resamples=200, repeats=again))
    rows = table[table["measure"] == "percent_agreement_concept"]
    assert set(rows["annotator"].dropna()) == {"p0", "p1", "p2"}
    assert (rows["low"] < rows["value"]).all()
    assert (rows["value"] < rows["high"]).all()
    everybody = rows[rows["annotator"].isna()].iloc[0]
    width = rows["high"] - rows["low"]
    assert width[everybody.name] < width.drop(everybody.name).min()


def test_models_stand_together_where_there_are_several():
    labels = random_labels(40, 2)
    two = AnnotationFrames(
        labels.lists.assign(model=["toy", "other"] * 20), labels.annotations, labels.members
    )
    study = TableRequest(two, CATEGORIES, 1, resamples=50)
    plain = {
        "agreement": [],
        "agreement_by_kind": ["kind"],
        "agreement_by_category": ["category"],
    }
    agreement = measure_agreement(two, min_tokens=1, categories=CATEGORIES)
    for name, by in plain.items():
        table = TABLES[name](study)
        together = table[table["model"].isna()].drop(columns=["model", "low", "high", "warning"])
        wanted = agreement_table(agreement, by=by).drop(columns=["low", "high", "warning"])
        pd.testing.assert_frame_equal(together.reset_index(drop=True), wanted)
        assert list(table["model"].iloc[[0, -1]].isna()) == [False, True]
    defined = TABLES["agreement"](study).query("undefined == ''")
    assert (defined["low"] < defined["high"]).all()
    assert TABLES["agreement_by_layer"](study)["model"].notna().all()
    alone = TABLES["agreement"](TableRequest(labels, CATEGORIES, 1, resamples=0))
    assert set(alone["model"]) == {"toy"}
    assert group_name({"model": None, "kind": "value"}) == "All models, value vectors"


def test_a_final_answer_counts_in_the_table_named_after_it_and_elsewhere_where_chosen():
    people = hand_worked_labels()
    nothing_in_a = people.annotations["list_id"] != "A"
    final = AnnotationFrames(
        people.lists,
        pd.concat(
            [
                people.annotations[nothing_in_a],
                pd.DataFrame(
                    {"annotation_id": ["final"], "list_id": ["A"], "annotator": ["adjudicated"]}
                ),
            ]
        ),
        people.members[~people.members["annotation_id"].str.startswith("A")],
    )
    left = request(people, final=final)
    chosen = request(people, final=final, adjudicated=True)
    plain = TABLES["coverage"](request(people))
    pd.testing.assert_frame_equal(TABLES["coverage"](left), plain)
    pd.testing.assert_frame_equal(TABLES["coverage_adjudicated"](request(people)), plain)
    # B and C are 2/5 and 4/5, A nothing now
    for table in (TABLES["coverage_adjudicated"](left), TABLES["coverage"](chosen)):
        assert table["coverage"].iloc[0] == pytest.approx(2 / 5)


def test_a_warning_names_the_rows_it_is_about_once():
    rows = [
        ("m, value vectors", {"warning": "few lists; no significance is possible with 3"}),
        ("m, FFN updates", {"warning": "few lists"}),
        ("n", {"warning": "one annotator"}),
        ("n, random vectors", {}),
    ]
    assert warnings_of(rows) == [
        "m (value vectors; FFN updates): few lists.",
        "n: one annotator.",
    ]
    assert warnings_of(rows[:2]) == ["All rows: few lists."]
