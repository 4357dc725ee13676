"""Machine annotators on the results page and in the methods paragraph."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from annotation_site.analysis.alternative_annotators import FEW_LISTS, FEW_TESTED
from annotation_site.analysis.alternative_sentences import NEITHER, what_follows
from annotation_site.analysis.annotation_frames import AnnotationFrames
from annotation_site.annotation.models import Assignment, Study
from annotation_site.exports.table import table_from_frame
from annotation_site.results.files.methods_machines import machines as machine_sentences
from annotation_site.results.files.methods_paragraph import methods_paragraph, rules_of
from annotation_site.results.pages import machines
from annotation_site.results.pages.people import Behind
from annotation_site.results.pages.results import OVERVIEW
from annotation_site.results.snapshots import services
from annotation_site.results.snapshots.computation import table_json, table_request
from annotation_site.results.tables.dataframes import annotations_of
from annotation_site.results.tables.filters import Filters
from annotation_site.results.tables.registry import TABLES
from annotation_site.results.tables.request import TableRequest
from tests.annotation_site.factories import answer, pattern
from tests.annotation_site.results.by_hand import labelled_study, researcher_client
from tests.annotation_site.results.machine_runs import annotate, make_run
from tests.annotation_site.results.requests import CATEGORIES

LENGTH = 12
NAMES = ("machine_coverage", "machine_agreement", "alternative_annotators",
         "alternative_annotator_people")  # fmt: skip
BEHIND = Behind(Study(slug="s"), {})


def request(*, lists: int = 40, failed: int = 4) -> TableRequest:
    """Three people and two machines who see one truth: a program by lot, a model without errors
    but for failed replies.
    """
    generator = np.random.default_rng(0)
    truth = generator.random((lists, LENGTH)) < 0.4
    shown = pd.DataFrame(
        {"list_id": range(lists), "model": "toy", "kind": "value", "layer": 0, "length": LENGTH}
    )

    def said(who: dict[str, float], first: int) -> AnnotationFrames:
        rows = pd.DataFrame(
            [(number, one) for number in range(lists) for one in who],
            columns=["list_id", "annotator"],
        )
        rows.insert(0, "annotation_id", first + np.arange(len(rows)))
        errors = rows["annotator"].map(who).to_numpy()[:, None]
        marked = truth[rows["list_id"]] ^ (generator.random((len(rows), LENGTH)) < errors)
        at, rank = np.nonzero(marked)
        members = pd.DataFrame({"annotation_id": first + at, "pattern": 1, "rank": rank + 1})
        members = members.assign(category="semantic", stopwords=False)
        return AnnotationFrames(shown, rows, members)

    machine = said({"machine-affixes": 0.5, "machine-model": 0.0}, 10_000)
    rows = machine.annotations
    rows = rows[(rows["annotator"] != "machine-model") | (rows["list_id"] >= failed)]
    inside = machine.members["annotation_id"].isin(rows["annotation_id"])
    return TableRequest(
        said(dict.fromkeys(("ana", "ben", "cem"), 0.15), 0),
        CATEGORIES,
        1,
        resamples=50,
        machines=AnnotationFrames(shown, rows, machine.members[inside]),
        machine_failures=pd.DataFrame({"annotator": "machine-model", "list_id": range(failed)}),
    )


def rows_of(asked: TableRequest) -> dict[str, list[dict[str, Any]]]:
    """The rows of tables as snapshots store them."""
    found = {}
    for name in NAMES:
        stored = table_json(TABLES[name](asked))
        columns = [column for column, _ in stored["columns"]]
        found[name] = [dict(zip(columns, row, strict=True)) for row in stored["rows"]]
    return found


@pytest.fixture(scope="module")
def rows() -> dict[str, list[dict[str, Any]]]:
    return rows_of(request())


MEASURES = {name: {"title": name} for name in OVERVIEW}


def test_failed_replies_have_their_share(rows):
    program, model = machines.machine_coverage(rows["machine_coverage"]).rows
    assert [(cell.text, cell.between) for cell in program[3:]] == [("40", ""), ("0", "")]
    assert [(cell.text, cell.between) for cell in model[3:]] == [("36", ""), ("4", "10.0%")]


def test_people_stand_beside_each_machine_measure_by_measure(rows):
    program, model = machines.machine_agreement(rows["machine_agreement"], MEASURES, BEHIND)
    assert (program.is_language_model, model.is_language_model) == (False, True)
    table = model.table
    assert table.title == "Agreement: machine-model beside people"
    assert [row[0].text for row in table.rows] == list(OVERVIEW)
    _, people, both, lists = table.rows[0]
    assert float(people.text) < float(both.text)
    assert people.between
    assert both.between
    assert (lists.text, lists.between) == ("36", "of 40")
    assert table.warnings[0] == "Left out: 4 of the lists: the machine's replies failed."
    assert program.table.rows[0][3].between == ""


def test_too_few_lists_are_a_sentence_in_place_of_a_table():
    found = rows_of(request(lists=12))
    (program, model) = machines.machine_agreement(found["machine_agreement"], MEASURES, BEHIND)
    assert (program.table, model.table) == (None, None)
    assert model.why == (
        "undefined, because only 8 lists have annotations of two people and of this machine "
        "annotator; at least 30 are needed."
    )
    test = machines.alternative_test(found["alternative_annotators"], every=False)
    assert [row[1].text for row in test.rows] == ["not tested", "not tested"]
    assert test.rows[0][1].remark == FEW_LISTS
    assert [cell.text for cell in test.rows[0][2:4]] == ["–", "–"]


def test_the_note_says_which_lists_the_rows_rest_on(rows):
    of_two = rows["machine_agreement"]
    alone = [{**row, "lists": 0} if row["between"] == "people" else row for row in of_two]
    notes = [
        machines.machine_agreement(found, MEASURES, BEHIND)[1].table.caption
        for found in (of_two, alone)
    ]
    assert "at least two people" in notes[0]
    assert "at least two people" not in notes[1]
    assert "no list has annotations of two people" in notes[1]


def test_tables_of_an_older_version_have_no_halves(rows):
    older = [{k: v for k, v in row.items() if k != "between"} for row in rows["machine_agreement"]]
    assert machines.machine_agreement(older, MEASURES, BEHIND) == []
    assert machines.alternative_test((), every=False).rows == []
    assert machines.followed(()) == []


def test_the_default_leads_and_every_epsilon_follows(rows):
    stored = rows["alternative_annotators"]
    table = machines.alternative_test(stored, every=False)
    program, model = table.rows
    assert [cell.text for cell in program[:3]] == ["machine-affixes", "not passed", "0.00"]
    assert [cell.text for cell in model[:3]] == ["machine-model", "passed", "1.00"]
    assert model[2].remark == "3 of 3 people"
    assert [(cell.text, cell.between) for cell in model[4:]] == [("40", ""), ("4", "10.0%")]
    assert "here 0.20" in table.caption
    every = machines.alternative_test(stored, every=True)
    assert len(every.rows) == 14
    assert every.rows[7][0].text == "machine-model: ε 0.00"


def test_each_person_has_a_row_beside_each_machine(rows):
    table = machines.people_of_test(rows["alternative_annotator_people"], BEHIND)
    assert [row[0].text for row in table.rows] == [
        f"machine-{machine}: {person}"
        for machine in ("affixes", "model")
        for person in ("ana", "ben", "cem")
    ]
    assert [row[6].text for row in table.rows] == ["no"] * 3 + ["yes"] * 3


def test_what_follows_is_said_of_language_models_alone(rows):
    (model,) = machines.followed(rows["alternative_annotators"])
    assert model.name == "machine-model"
    assert model.sentence == (
        "The test is passed: on these lists and against these people, this machine annotator "
        "agrees with the others about as well as at least half of the people who were tested, "
        f"given a cost–benefit ε of 0.20. {NEITHER}"
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"passed": "yes"}, "The test is passed: on these lists and against these people, m "),
        ({"passed": "no"}, "The test is not passed: it is not shown that m agrees"),
        (
            {"passed": "undefined", "undefined": FEW_LISTS},
            "The test cannot be made: nobody has 30 lists that two other people annotated and "
            "this machine annotator was asked about. So nothing follows",
        ),
    ],
)
def test_each_outcome_says_what_follows_and_what_does_not(changes, said):
    sentence = what_follows({"annotator": "m", "epsilon": 0.1, "undefined": "", **changes})
    assert sentence.startswith(said)
    assert (NEITHER in sentence) == (changes["passed"] != "undefined")
    assert "follow" in sentence


def test_a_few_tested_people_are_a_warning_below_the_table(rows):
    stored = [{**row, "warning": FEW_TESTED} for row in rows["alternative_annotators"]]
    table = machines.alternative_test(stored, every=False)
    assert table.warnings == ["All rows: fewer than 3 people are tested."]


def test_methods_name_the_language_model_with_its_failures_and_its_test():
    asked = request()
    tables = {n: table_from_frame(n, TABLES[n](asked)) for n in NAMES}
    text = " ".join(machine_sentences(tables, {}))
    assert text.startswith(
        "The language model machine-model annotated 36 lists in the format of people's "
        "annotations, from entries, glosses and guidelines alone; about 4 lists it gave no reply "
        "that could be read, so it has no annotation of them. On 36 lists that people and this "
        "language model annotated, Krippendorff's alpha (Krippendorff, 2011) is "
    )
    assert (
        "In the alternative annotator test (Calderon et al., 2025; Benjamini and Yekutieli, "
        "2001), its winning rate against 3 people is 1.00 with an ε of 0.20" in text
    )
    assert "The alternative annotator test is passed" in text
    assert text.endswith(NEITHER)
    assert "affixes" not in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {},
            "The machine annotator machine-model is the language model acme/tiny, version tiny-1 "
            "as its reply says. It ran over an endpoint at temperature 0.5, with version 2 of the "
            "prompt. The language model machine-model annotated",
        ),
        (
            {"versions_differ": 1, "endpoint": None, "model_version": "a<img>`b"},
            "The machine annotator machine-model is the language model acme/tiny, version aimgb as "
            "its first reply says. It ran on the site's own workers at temperature 0.5, with "
            "version 2 of the prompt. Later replies named another version. The language model",
        ),
        (
            {"model_version": None},
            "The machine annotator machine-model is the language model acme/tiny. It ran over",
        ),
    ],
)
def test_methods_say_what_was_asked_where_the_run_is_known(changes, said):
    asked = request()
    tables = {n: table_from_frame(n, TABLES[n](asked)) for n in NAMES}
    run = {
        "name": "machine-model", "model": "acme/tiny", "model_version": "tiny-1",
        "endpoint": "models.example.org", "temperature": 0.5, "prompt_version": 2,
        "versions_differ": 0, **changes,
    }  # fmt: skip
    assert " ".join(machine_sentences(tables, {"machine-model": run})).startswith(said)


def test_methods_say_nothing_of_programs():
    asked = request()
    own = asked.machines.annotations.query("annotator == 'machine-affixes'")
    members = asked.machines.members
    inside = members["annotation_id"].isin(own["annotation_id"])
    alone = TableRequest(
        asked.labels, CATEGORIES, 1, resamples=0,
        machines=AnnotationFrames(asked.labels.lists, own, members[inside]),
    )  # fmt: skip
    tables = {name: table_from_frame(name, TABLES[name](alone)) for name in NAMES}
    assert list(machine_sentences(tables, {})) == []
    assert list(machine_sentences({}, {})) == []


@pytest.mark.django_db
def test_the_results_page_names_a_language_model_and_what_is_missing():
    study = labelled_study()
    run = make_run(study, "machine-model")
    annotate(run, 0, answer(pattern(1, [1, 2, 3, 4])))
    annotate(run, 1, None)
    snapshot = services.snapshot_refresh_now(study=study)
    page = researcher_client(study).get(f"/studies/{study.slug}/results/").content.decode()
    section = page.split('id="machines"')[1].split('id="figures"')[0]
    assert "machine-model" in section
    assert "only 1 list has annotations of two people and of this machine annotator" in section
    assert "fewer than 3 people annotated" in section
    paragraph = methods_paragraph(study, snapshot)
    assert "The language model machine-model annotated 1 list " in paragraph
    assert (
        "about 1 list it gave no reply that could be read, so it has no annotation of it."
        in paragraph
    )
    assert "The alternative annotator test cannot be made" in paragraph


@pytest.mark.django_db
def test_participants_of_an_open_link_make_the_default_that_of_a_crowd():
    study = labelled_study()
    annotate(make_run(study, "machine-model"), 0, answer())

    def default() -> list[float]:
        asked, _ = table_request(study, annotations_of(study), Filters.of(study))
        return TABLES["alternative_annotators"](asked)["epsilon"].unique().tolist()

    assert default() == [0.2]
    assert "crowd" not in rules_of(study)
    person = study.memberships.filter(role="annotator").first().user
    person.email, person.is_crowd = "", True
    person.save()
    assert default() == [0.1]
    assert rules_of(study)["crowd"] is True
    Assignment.objects.filter(membership__user=person).update(state="in progress")
    assert default() == [0.2]  # nobody of the crowd has annotated yet
