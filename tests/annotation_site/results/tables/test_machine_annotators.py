"""Annotations of machine annotators as tables get them: programs' and language models'."""

import sys
from typing import Any

import pandas as pd
import pytest

from annotation_site.analysis.machine_annotators import MACHINE_ANNOTATORS
from annotation_site.annotation.models import Study
from annotation_site.corpus.models import Token
from annotation_site.machine_annotators.models import MachineRun
from annotation_site.machine_annotators.selectors import ready_runs
from annotation_site.results.tables import machine_annotators
from annotation_site.results.tables.dataframes import annotations_of
from annotation_site.results.tables.filters import Filters
from annotation_site.results.tables.machine_annotators import MachineFrames, machine_frames
from tests.annotation_site.factories import (
    answer,
    make_machine_run,
    make_prefix_study,
    make_study,
    pattern,
)
from tests.annotation_site.results.by_hand import researcher_client
from tests.annotation_site.results.machine_runs import annotate, make_run

State = MachineRun.State


def test_a_site_without_nltk_has_no_wordnet_and_says_no_more(monkeypatch):
    monkeypatch.delitem(sys.modules, "ffn_extract.wordnet", raising=False)
    monkeypatch.setitem(sys.modules, "nltk", None)
    assert machine_annotators._wordnet() is None


def frames(study: Study, **changes: Any) -> MachineFrames:
    filters = Filters.of(study)
    lists = annotations_of(study).chosen_lists(filters)
    options = {"min_tokens": study.min_tokens, "categories": study.categories, **changes}
    return machine_frames(study, lists, **options)


def of_models(found: MachineFrames) -> pd.DataFrame:
    """Annotations of language models, with a row for each member; lists numbered from 0."""
    labels = found.labels
    rows = labels.annotations[~labels.annotations["annotator"].isin(list(MACHINE_ANNOTATORS))]
    numbers = {pk: number for number, pk in enumerate(labels.lists["list_id"])}
    both = rows.assign(list=rows["list_id"].map(numbers)).merge(
        labels.members, on="annotation_id", how="left"
    )
    return both[["annotator", "list", "pattern", "rank", "category", "stopwords"]]


@pytest.fixture
def study(db) -> Study:
    return make_study(min_tokens=2)


def test_finished_runs_come_after_the_programs_in_the_order_of_their_names(study):
    for name in ("machine-zeta", "machine-alpha"):
        run = make_run(study, name)
        annotate(run, 1, answer(pattern(1, [1, 2])))
        annotate(run, 0, answer())
    for state in set(State) - {State.READY}:
        annotate(make_run(study, f"machine-{state}", state), 0, answer(pattern(1, [1, 2])))
    annotations = frames(study).labels.annotations
    names = list(dict.fromkeys(annotations["annotator"]))
    assert names[-2:] == ["machine-alpha", "machine-zeta"]
    assert set(names[:-2]) < set(MACHINE_ANNOTATORS)
    assert annotations["annotation_id"].is_unique
    assert (annotations["annotation_id"] < 0).all()
    found = of_models(frames(study))
    assert found[["annotator", "list"]].to_numpy().tolist() == [
        ["machine-alpha", 0], ["machine-alpha", 1], ["machine-alpha", 1],
        ["machine-zeta", 0], ["machine-zeta", 1], ["machine-zeta", 1],
    ]  # fmt: skip
    assert found["rank"].dropna().tolist() == [1, 2, 1, 2]


def test_lists_whose_replies_failed_stand_apart(study):
    run = make_run(study, "machine-m")
    annotate(run, 0, None)
    annotate(run, 1, answer())
    found = frames(study)
    first, second, *_ = found.labels.lists["list_id"]
    assert found.failures.to_numpy().tolist() == [["machine-m", first]]
    own = found.labels.annotations.query("annotator == 'machine-m'")
    assert own["list_id"].tolist() == [second]
    assert found.missing.keys() <= set(MACHINE_ANNOTATORS)


def test_patterns_of_other_categories_are_dropped_and_small_ones_kept(study):
    """Measures drop patterns below the minimum, as they do with people's."""
    run = make_run(study, "machine-m")
    patterns = [
        pattern(1, [1], category="semantic"),
        pattern(2, [2, 3], category="syntactic"),
        pattern(3, [4, 5], category="no longer one"),
    ]
    annotate(run, 0, answer(*patterns))
    assert of_models(frames(study))[["pattern", "rank"]].to_numpy().tolist() == [
        [1, 1], [2, 2], [2, 3],
    ]  # fmt: skip
    chosen = of_models(frames(study, chosen=["syntactic"]))
    assert chosen["pattern"].tolist() == [2, 2]


def test_lists_that_the_filter_leaves_out_have_no_annotation(study):
    run = make_run(study, "machine-m")
    for number in range(2):
        annotate(run, number, None if number else answer())
    lists = annotations_of(study).chosen_lists(Filters.of(study))
    options = {"min_tokens": 2, "categories": study.categories}
    found = machine_frames(study, lists.iloc[2:], **options)
    assert of_models(found).empty
    assert found.failures.empty


def test_a_flag_that_is_left_open_is_the_proposed_one(study):
    vector = study.items.order_by("pk")[0].vector
    own = Token.objects.filter(extraction=vector.extraction_id)
    own.update(is_stopword=False)
    own.filter(token_id__in=vector.token_ids[:2]).update(is_stopword=True)
    patterns = [
        pattern(1, [1, 2], stopwords=None),
        pattern(2, [3, 4], stopwords=None),
        pattern(3, [5, 6], stopwords=True),
    ]
    annotate(make_run(study, "machine-m"), 0, answer(*patterns))
    flags = of_models(frames(study)).groupby("pattern")["stopwords"].unique()
    assert [list(one) for one in flags] == [[True], [False], [True]]


def test_patterns_of_prefixes_have_no_flag(db):
    study = make_prefix_study()
    run = make_run(study, "machine-m")
    category = study.categories[0]
    annotate(run, 0, answer(pattern(1, [1, 2], category=category, stopwords=None)))
    assert of_models(frames(study))["stopwords"].tolist() == [False, False]


def test_the_number_of_queries_grows_with_runs_alone(study, django_assert_num_queries):
    for name in ("machine-a", "machine-b"):
        run = make_run(study, name)
        for number in range(2):
            annotate(run, number, answer(pattern(1, [1, 2])))
    lists = annotations_of(study).chosen_lists(Filters.of(study))
    options = {"min_tokens": 2, "categories": study.categories}
    machine_frames(study, lists, **options)
    # The lists, their tokens, the runs and their rules, and the annotations of each.
    with django_assert_num_queries(6):
        machine_frames(study, lists, **options)


@pytest.mark.parametrize(
    ("rule", "other"), [("several_patterns_per_token", True), ("categories", ["x"])]
)
def test_a_run_under_other_rules_is_in_no_table(study, rule, other):
    run = make_machine_run(study)
    annotate(run, 0, answer(pattern(1, [1, 2])))
    assert list(ready_runs(study)) == [run]
    assert not of_models(frames(study)).empty
    setattr(study, rule, other)
    study.save()
    assert not ready_runs(study).exists()
    assert of_models(frames(study)).empty
    assert "machine-tiny" not in set(frames(study).labels.annotations["annotator"])
    page = researcher_client(study).get(f"/studies/{study.slug}/machine-annotators/")
    assert "no table or file uses it" in page.content.decode()
