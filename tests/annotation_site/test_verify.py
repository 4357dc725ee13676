"""Everybody can compute an archive's tables again, and is told which cell does not follow."""

import io
import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import ffn_extract
from annotation_site.analysis import MEASURES_VERSION
from annotation_site.annotation.models import Guidelines, Study
from annotation_site.exports.archive import CHECKSUMS, ArchiveError, ArchiveReader, ArchiveWriter
from annotation_site.results.files import archive
from annotation_site.results.files.archive_annotations import RESTORE_MEMBERS, TableSettings
from annotation_site.results.files.archive_checks import NOT_CHECKED
from annotation_site.results.files.product import VERSION
from annotation_site.results.snapshots import services
from annotation_site.results.tables.registry import TABLES
from annotation_site.verify import main, verify
from ffn_extract import version
from tests.annotation_site.archives import members, packed, repacked, stored
from tests.annotation_site.results.by_hand import labelled_study

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]


def study_make() -> int:
    study = labelled_study()
    services.snapshot_refresh_now(study=study)
    Guidelines.objects.create(study=study, version=2, text="Look *twice*.")
    return study.pk


def packed_with_few_draws(study: Study, **options: Any) -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            archive, "TableSettings", lambda *chosen: TableSettings(*chosen, resamples=100)
        )
        return packed(study, **options)


@pytest.fixture(scope="module")
def made(store) -> int:
    return store(study_make)


@pytest.fixture
def study(made, db) -> Study:
    return Study.objects.get(pk=made)


@pytest.fixture(scope="module")
def data(made, store) -> bytes:
    """The study's archive, which no test changes."""
    return store(lambda: packed_with_few_draws(Study.objects.get(pk=made)))


def test_an_archive_holds_all_that_a_reader_needs(study, data):
    found = members(data)
    tables = {f"tables/{name}.{end}" for name in TABLES for end in ("csv", "json")}
    assert set(found) == tables | {
        "README.md", "methods.md", "references.bib", "parameters.json", "environment.json",
        "guidelines/version-1.md", "guidelines/version-2.md", "labels/fields.md",
        "labels/lists.csv", "labels/machines.csv", "labels/labels.jsonl", "labels/labels.parquet",
        "labels/skips.csv", "labels/tokens.csv", *RESTORE_MEMBERS,
        *(f"figures/{name}.{kind}" for kind in ("pdf", "svg") for name in (
            "coverage-across-layers-0", "coverage-by-kind",  # nobody's time is known
        )), CHECKSUMS,
    }  # fmt: skip
    parameters = json.loads(found["parameters.json"])
    extraction = study.extractions.get()
    assert parameters["extractions"][0]["bundle_digest"] == extraction.bundle_digest
    assert parameters["product"] == {
        "name": "FFN Concepts", "version": VERSION, "package": "ffn-concepts",
        "measures_version": MEASURES_VERSION, "archive_format": 2,
    }  # fmt: skip
    assert parameters["counts"] == {
        "lists": 4, "list_uses": {"study": 4}, "judged": 4, "lengths": [30],
        "kinds": {"value": 2, "random": 2}, "annotations": 7, "annotators": 2, "no_pattern": 2,
        "annotations_per_list": {"median": 2.0, "least": 1, "most": 2},
        "patterns": 8, "patterns_too_small": 2, "active_seconds": 0,
        "excluded": {"surplus": 0, "unblinded": 0}, "skipped": 0, "expired": 0, "withdrawn": 0,
        "records": {"annotation": 7},
        "all_records": {
            "records": 7, "surplus": 0, "unblinded": 0, "submissions": 7, "active_seconds": 0,
            "patterns": 8, "members": 45, "stopwords": 1,
        },
        "all_categories": {"semantic": 5, "syntactic": 3},
        "guidelines": {"1": 7}, "guidelines_missing": [],
    }  # fmt: skip
    assert json.loads(found["environment.json"])["pandas"] == pd.__version__
    assert found["guidelines/version-2.md"].decode() == "Look *twice*."
    assert found["README.md"].decode().startswith("# By hand\n")
    assert study.order_key.encode() not in b"".join(found.values())


def test_the_same_study_gives_the_same_bytes(study, data):
    assert packed_with_few_draws(study) == data


def test_nobody_is_named_unless_that_was_asked_for(study):
    people = [m.user for m in study.memberships.all()]
    plain, named = (
        b"".join(members(packed_with_few_draws(study, with_names=n)).values())
        for n in (False, True)
    )
    for person in people:
        assert str(person.public_id).encode() not in plain
        assert f'"{person.username}"'.encode() not in plain
        if person.role == "annotator":
            assert f'"{person.username}"'.encode() in named


def test_the_methods_paragraph_says_the_numbers_of_the_tables(study, data):
    text = members(data)["methods.md"].decode()
    model = study.extractions.get().model.name
    for sentence in (
        "The study has 4 lists: 2 lists of value vectors and 2 lists of random vectors.",
        f"Each list shows the top 30 tokens of one vector of {model}, projected onto the "
        "vocabulary (Geva et al., 2021; Geva et al., 2022).",
        "People annotated 4 of the 4 lists: 2 of 2 lists of value vectors and 2 of 2 lists of "
        "random vectors.",
        "2 annotators submitted 7 annotations without seeing the model or the kind, layer and "
        "index of a vector; 2 of them say that the list has no pattern.",
        "The design asks for 2 annotations per list; annotated lists have a median of 2 (range: 1 "
        "to 2).",
        "Annotators skipped no list. The results exclude no submitted annotation.",
        "A pattern (semantic or syntactic) needs at least 4 tokens to count; 2 of the 8 patterns "
        "have fewer tokens.",
        f"Coverage of the value vectors of {model} is 15.0% (",
        f"The coverage of the value vectors of {model} minus that of its random vectors is 0.0 "
        "points (",
        "shuffles kinds within layers 100 times, p = (b + 1) / (100 + 1)",
        f"FFN Concepts {VERSION} (measures version {MEASURES_VERSION})",
    ):
        assert sentence in text, text


def test_the_tables_are_the_results_page_s(study):
    """Every cell, but for what lists are called."""
    found = members(packed(study))
    snapshot = services.snapshot_refresh_now(study=study)
    items = study.items.order_by("pk").values_list("pk", flat=True)
    numbers = {pk: number for number, pk in enumerate(items, start=1)}
    for name, shown in snapshot.tables.items():
        packed_table = json.loads(found[f"tables/{name}.json"])
        columns = [column for column, _ in shown["columns"]]
        assert [column["name"] for column in packed_table["columns"]] == columns
        rows = [dict(zip(columns, row, strict=True)) for row in shown["rows"]]
        for row in rows:
            if "list_id" in row:
                row["list_id"] = numbers[row["list_id"]]
        for row, other in zip(packed_table["rows"], rows, strict=True):
            assert row == pytest.approx(other), name


def test_verifying_computes_every_table_from_the_labels(data, tmp_path, capsys):
    path = stored(tmp_path, data)
    assert main([str(path)]) == 0
    tables = len(TABLES)
    said = capsys.readouterr().out
    assert said.startswith(
        f"All cells of {tables} tables, all texts and all counts agree with the 7 annotations in "
        "the archive.\nNot checked, because nothing in the archive follows from it or tells it:\n"
    )
    assert all(where in said for where in NOT_CHECKED)


def test_verifying_needs_no_site(data, tmp_path):
    path = stored(tmp_path, data)
    program = (
        "import sys; from annotation_site.verify import main; code = main(sys.argv[1:]);"
        "assert 'django' not in sys.modules; sys.exit(code)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(path)], cwd=ROOT, env={"PATH": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_cell_that_does_not_follow_is_named(data, tmp_path, capsys):
    table = json.loads(members(data)["tables/coverage.json"])
    table["rows"][0]["coverage"] = 0.9
    path = stored(tmp_path, repacked(data, **{"tables/coverage.json": json.dumps(table).encode()}))
    assert main([str(path)]) == 1
    said = capsys.readouterr().out
    assert "tables/coverage.json: row 1, column coverage: the archive has 0.9, the labels" in said
    assert "give 0.15" in said


def test_a_label_that_was_changed_shows_in_the_tables(data, tmp_path, capsys):
    from annotation_site.exports import labels_jsonl, labels_parquet

    records = list(labels_jsonl.read(io.BytesIO(members(data)["labels/labels.jsonl"])))
    kept = [r for r in records if not (r.kind == "random" and r.layer == 1)]
    parquet = io.BytesIO()
    writer = labels_parquet.ParquetWriter(parquet)
    for record in kept:
        writer.write(record)
    writer.close()
    jsonl = b"".join(map(labels_jsonl.line_of, kept))
    both = {"labels/labels.jsonl": jsonl, "labels/labels.parquet": parquet.getvalue()}
    assert main([str(stored(tmp_path, repacked(data, **both)))]) == 1
    assert "tables/coverage.csv: row" in capsys.readouterr().out
    only = {"labels/labels.jsonl": jsonl}
    assert main([str(stored(tmp_path, repacked(data, **only)))]) == 2
    assert "differs in labels.jsonl and labels.parquet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"tables/coverage.csv": None}, "tables/coverage.csv is missing"),
        ({"tables/more.csv": b"a\r\n"}, "tables/more.csv is no member of such an archive"),
        ({"methods.md": None}, "methods.md is missing"),
        ({"more.md": b""}, "more.md is no member of such an archive"),
    ],
)
def test_missing_and_added_tables_are_named(data, tmp_path, capsys, changes, sentence):
    assert main([str(stored(tmp_path, repacked(data, **changes)))]) == 1
    assert sentence in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"labels/labels.jsonl": None}, "no labels/labels.jsonl"),
        ({"labels/lists.csv": b"x"}, "labels/lists.csv is no table"),
        ({"parameters.json": b"{}"}, "parameters.json does not hold what an archive's holds"),
        ({"parameters.json": b"["}, "parameters.json is not JSON"),
        ({"tables/coverage.json": b"["}, "tables/coverage.json is no table"),
        ({"labels/labels.parquet": b"PAR1"}, "damaged"),
        ({"labels/labels.jsonl": b"{}\n"}, "Line 1 lacks"),
    ],
)
def test_what_no_archive_holds_is_refused(data, tmp_path, capsys, changes, sentence):
    assert main([str(stored(tmp_path, repacked(data, **changes)))]) == 2
    assert sentence in capsys.readouterr().err


def test_an_archive_that_asks_for_endless_work_is_refused(data, tmp_path, capsys):
    parameters = json.loads(members(data)["parameters.json"])
    parameters["tables"]["resamples"] = 10**12
    changed = {"parameters.json": json.dumps(parameters).encode()}
    assert main([str(stored(tmp_path, repacked(data, **changed)))]) == 2
    assert "does not say what the tables depend on" in capsys.readouterr().err


def test_damage_is_found_before_anything_is_computed(data, tmp_path):
    place = data.index(b"labels/labels.jsonl") + 200
    for broken in (
        data[:-30],
        data[: len(data) // 2],
        b"",
        b"PK",
        data[:place] + b"\0\0\0" + data[place + 3 :],
    ):
        with pytest.raises(ArchiveError):
            verify(stored(tmp_path, broken))


def test_a_member_that_is_not_what_was_written_is_named(data, tmp_path):
    found = members(data)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as changed:
        for name, content in found.items():
            changed.writestr(name, content + (b"!" if name == "methods.md" else b""))
    with pytest.raises(ArchiveError, match=r"methods\.md is not what was written"):
        verify(stored(tmp_path, file.getvalue()))
    with zipfile.ZipFile(file, "a") as changed:
        changed.writestr("more.txt", b"")
    with pytest.raises(ArchiveError, match=r"more\.txt is not in the list"):
        verify(stored(tmp_path, file.getvalue()))


def zipped(tmp_path: Path, *entries: tuple[zipfile.ZipInfo, bytes]) -> Path:
    path = tmp_path / "made.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for info, content in entries:
            file.writestr(info, content, zipfile.ZIP_DEFLATED)
    return path


@pytest.mark.parametrize(
    "name", ["../escape", "/etc/passwd", "a/../../b", "a\\b", "C:/x", "a//b", "folder/", "a\nb"]
)
def test_a_member_that_would_leave_its_folder_is_refused(tmp_path, name):
    with pytest.raises(ArchiveError, match="no plain file"):
        ArchiveReader(zipped(tmp_path, (zipfile.ZipInfo(name), b"")))
    with ArchiveWriter(io.BytesIO()) as writer, pytest.raises(ValueError, match="name of a member"):
        writer.add_text(name, "")


def test_links_and_bombs_are_refused(tmp_path, monkeypatch):
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with pytest.raises(ArchiveError, match="no plain file"):
        ArchiveReader(zipped(tmp_path, (link, b"/etc/passwd")))
    with pytest.raises(ArchiveError, match="grow too much"):
        ArchiveReader(zipped(tmp_path, (zipfile.ZipInfo("bomb"), b"\0" * 20_000_000)))
    monkeypatch.setattr("annotation_site.exports.archive.MOST_MEMBERS", 1)
    two = (zipfile.ZipInfo("a"), b""), (zipfile.ZipInfo("b"), b"")
    with pytest.raises(ArchiveError, match="2 members"):
        ArchiveReader(zipped(tmp_path, *two))


def test_the_command_line_says_what_it_wants(tmp_path, capsys):
    assert main([]) == 2
    assert "Give one archive" in capsys.readouterr().err
    assert main([str(tmp_path / "none.zip")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_archives_name_the_one_version_that_pyproject_takes_too():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["project"]["dynamic"] == ["version"]
    assert settings["tool"]["hatch"]["version"]["path"] == "ffn_extract/version.py"
    assert version.__version__ == VERSION == ffn_extract.__version__


@pytest.mark.parametrize("version", [MEASURES_VERSION - 1, MEASURES_VERSION + 1])
def test_an_archive_of_other_measures_is_told_apart(data, tmp_path, capsys, version):
    parameters = json.loads(members(data)["parameters.json"])
    parameters["product"]["measures_version"] = version
    changed = {"parameters.json": json.dumps(parameters).encode()}
    assert main([str(stored(tmp_path, repacked(data, **changed)))]) == 2
    said = capsys.readouterr().err
    assert f"with version {version} of the measures" in said
    assert f"computes version {MEASURES_VERSION}" in said
    assert "7 records against the lists" in said
