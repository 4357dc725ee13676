"""Labels go out, come back, and go out again as the very same bytes."""

import codecs
import io
import json
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import pytest
from django.core.management import CommandError, call_command

from annotation_site.accounts.models import User
from annotation_site.annotation.models import Assignment, Item, Membership, Pattern, Study
from annotation_site.annotation.studies.plans import StudyPlan
from annotation_site.annotation.studies.services import study_create
from annotation_site.corpus.models import Token
from annotation_site.exports import labels_jsonl, labels_parquet
from annotation_site.exports.annotation_records import (
    RECORD_FIELDS,
    AnnotationRecord,
    LabelsFileError,
)
from annotation_site.results.files.labels_export import annotation_records
from annotation_site.results.models import Pseudonym
from annotation_site.results.snapshots.versions import data_version
from tests.annotation_site.annotation.answering import skip, submit
from tests.annotation_site.factories import answer, make_extraction, make_study, pattern

pytestmark = pytest.mark.django_db


@pytest.fixture
def study():
    """Two lists and two people: three answers and a skip, with everything that a label can hold."""
    study = make_study(
        extraction=make_extraction(layers=1, per_layer=1, kinds=("value", "update")),
        lists_per_layer=1,
        title="Labels",
    )
    first, second = study.memberships.filter(role="annotator").order_by("pk")
    value, update = study.items.order_by("-vector__kind")
    answers = [
        (first, value, answer(pattern(1, [3, 1, 2, 4], description="=cmd <b>“–”</b>\n"),
                              pattern(2, [9, 11], category="syntactic", stopwords=True))),
        (second, value, answer(comment="nothing, really")),
        (first, update, answer(pattern(1, [1, 2, 3, 4, 5], description="", category="syntactic"))),
    ]  # fmt: skip
    for membership, item, content in answers:
        submit(Assignment.objects.get(membership=membership, item=item), content)
    skip(Assignment.objects.get(membership=second, item=update), "I do not know")
    Assignment.objects.filter(membership=first, item=update).update(surplus=True, unblinded=True)
    # As an answer can be that was imported from elsewhere.
    Assignment.objects.filter(membership=first, item=value).update(opened_at=None)
    return study


def twin_of(study: Study, **changes) -> Study:
    """A draft over the same lists, with nobody in it but its researcher and one stranger."""
    plan = StudyPlan(
        title="The twin",
        extractions=list(study.extractions.all()),
        annotators=list(User.objects.filter(memberships__study=study, role="annotator")),
        lists_per_layer=1,
        **changes,
    )
    twin = study_create(plan=plan, created_by=study.created_by)
    twin.memberships.filter(role=Membership.Role.ANNOTATOR).delete()
    return twin


def jsonl(study: Study, **options) -> bytes:
    return b"".join(map(labels_jsonl.line_of, annotation_records(study, **options)))


def parquet(study: Study) -> bytes:
    file = io.BytesIO()
    writer = labels_parquet.ParquetWriter(file)
    for record in annotation_records(study):
        writer.write(record)
    writer.close()
    return file.getvalue()


def records(study: Study) -> list[AnnotationRecord]:
    return list(annotation_records(study))


def write(tmp_path: Path, content: bytes, name: str = "labels.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def changed(content: bytes, line: int = 0, **changes) -> bytes:
    """The file with other values in one line."""
    lines = content.splitlines(keepends=True)
    values = {**json.loads(lines[line]), **changes}
    lines[line] = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    return b"".join(lines)


def test_a_record_says_where_the_list_came_from_and_what_was_answered(study):
    line = next(line for line in jsonl(study).splitlines() if b'"value"' in line and b"cmd" in line)
    values = json.loads(line)
    assignment = Assignment.objects.get(item__vector__kind="value", comment="")
    vector = assignment.item.vector
    assert list(values) == [field.name for field in RECORD_FIELDS]
    code = Pseudonym.objects.get(study=study, user=assignment.membership.user).name
    assert values == {
        "schema_version": 2,
        "model": vector.extraction.model.name,
        "model_revision": "",
        "weights_digest": vector.extraction.model.weights_digest,
        "bundle_digest": vector.extraction.bundle_digest,
        "kind": "value",
        "layer": 0,
        "index": 0,
        "list_use": "study",
        "annotator": code,
        "annotator_name": None,
        "role": "annotator",
        "purpose": "annotation",
        "position": assignment.position,
        "surplus": False,
        "unblinded": False,
        "reference_score": None,
        "version": 1,
        "guidelines_version": 1,
        "opened_at": None,
        "submitted_at": assignment.submitted_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "active_seconds": 0,
        "no_pattern": False,
        "comment": "",
        "token_ids": vector.token_ids,
        "tokens": [f"word{i}" for i in vector.token_ids],
        "glosses": [f"the meaning of {i}" for i in vector.token_ids],
        "patterns": [
            {
                "number": 1,
                "description": "=cmd <b>“–”</b>\n",
                "category": "semantic",
                "stopwords": False,
                "stopwords_proposed": False,
                "ranks": [1, 2, 3, 4],
            },
            {
                "number": 2,
                "description": "pattern 2",
                "category": "syntactic",
                "stopwords": True,
                "stopwords_proposed": False,
                "ranks": [9, 11],
            },
        ],
        "looked_before": False,
    }


def test_only_submitted_answers_are_labels_each_flag_with_them(study):
    found = records(study)
    assert len(found) == 3
    assert [r.list_key for r in found] == sorted(r.list_key for r in found)
    assert [(r.kind, r.surplus, r.unblinded) for r in found] == [
        ("update", True, True),
        ("value", False, False),
        ("value", False, False),
    ]
    assert [r.no_pattern for r in found if r.comment] == [True]


def test_names_leave_only_where_they_were_asked_for(study):
    people = list(User.objects.filter(memberships__study=study))
    plain, named = jsonl(study).decode(), jsonl(study, with_names=True).decode()
    for person in people:
        assert f'"{person.username}"' not in plain
        assert str(person.public_id) not in plain
        if person.role == "annotator":
            assert f'"annotator_name":"{person.username}"' in named


def test_a_person_keeps_their_code_in_a_study_and_has_another_in_the_next(study):
    assert {r.annotator for r in records(study)} == {r.annotator for r in records(study)}
    twin = twin_of(study)
    Membership.objects.create(
        study=twin, user=User.objects.filter(role="annotator").first(), role="annotator"
    )
    list(annotation_records(twin))
    assert Pseudonym.objects.count() == 5  # with both researchers
    assert len(set(Pseudonym.objects.values_list("name", flat=True))) == 5


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_export_import_export_gives_the_same_bytes(study, tmp_path, suffix):
    before = {"jsonl": jsonl(study), "parquet": parquet(study)}
    twin = twin_of(study)
    path = write(tmp_path, before[suffix], f"labels.{suffix}")
    call_command("import_annotations", twin.slug, str(path))
    assert jsonl(twin) == before["jsonl"]
    assert parquet(twin) == before["parquet"]
    assert data_version(twin.pk) == 3


def test_both_formats_hold_the_same_records(study):
    found = records(study)
    assert list(labels_jsonl.read(io.BytesIO(jsonl(study)))) == found
    assert list(labels_parquet.read(io.BytesIO(parquet(study)))) == found


def test_pandas_reads_the_labels_as_they_are(study):
    frame = pd.read_parquet(io.BytesIO(parquet(study)))
    assert list(frame.columns) == [field.name for field in RECORD_FIELDS]
    assert frame["layer"].dtype == "int32"
    assert str(frame["submitted_at"].dtype) == "datetime64[us, UTC]"
    assert list(frame.iloc[0]["patterns"][0]["ranks"]) == [1, 2, 3, 4, 5]
    assert len(frame.explode("patterns")) == 4


def test_people_made_up_for_codes_cannot_log_in(study, tmp_path, capsys):
    twin = twin_of(study)
    path = write(tmp_path, jsonl(study))
    call_command("import_annotations", twin.slug, str(path))
    assert "Imported 3 annotations" in capsys.readouterr().out
    made_up = User.objects.filter(memberships__study=twin, username__startswith="imported-")
    assert [(p.is_active, p.has_usable_password(), p.role) for p in made_up] == [
        (False, False, "annotator")
    ] * 2


def test_a_code_can_stand_for_somebody_in_the_study(study, tmp_path):
    twin = twin_of(study)
    person = User.objects.filter(role="annotator").first()
    Membership.objects.create(study=twin, user=person, role="annotator")
    code = Pseudonym.objects.get(user=person) if jsonl(study) else None
    path = write(tmp_path, jsonl(study))
    call_command("import_annotations", twin.slug, str(path), "--person", f"{code}={person}")
    assert Assignment.objects.filter(item__study=twin, membership__user=person).exists()
    assert User.objects.filter(username__startswith="imported-").count() == 1
    with pytest.raises(CommandError, match="nobody called “zoe”"):
        call_command("import_annotations", twin.slug, str(path), "--person", "p1=zoe")


def test_a_file_lets_nobody_run_a_study(study, tmp_path):
    twin = twin_of(study)
    person = User.objects.filter(role="annotator").first()
    Membership.objects.create(study=twin, user=person, role="annotator")
    content = jsonl(study)
    code = Pseudonym.objects.get(user=person, study=study).name
    line = next(n for n, one in enumerate(content.splitlines()) if code.encode() in one)
    path = write(
        tmp_path, changed(content, line, role="researcher", purpose="adjudication", surplus=False)
    )
    with pytest.raises(CommandError, match="is no researcher of this study"):
        call_command("import_annotations", twin.slug, str(path), "--person", f"{code}={person}")


REFUSED = [
    ({"layer": 7}, "does not hold the update vector 0 of layer 7"),
    ({"bundle_digest": "sha256:0"}, "of the bundle sha256:0"),
    ({"tokens": ["x"] * 30}, "the list's tokens differ"),
    ({"glosses": ["x"] * 30}, "the list's glosses differ"),
    ({"token_ids": [1] * 30}, "the list's token ids differ"),
    ({"tokens": ["x"]}, "differ in length"),
    ({"purpose": "fun"}, "purpose is 'fun'"),
    ({"role": "admin"}, "role is 'admin'"),
    ({"list_use": "training"}, "list_use is 'training'"),
    ({"position": 0}, "position is 0; it starts at 1"),
    ({"version": 0}, "version is 0; it starts at 1"),
    ({"active_seconds": -1}, "active_seconds is -1"),
    ({"active_seconds": 999_999_999}, "more than has passed since the list was opened"),
    ({"active_seconds": 2**31 - 1}, "active_seconds is 2147483647; it can be"),
    ({"version": 2**31 - 1}, "version is 2147483647; it can be"),
    ({"position": 2**31 - 1}, "position is 2147483647; it can be"),
    ({"guidelines_version": 0}, "guidelines_version is 0; it starts at 1"),
    ({"submitted_at": "2999-01-01T00:00:00.000000Z"}, "submitted_at lies in the future"),
    ({"submitted_at": "1999-01-01T00:00:00.000000Z"}, "submitted_at is before opened_at"),
    ({"purpose": "pilot"}, "a list for the study has annotations for annotation, repeat"),
    ({"purpose": "reference"}, "a list for the study has annotations for annotation, repeat"),
    ({"purpose": "repeat", "surplus": True}, "only an annotation can be surplus"),
    ({"purpose": "adjudication"}, "researchers adjudicate"),
    ({"reference_score": 2}, "between 0 and 1"),
    ({"annotator": "../ada"}, "a code of small letters"),
    ({"schema_version": 3}, "has the schema 3; this version of the product reads 1 and 2"),
    ({"looked_before": True}, "only adjudicated annotations have it"),
    ({"no_pattern": True}, "but there are patterns"),
    ({"layer": "0"}, "layer is '0', which is no int32"),
    ({"layer": True}, "layer is True, which is no int32"),
    ({"surplus": 1}, "surplus is 1, which is no bool"),
    ({"submitted_at": "yesterday"}, "a time looks like"),
    ({"submitted_at": None}, "a time looks like"),
    ({"comment": "\0"}, "Comment: send text of whole characters"),
    ({"patterns": [{}]}, "a pattern has number"),
    ({"patterns": 3}, "which is no list"),
    ({"extra": 1}, "has the field extra"),
]


@pytest.mark.parametrize(("change", "sentence"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_cannot_be_is_refused_in_a_sentence_and_nothing_is_imported(
    study, tmp_path, change, sentence
):
    twin = twin_of(study)
    content = jsonl(study)
    # In the last line but with the others valid, so that earlier records must go again.
    # The first line's list was opened at a known time.
    line = 0 if set(change) & {"no_pattern", "layer", "active_seconds", "submitted_at"} else 2
    path = write(tmp_path, changed(content, line, **change))
    with pytest.raises(CommandError) as refused:
        call_command("import_annotations", twin.slug, str(path))
    assert sentence in str(refused.value)
    assert str(refused.value).endswith("Nothing was imported.")
    assert not Assignment.objects.filter(item__study=twin).exists()
    assert not User.objects.filter(username__startswith="imported-").exists()


def test_a_category_or_an_overlap_that_the_study_does_not_know_is_refused(study, tmp_path):
    twin = twin_of(study, categories=("semantic",))
    with pytest.raises(CommandError, match="needs a category: semantic"):
        call_command("import_annotations", twin.slug, str(write(tmp_path, jsonl(study))))


def test_an_answer_that_is_there_already_is_refused(study, tmp_path):
    path = write(tmp_path, jsonl(study))
    with pytest.raises(CommandError, match="Pause it first"):
        call_command("import_annotations", study.slug, str(path))
    Study.objects.update(state="paused")
    with pytest.raises(CommandError, match="has answered this list already"):
        call_command("import_annotations", study.slug, str(path))
    assert Pattern.objects.count() == 3


def test_more_answers_than_a_list_may_have_are_refused(study, tmp_path):
    twin = twin_of(study, annotators_per_list=1)
    with pytest.raises(CommandError, match="A list would have 2 answers"):
        call_command("import_annotations", twin.slug, str(write(tmp_path, jsonl(study))))


@pytest.mark.parametrize("begun", [False, True])
def test_a_person_of_the_file_gets_the_answer_in_place_of_the_list_that_waited(tmp_path, begun):
    extraction = make_extraction(layers=1, per_layer=1, kinds=("value",))
    study = make_study(annotators=1, extraction=extraction, lists_per_layer=1)
    submit(Assignment.objects.get(item__study=study), answer(pattern(1, [1, 2, 3, 4])))
    path = write(tmp_path, jsonl(study))
    twin = make_study(annotators=1, extraction=extraction, lists_per_layer=1)
    Study.objects.filter(pk=twin.pk).update(state="paused")
    waiting = Assignment.objects.get(item__study=twin)
    code, name = records(study)[0].annotator, waiting.membership.user.username
    if begun:  # as a final answer that was taken over and not looked at yet
        Assignment.objects.filter(pk=waiting.pk).update(draft={"annotation": {}}, draft_version=1)
    refused = pytest.raises(CommandError, match="has answered") if begun else nullcontext()
    with refused:
        call_command("import_annotations", twin.slug, str(path), "--person", f"{code}={name}")
    (row,) = Assignment.objects.filter(item__study=twin)
    assert (row.state, row.pk == waiting.pk) == (
        ("waiting", True) if begun else ("submitted", False)
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"nonsense\n", "Line 1 is not JSON"),
        (b"[1]\n", "Line 1 is not a record"),
        (b"{}\n", "Line 1 lacks active_seconds"),
        (b"{}", "Line 1 breaks off"),
        (b"[" * 100_000 + b"\n", "Line 1 is not JSON"),
    ],
)
def test_lines_that_are_no_labels_are_refused(content, sentence):
    with pytest.raises(LabelsFileError, match=sentence):
        list(labels_jsonl.read(io.BytesIO(content)))


def test_parquet_that_holds_no_labels_is_refused(study):
    data = parquet(study)
    other = io.BytesIO()
    pd.DataFrame({"model": ["x"]}).to_parquet(other)
    for content, sentence in (
        (data[:-20], "damaged"),
        (b"PAR1", "damaged"),
        (other.getvalue(), "no column schema_version"),
    ):
        with pytest.raises(LabelsFileError, match=sentence):
            list(labels_parquet.read(io.BytesIO(content)))


def test_files_of_another_kind_are_not_read(study, tmp_path):
    Study.objects.update(state="paused")
    with pytest.raises(CommandError, match=r"\.jsonl or \.parquet"):
        call_command("import_annotations", study.slug, str(write(tmp_path, b"", "a.csv")))
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_annotations", study.slug, str(tmp_path / "none.jsonl"))
    with pytest.raises(CommandError, match="There is no study “nowhere”"):
        call_command("import_annotations", "nowhere", "a.jsonl")


# What follows from tokens and reference annotations is computed, whatever a file says


@pytest.fixture
def scored():
    """A study with scores in training and silent reference lists, and flags that are proposed."""
    extraction = make_extraction(layers=1, per_layer=6)
    Token.objects.filter(extraction=extraction).update(is_stopword=True)
    study = make_study(
        extraction=extraction, lists_per_layer=1, training_lists=1, reference_lists=1
    )
    first = study.memberships.filter(role="annotator").first()
    for number, own in enumerate(Assignment.objects.filter(membership=first), start=2):
        submit(own, answer(pattern(1, list(range(1, number + 4)), stopwords=None)))
    list(annotation_records(study))
    return study


def twin_with_references(study: Study) -> Study:
    """A draft with the same lists for the same uses, and nothing said of any."""
    twin = twin_of(study, training_lists=1, reference_lists=1)
    uses = dict(study.items.values_list("vector_id", "use"))
    twin.items.exclude(vector__in=uses).delete()
    for vector, use in uses.items():
        Item.objects.update_or_create(study=twin, vector_id=vector, defaults={"use": use})
    return twin


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_scores_and_proposed_flags_come_back_as_they_were(scored, tmp_path, capsys, suffix):
    before = {"jsonl": jsonl(scored), "parquet": parquet(scored)}
    assert {r.purpose for r in records(scored) if r.reference_score} == {"training", "reference"}
    assert all(p.stopwords_proposed for r in records(scored) for p in r.patterns)
    twin = twin_with_references(scored)
    path = write(tmp_path, before[suffix], f"labels.{suffix}")
    person = scored.created_by
    code = Pseudonym.objects.get(study=scored, user=person).name
    call_command("import_annotations", twin.slug, str(path), "--person", f"{code}={person}")
    assert "the file has otherwise" not in capsys.readouterr().out
    again, others = jsonl(twin), {r.annotator for r in records(twin)}
    (own,) = others - {r.annotator for r in records(scored)}
    same = again.replace(own.encode(), code.encode())
    assert sorted(same.splitlines()) == sorted(before["jsonl"].splitlines())


@pytest.mark.parametrize("score", [0.0, 0.123, 1.0, None])
@pytest.mark.parametrize("purpose", ["training", "reference", "annotation"])
def test_a_score_in_a_file_is_never_stored(scored, tmp_path, capsys, purpose, score):
    lines = [json.loads(line) for line in jsonl(scored).splitlines()]
    true = {(one["kind"], one["index"], one["purpose"]): one["reference_score"] for one in lines}
    false = 0
    for line in lines:
        if line["purpose"] == purpose and line["reference_score"] != score:
            line["reference_score"], false = score, false + 1
    twin = imported(scored, tmp_path, lines)
    stored = [r for r in records(twin) if r.purpose == purpose]
    assert stored
    assert all(r.reference_score == true[r.kind, r.index, r.purpose] for r in stored)
    said = capsys.readouterr().out
    assert ("the file's values were not used" in said) == bool(false)


@pytest.mark.parametrize("chosen", [True, False])
def test_a_proposed_flag_in_a_file_is_never_stored(scored, tmp_path, capsys, chosen):
    lines = [json.loads(line) for line in jsonl(scored).splitlines()]
    patterns = [one for line in lines for one in line["patterns"]]
    for one in patterns:
        one["stopwords_proposed"], one["stopwords"] = False, chosen
    twin = imported(scored, tmp_path, lines)
    stored = [one for record in records(twin) for one in record.patterns]
    assert all(one.stopwords_proposed for one in stored)
    assert {one.stopwords for one in stored} == {chosen}  # what a person chose
    assert f"Computed {len(patterns)} proposed stopwords flags" in capsys.readouterr().out


def imported(study: Study, tmp_path: Path, lines: list[dict]) -> Study:
    twin = twin_with_references(study)
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    person = study.created_by
    code = Pseudonym.objects.get(study=study, user=person).name
    path = write(tmp_path, content)
    call_command("import_annotations", twin.slug, str(path), "--person", f"{code}={person}")
    return twin


# What editors do to text files


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n\n\n", b"  \r\n"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_marks_line_ends_and_empty_lines_that_editors_add_are_no_records(study, mark, newline, end):
    content = jsonl(study)
    edited = mark + content.replace(b"\n", newline) + end
    assert list(labels_jsonl.read(io.BytesIO(edited))) == records(study)


def test_an_empty_line_between_records_is_named(study):
    first, *rest = jsonl(study).splitlines(keepends=True)
    with pytest.raises(LabelsFileError, match="Line 2 is empty"):
        list(labels_jsonl.read(io.BytesIO(b"".join([first, b"\n", *rest]))))


@pytest.mark.parametrize(("suffix", "called"), [("jsonl", "Line 3: "), ("parquet", "Row 3: ")])
def test_an_error_names_the_line_or_row_of_the_file(study, tmp_path, suffix, called):
    content = jsonl(study) if suffix == "jsonl" else parquet(study)
    twin = twin_of(study, categories=("semantic",))
    path = write(tmp_path, content, f"labels.{suffix}")
    with pytest.raises(CommandError) as refused:
        call_command("import_annotations", twin.slug, str(path))
    number = next(
        n for n, r in enumerate(records(study), 1) for p in r.patterns if p.category != "semantic"
    )
    assert str(refused.value).startswith(called.replace("3", str(number)))
