"""Language models' runs go into an archive, are verified, and come back: equal tables and files."""

import csv
import io
import json
from decimal import Decimal
from typing import Any

import pytest

from annotation_site.accounts.models import Role
from annotation_site.annotation.models import Assignment, Study
from annotation_site.corpus.models import Token
from annotation_site.errors import Invalid
from annotation_site.machine_annotators import messages, services
from annotation_site.machine_annotators.models import (
    MachineAnnotation,
    MachineExchange,
    MachinePrompt,
    MachineRun,
)
from annotation_site.machine_annotators.prompts import prompt_current
from annotation_site.results.files import archive
from annotation_site.results.files.archive_annotations import TableSettings
from annotation_site.results.files.archive_machine_runs import run_tables
from annotation_site.results.files.archive_machines import (
    FIELDS,
    NAME,
    RUN_COLUMNS,
    RUN_MEMBERS,
    MachineRules,
    runs_from,
)
from annotation_site.results.files.archive_restore import study_restore
from annotation_site.results.files.methods_paragraph import rules_of
from annotation_site.results.tables.dataframes import has_crowd
from annotation_site.verify import main, verify
from tests.annotation_site.archives import members, packed, repacked, stored
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    make_extraction,
    make_study,
    pattern,
    submit,
)

pytestmark = pytest.mark.django_db
RUNS, FAILURES = RUN_MEMBERS
MACHINES = "labels/machines.csv"
PROMPT = "machine_prompts/version-{}.md"
ENDPOINT, SECRET = "models.example.org", "sk-secret"


def with_few_draws(study: Study) -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            archive, "TableSettings", lambda *chosen: TableSettings(*chosen, resamples=20)
        )
        return packed(study)


def make_run(study: Study, name: str, *, failed: list[int], **changes: Any) -> MachineRun:
    """A finished run, whose replies failed for the lists with these numbers, from 0."""
    facts = {
        "state": MachineRun.State.READY, "model": "SmolLM2-135M", "prompt_version": 0,
        "guidelines_version": 1, "most_reply_tokens": 100, "most_requests": 100,
        "most_tokens": 10_000, "requests": 9, "input_tokens": 900, "output_tokens": 90,
    }  # fmt: skip
    run = MachineRun.objects.create(study=study, name=name, **{**facts, **changes})
    items = list(study.items.filter(use="study").order_by("pk"))
    for number, item in enumerate(items):
        annotation = None
        if number not in failed:
            animals = pattern(1, [1, 2, 3, 4, 5], description='=animals, "many"', stopwords=None)
            rest = pattern(2, [9, 12, 14], category="syntactic", stopwords=None)
            annotation = answer(*([animals, rest] if number % 2 else []))
        MachineAnnotation.objects.create(
            run=run, vector=item.vector, annotation=annotation,
            failure="" if annotation else "It is not valid JSON: at “{”.",
        )  # fmt: skip
        MachineExchange.objects.create(
            run=run, vector=item.vector, number=1, messages=[{"role": "user", "content": SECRET}],
            reply=SECRET, input_tokens=1, output_tokens=1,
        )  # fmt: skip
    run.done = run.total = len(items)
    run.failed = len(failed)
    run.save()
    return run


def annotated() -> bytes:
    study = make_study(extraction=make_extraction(layers=2, per_layer=4), lists_per_layer=3)
    # Most of the first pattern is stop words then, as people's glosses flag them.
    first = study.items.order_by("pk")[1].vector
    Token.objects.filter(extraction=first.extraction, token_id__in=first.token_ids[:4]).update(
        is_stopword=True
    )
    rows = Assignment.objects.filter(item__study=study, purpose="annotation").order_by("pk")
    for number, row in enumerate(rows):
        submit(row, answer(pattern(1, list(range(1, 5 + number * 5 % 23)))))
    MachinePrompt.objects.create(study=study, version=1, text="Not used.")
    MachinePrompt.objects.create(study=study, version=2, text="Look *twice*.\n")
    make_run(study, "machine-smollm2-135m", failed=[0, 3])
    make_run(
        study, "machine-gpt-x-2", failed=[], prompt_version=2, endpoint=ENDPOINT,
        model="provider/gpt-x", model_version="gpt-x-0613", temperature=0.7, seed=5,
        price_input=Decimal(2), price_output=Decimal(8), currency="USD", cost=Decimal("0.123456"),
    )  # fmt: skip
    make_run(study, "machine-stopped", failed=[], state=MachineRun.State.STOPPED)
    return with_few_draws(study)


@pytest.fixture(scope="module")
def data(store) -> bytes:
    return store(annotated)


def restored(content: bytes) -> Study:
    by = UserFactory(role=Role.RESEARCHER)
    return study_restore(file=io.BytesIO(content), restored_by=by)


def rows_of(content: bytes, name: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(members(content)[name].decode(), newline="")))


def with_rows(content: bytes, name: str, rows: list[list[str]]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return repacked(content, **{name: written.getvalue().encode()})


def with_cell(content: bytes, name: str, row: int, column: str, cell: str) -> bytes:
    header, *rows = rows_of(content, name)
    rows[row][header.index(column)] = cell
    return with_rows(content, name, [header, *rows])


def row_of(content: bytes, name: str, **wanted: str) -> int:
    """The number of the first row with such cells."""
    header, *rows = rows_of(content, name)
    return next(
        number
        for number, row in enumerate(rows)
        if all(row[header.index(column)] == cell for column, cell in wanted.items())
    )


def test_the_archive_has_ready_runs_and_verifies(data, tmp_path):
    assert verify(stored(tmp_path, data)).differences == []
    found = members(data)
    assert found[RUNS].decode().splitlines() == [
        "name,model,model_version,endpoint,prompt_version,guidelines_version,temperature,seed,"
        "covers,lists,failed,requests,input_tokens,output_tokens,cost,currency,versions_differ",
        "machine-smollm2-135m,SmolLM2-135M,,,0,1,0.0,0,lists,18,2,9,900,90,,,0",
        "machine-gpt-x-2,provider/gpt-x,gpt-x-0613,models.example.org,2,1,0.7,5,lists,18,0,9,900,"
        "90,0.123456,USD,0",
    ]
    assert rows_of(data, FAILURES)[1:] == [
        ["machine-smollm2-135m", list_id, "It is not valid JSON: at “{”."] for list_id in "14"
    ]
    header, *rows = rows_of(data, MACHINES)
    assert header == [
        "annotator", "list", "pattern", "rank", "category", "stopwords", "description",
    ]  # fmt: skip
    own = [row for row in rows if row[0] == "machine-gpt-x-2"]
    assert own[:3] == [
        ["machine-gpt-x-2", "1", "", "", "", "", ""],
        ["machine-gpt-x-2", "2", "1", "1", "semantic", "1", '\'=animals, "many"'],
        ["machine-gpt-x-2", "2", "1", "2", "semantic", "1", '\'=animals, "many"'],
    ]
    assert {row[0] for row in rows} > {"machine-affixes", "machine-smollm2-135m"}
    assert found[PROMPT.format(0)].decode() == messages.DEFAULT_PROMPT
    assert found[PROMPT.format(2)].decode() == "Look *twice*.\n"
    assert PROMPT.format(1) not in found
    assert found["labels/fields.md"].decode().endswith(FIELDS)
    assert RUNS in found["README.md"].decode()


def test_it_has_no_exchange_and_no_run_that_is_not_ready(data):
    whole = b"".join(members(data).values())
    assert SECRET.encode() not in whole
    assert b"machine-stopped" not in whole


def test_a_restored_study_gives_equal_tables_and_the_same_members(data):
    study = restored(data)
    again = with_few_draws(study)
    one, other = members(data), members(again)
    assert set(one) == set(other)
    told = {"parameters.json", "restore/study.json", "checksums.sha256"}  # it is closed, and named
    assert {name for name in one if one[name] != other[name]} == told
    runs = {run.name: run for run in study.machine_runs.all()}
    assert list(runs) == ["machine-gpt-x-2", "machine-smollm2-135m"]
    assert all(run.restored and run.is_ready for run in runs.values())
    assert runs["machine-gpt-x-2"].cost == Decimal("0.123456")
    assert runs["machine-smollm2-135m"].annotations.filter(annotation__isnull=True).count() == 2
    first = runs["machine-gpt-x-2"].annotations.order_by("pk")[1].annotation
    assert first == {
        "patterns": [
            {
                "number": 1, "description": '=animals, "many"', "category": "semantic",
                "stopwords": True, "ranks": [1, 2, 3, 4, 5],
            },
            {
                "number": 2, "description": "pattern 2", "category": "syntactic",
                "stopwords": False, "ranks": [9, 12, 14],
            },
        ],
        "no_pattern": False,
        "comment": "",
    }  # fmt: skip


def test_version_0_of_the_prompt_is_the_text_that_the_archive_has(data, monkeypatch):
    study = restored(repacked(data, **{PROMPT.format(0): b"An older text."}))
    assert prompt_current(study) == (2, "Look *twice*.\n")
    texts = dict(MachinePrompt.objects.filter(study=study).values_list("version", "text"))
    assert texts == {0: "An older text.", 2: "Look *twice*.\n"}
    assert members(with_few_draws(study))[PROMPT.format(0)] == b"An older text."


def test_a_restored_run_cannot_be_continued(data, settings):
    settings.LLM_MODEL, settings.LLM_ENDPOINT = "SmolLM2-135M", ""
    run = restored(data).machine_runs.get(name="machine-smollm2-135m")
    with pytest.raises(Invalid, match="came with an archive"):
        services.run_continue(run=run, by=run.study.created_by)


def test_an_archive_from_before_there_were_runs_is_read(data, tmp_path):
    header, *rows = rows_of(data, MACHINES)
    programs = [row for row in rows if row[0] in ("machine-affixes", "machine-hypernyms")]
    earlier = [row[:5] for row in (header, *programs)]
    changes = dict.fromkeys((*RUN_MEMBERS, PROMPT.format(0), PROMPT.format(2)))
    changed = with_rows(repacked(data, **changes), MACHINES, earlier)
    found = verify(stored(tmp_path, changed)).differences
    # Its tables were computed with language models: no member and no cell of the programs differs.
    assert found
    assert not any("labels/machine" in one for one in found)
    assert not restored(changed).machine_runs.exists()


@pytest.mark.parametrize("name", [*RUN_MEMBERS, PROMPT.format(2)])
def test_an_archive_without_one_of_the_members_is_found_and_refused(data, tmp_path, capsys, name):
    changed = repacked(data, **{name: None})
    assert main([str(stored(tmp_path, changed))]) != 0
    capsys.readouterr()
    with pytest.raises(Invalid):
        restored(changed)


def test_a_prompt_that_no_run_used_is_found_and_refused(data, tmp_path, capsys):
    changed = repacked(data, **{PROMPT.format(1): b"Not used."})
    assert main([str(stored(tmp_path, changed))]) == 1
    assert "machine_prompts/version-1.md is no member" in capsys.readouterr().out
    with pytest.raises(Invalid, match="other versions of the prompt"):
        restored(changed)


REFUSED = [
    (RUNS, 0, "name", "smollm2", "the name is none of a run"),
    (RUNS, 0, "name", "machine-affixes", "the name is none of a run"),
    (RUNS, 0, "name", "machine-Ünïcode", "the name is none of a run"),
    (RUNS, 0, "name", "machine-" + "x" * 60, "the name is none of a run"),
    (RUNS, 0, "name", "machine-gpt-x-2", "is there twice"),
    (RUNS, 0, "name", "machine-other", "lacks the annotator"),
    (RUNS, 0, "model", "", "model is no text"),
    (RUNS, 0, "model", "x" * 300, "model is no text"),
    (RUNS, 0, "model_version", "\x07", "model_version is no text"),
    (RUNS, 1, "endpoint", "https://models.example.org/v1", "the endpoint is no name of a host"),
    (RUNS, 1, "endpoint", "ada:secret@models.example.org", "the endpoint is no name of a host"),
    (RUNS, 0, "prompt_version", "-1", "prompt_version is no whole number"),
    (RUNS, 0, "prompt_version", "1.5", "prompt_version is no whole number"),
    (RUNS, 0, "prompt_version", "", "prompt_version is no whole number"),
    (RUNS, 0, "guidelines_version", "7", "lacks this version of the guidelines"),
    (RUNS, 0, "temperature", "1e+999", "temperature is no number"),
    (RUNS, 0, "temperature", "-0.5", "temperature is no number"),
    (RUNS, 0, "seed", "99999999999", "seed is no whole number"),
    (RUNS, 0, "covers", "everything", "covers is lists or vectors"),
    (RUNS, 0, "lists", "17", "counts fewer lists"),
    (RUNS, 0, "failed", "1", "counts fewer lists, or failures"),
    (RUNS, 0, "failed", "19", "more lists failed than the run has"),
    (RUNS, 0, "requests", "x", "column of numbers"),
    (RUNS, 0, "input_tokens", "9" * 30, "input_tokens is no whole number"),
    (RUNS, 0, "output_tokens", "-1", "output_tokens is no whole number"),
    (RUNS, 0, "cost", "1.0", "a cost has a currency"),
    (RUNS, 1, "cost", "", "a cost has a currency"),
    (RUNS, 1, "cost", "1e+300", "cost is no number"),
    (RUNS, 1, "currency", "dollars", "a cost has a currency"),
    (FAILURES, 0, "annotator", "machine-other", "lacks the annotator"),
    (FAILURES, 0, "annotator", "machine-affixes", "lacks the annotator"),
    (FAILURES, 0, "annotator", "machine-gpt-x-2", "has an annotation of this run"),
    (FAILURES, 0, "list", "2", "has an annotation of this run"),
    (FAILURES, 0, "list", "4", "there twice"),
    (FAILURES, 0, "list", "999", "none of the study's own"),
    (FAILURES, 0, "list", "", "none of the study's own"),
    (FAILURES, 0, "failure", "", "the reason is no text"),
    (FAILURES, 0, "failure", "\0", "the reason is no text"),
    (FAILURES, 0, "failure", "x" * 400, "the reason is no text"),
]
OF_A_PATTERN = [
    ("annotator", "machine-other", "lacks the annotator"),
    ("list", "999", "none of the study's own"),
    ("list", "1", "with a pattern and without one"),
    ("pattern", "2", "patterns are numbered"),
    ("pattern", "-1", "patterns are numbered"),
    ("pattern", "", "without a pattern there is no rank"),
    ("rank", "31", "the rank is none of the list's"),
    ("rank", "0", "the rank is none of the list's"),
    ("rank", "2", "the rank is none of the list's, or out of order"),
    ("rank", "1.0", "the rank is none of the list's"),
    ("category", "rhetorical", "the category is none of the study's"),
    ("category", "", "the category is none of the study's"),
    ("stopwords", "2", "stopwords is 0 or 1"),
    ("stopwords", "", "stopwords is 0 or 1"),
    ("stopwords", "0", "each is one"),
    ("description", "another", "each is one"),
    ("description", "x" * 3000, "the description is no text"),
]


@pytest.mark.parametrize(("name", "row", "column", "cell", "sentence"), REFUSED)
def test_what_no_archive_holds_is_refused(
    data, tmp_path, capsys, name, row, column, cell, sentence
):
    assert_refused(with_cell(data, name, row, column, cell), sentence, tmp_path, capsys)


@pytest.mark.parametrize(("column", "cell", "sentence"), OF_A_PATTERN)
def test_an_annotation_that_no_archive_holds_is_refused(
    data, tmp_path, capsys, column, cell, sentence
):
    row = row_of(data, MACHINES, annotator="machine-gpt-x-2", pattern="1")
    assert_refused(with_cell(data, MACHINES, row, column, cell), sentence, tmp_path, capsys)


def assert_refused(changed: bytes, sentence: str, tmp_path, capsys) -> None:
    assert main([str(stored(tmp_path, changed))]) == 2
    assert sentence in capsys.readouterr().err
    before = Study.objects.count(), MachineRun.objects.count()
    with pytest.raises(Invalid, match=sentence):
        restored(changed)
    assert (Study.objects.count(), MachineRun.objects.count()) == before


def test_an_entry_is_in_one_pattern_unless_the_study_allows_more(data, tmp_path, capsys):
    row = row_of(data, MACHINES, annotator="machine-gpt-x-2", pattern="2")
    changed = with_cell(data, MACHINES, row, "rank", "5")
    assert_refused(changed, "is in two patterns", tmp_path, capsys)
    parameters = json.loads(members(changed)["parameters.json"])
    parameters["study"]["several_patterns_per_token"] = True
    content = json.dumps(parameters).encode()
    assert restored(repacked(changed, **{"parameters.json": content})).machine_runs.count() == 2


@pytest.mark.parametrize("name", RUN_MEMBERS)
@pytest.mark.parametrize("content", [b"", b"{}\n", b"\xff\xfe\n", b"name,model\r\n"])
def test_a_member_that_is_something_else_is_refused(data, name, content):
    with pytest.raises(Invalid):
        restored(repacked(data, **{name: content}))


def test_a_token_that_was_taken_out_of_a_pattern_shows_in_the_tables(data, tmp_path, capsys):
    header, *rows = rows_of(data, MACHINES)
    wanted = {"annotator": "machine-gpt-x-2", "pattern": "1", "rank": "5", "stopwords": "0"}
    rows.pop(row_of(data, MACHINES, **wanted))
    changed = with_rows(data, MACHINES, [header, *rows])
    assert main([str(stored(tmp_path, changed))]) == 1
    assert "tables/machine" in capsys.readouterr().out


def test_no_code_of_a_person_is_a_machine_s_name(data, tmp_path, capsys):
    lines = members(data)["labels/labels.jsonl"].splitlines()
    record = json.loads(lines[0])
    record["annotator"] = "machine-gpt-x-2"
    content = json.dumps(record).encode() + b"\n" + b"\n".join(lines[1:]) + b"\n"
    changed = repacked(data, **{"labels/labels.jsonl": content})
    with pytest.raises(Invalid, match="small letters and digits"):
        restored(changed)
    assert main([str(stored(tmp_path, changed))]) == 2
    capsys.readouterr()


@pytest.mark.parametrize(
    ("fact", "value", "written"),
    [
        ("endpoint", f"ada:{SECRET}@models.example.org:8443", "models.example.org:8443"),
        ("endpoint", f"models.example.org/v1?key={SECRET}", None),
        ("endpoint", "[::1]:8000", "[::1]:8000"),
        ("model", "/srv/models/SmolLM2/", "SmolLM2"),
        ("model", "HuggingFaceTB/SmolLM2", "HuggingFaceTB/SmolLM2"),
        (
            "model_version",
            "gpt\x07\u202ex",
            "gpt\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}x",
        ),
    ],
)
def test_a_row_has_no_secret_no_folder_and_what_can_be_read_again(fact, value, written):
    study = make_study()
    make_run(study, "machine-x", failed=[], **{fact: value})
    numbers = {item.pk: number for number, item in enumerate(study.items.order_by("pk"), start=1)}
    (row,) = run_tables(study, numbers)["machine_runs"].rows
    assert dict(zip((column.name for column in RUN_COLUMNS), row, strict=True))[fact] == written
    (run,) = runs_from([row], [], [], [], MachineRules((), False, {1}))
    assert run.told[fact] == (written or "")


@pytest.mark.parametrize("crowd", [True, False])
def test_whether_people_joined_by_an_open_link_comes_with_the_archive(data, crowd):
    """The alternative annotator test depends on it."""
    parameters = json.loads(members(data)["parameters.json"])
    parameters["study"]["crowd"] = crowd
    study = restored(repacked(data, **{"parameters.json": json.dumps(parameters).encode()}))
    assert has_crowd(study) is crowd
    assert rules_of(study).get("crowd", False) is crowd
    assert not study.created_by.is_crowd


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("org/SmolLM2-135M-Instruct", "machine-smollm2-135m-instruct"),
        ("a" * 300, None),
        ("Ü", None),
    ],
)
def test_the_names_that_runs_get_are_names_that_archives_have(model, name):
    given = services._free_name(make_study(), model)
    assert name in (None, given)
    assert NAME.fullmatch(given)
    assert len(given) <= 60
