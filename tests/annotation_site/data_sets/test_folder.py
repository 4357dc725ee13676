"""The folder of a data set: what is in it, what never is, and who can read it."""

import io
import json
import subprocess
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from django.core.management import CommandError, call_command
from jsonschema import Draft7Validator

from annotation_site.accounts.models import AuditEntry, Role
from annotation_site.annotation.models import Assignment, Item, Membership, PatternMember, Study
from annotation_site.data_sets.citation import citation_file
from annotation_site.data_sets.columns import TABLES, columns_markdown
from annotation_site.data_sets.facts import Facts, StudyFacts
from annotation_site.data_sets.licences import LICENCES
from annotation_site.data_sets.options import Options
from annotation_site.data_sets.source import Source
from annotation_site.errors import Invalid
from annotation_site.management.commands import publish
from annotation_site.results.files.archive_restore import EXAMPLE_ARCHIVE, study_restore
from annotation_site.results.models import Pseudonym
from annotation_site.verify import verify
from tests.annotation_site.data_sets.made import (
    COMMENT,
    DAY,
    SKIP_WORDS,
    few_draws,
    make_labelled,
    make_shareable,
    published,
)
from tests.annotation_site.factories import UserFactory

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[3]
FILES = {
    "README.md", "METHODS.md", "CITATION.cff", "references.bib", "croissant.json",
    "checksums.sha256", "archive.zip", "guidelines/version-1.md",
    *(table.path for table in TABLES),
}  # fmt: skip


@pytest.fixture(scope="module")
def made(store) -> int:
    return store(make_labelled)


@pytest.fixture
def study(made, db) -> Study:
    return Study.objects.get(pk=made)


@pytest.fixture(scope="module")
def folder(made, store, tmp_path_factory) -> Path:
    """The data set without times and comments, which no test changes."""
    out = tmp_path_factory.mktemp("published") / "data-set"
    return store(lambda: published(Study.objects.get(pk=made), out))


@pytest.fixture(scope="module")
def whole(made, store, tmp_path_factory) -> Path:
    """The same with times and comments."""
    out = tmp_path_factory.mktemp("published") / "whole"
    return store(lambda: published(Study.objects.get(pk=made), out, "--times", "--comments"))


def files(folder: Path) -> set[str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix() for path in found}


def rows(folder: Path, table: str) -> list[dict[str, Any]]:
    return pq.read_table(folder / f"data/{table}.parquet").to_pylist()


def everything(folder: Path) -> str:
    """All text of a folder: of files, of members of the archive, of columns of Parquet files."""
    found = []

    def add(name: str, content: bytes) -> None:
        found.append(name)
        if name.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(content)) as opened:
                for member in opened.namelist():
                    add(member, opened.read(member))
        elif name.endswith(".parquet"):
            table = pq.read_table(io.BytesIO(content))
            found.append(json.dumps(table.to_pylist(), default=str, ensure_ascii=False))
            found.append(str(table.schema))
        else:
            found.append(content.decode(errors="replace"))

    for path in sorted(folder.rglob("*")):
        if path.is_file():
            add(path.name, path.read_bytes())
    return "\n".join(found)


def moments(study: Study) -> set[str]:
    """The days on which anybody did anything in the study."""
    columns = (
        Assignment.objects.filter(item__study=study).values_list("opened_at", "submitted_at"),
        Membership.objects.filter(study=study).values_list("consented_at", "withdrawn_at"),
    )
    return {f"{one:%Y-%m-%d}" for of in columns for row in of for one in row if one}


def test_the_folder_holds_what_its_docs_say(folder):
    assert files(folder) == FILES
    docs = (ROOT / "docs/exports.md").read_text()
    every = frozenset({"times", "comments", "made_up"})
    for table in TABLES:
        assert columns_markdown(table, every) in docs, table.name
    assert all(f"`{key}`" in docs for key in LICENCES)
    checked = subprocess.run(
        ["sha256sum", "--strict", "-c", "checksums.sha256"],
        cwd=folder, capture_output=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    assert len((folder / "checksums.sha256").read_text().splitlines()) == len(FILES) - 1


def test_nobody_is_named_and_no_time_or_comment_is_told_unless_it_was_chosen(study, folder, whole):
    names = Membership.objects.filter(study=study).values_list("user__username", "user__email")
    secret = {one for row in names for one in row}
    days = moments(study)
    assert len(secret) > 5
    assert len(days) > 7
    plain, full = everything(folder), everything(whole)
    for text in (plain, full):
        assert not [one for one in secret if one in text]
        assert study.order_key not in text
    assert COMMENT not in plain
    assert SKIP_WORDS not in plain
    assert "active_seconds" not in rows(folder, "annotations")[0]
    assert not [day for day in days if day in plain]
    for word in (COMMENT, SKIP_WORDS, *days):
        assert word in full, word


def test_tables_hold_every_annotation_and_judgement_of_the_database(study, folder, whole):
    codes = dict(Pseudonym.objects.filter(study=study).values_list("user", "name"))
    submitted = Assignment.objects.filter(item__study=study, state="submitted").select_related(
        "item__vector__extraction", "membership"
    )
    found = {
        (row["annotator"], row["purpose"], row["model"], row["kind"], row["layer"], row["index"]):
            row
        for row in rows(whole, "annotations")
    }  # fmt: skip
    lists = {row["list_id"]: row for row in rows(whole, "lists")}
    assert len(found) == submitted.count() == len(rows(folder, "annotations"))
    assert len(lists) == Item.objects.filter(study=study).count()
    for one in submitted:
        vector = one.item.vector
        key = next(
            key for key, row in found.items()
            if key[0] == codes[one.membership.user_id] and key[1] == one.purpose
            and key[3:] == (vector.kind, vector.layer, vector.index)
            and lists[row["list_id"]]["bundle_digest"] == vector.extraction.bundle_digest
            and row["role"] == one.membership.role
        )  # fmt: skip
        row = found.pop(key)
        assert (row["submitted_at"], row["opened_at"]) == (one.submitted_at, one.opened_at)
        assert (row["comment"], row["active_seconds"]) == (one.comment, one.active_seconds)
        assert row["counts"] == (
            one.purpose == "annotation" and not one.surplus and not one.unblinded
        )
        stored = [
            (pattern.description, pattern.category, [m.rank for m in pattern.members.all()])
            for pattern in one.patterns.order_by("number")
        ]
        assert stored == [
            (pattern["description"], pattern["category"], pattern["ranks"])
            for pattern in row["patterns"]
        ]
        assert lists[row["list_id"]]["token_ids"] == vector.token_ids
    judgements = rows(folder, "token_judgements")
    members = PatternMember.objects.filter(pattern__assignment__in=submitted)
    assert sum(len(row["pattern_numbers"]) for row in judgements) == members.count()
    assert len(judgements) == sum(
        len(lists[row["list_id"]]["entries"]) for row in rows(folder, "annotations")
    )
    assert all(row["in_pattern"] == bool(row["pattern_numbers"]) for row in judgements)


def test_datasets_loads_each_configuration_offline(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    import datasets

    cache = str(tmp_path / "cache")
    for table in TABLES:
        loaded = datasets.load_dataset(str(folder), table.name, split="train", cache_dir=cache)
        assert loaded.column_names == [c.name for c in table.columns_with(frozenset())]
        assert loaded.to_list() == rows(folder, table.name)
    default = datasets.load_dataset(str(folder), split="train", cache_dir=cache)
    assert "patterns" in default.column_names


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")
def test_mlcroissant_validates_the_metadata_and_reads_records(folder):
    import mlcroissant

    dataset = mlcroissant.Dataset(str(folder / "croissant.json"))
    issues = dataset.metadata.ctx.issues
    assert (issues.errors, issues.warnings) == (set(), set()), issues.report()
    assert {one.id for one in dataset.metadata.record_sets} == {one.name for one in TABLES}
    for table in ("annotations", "lists"):
        read = list(dataset.records(table))
        stored = rows(folder, table)
        assert len(read) == len(stored)
        first = {key.removeprefix(f"{table}/"): value for key, value in read[0].items()}
        assert set(first) == set(stored[0])
        assert first["list_id"] == stored[0]["list_id"]
    said = json.loads((folder / "croissant.json").read_text())
    assert said["conformsTo"][0] == "http://mlcommons.org/croissant/1.1"
    for field in (
        "dataCollection", "dataAnnotationProtocol", "dataAnnotationPlatform",
        "annotationsPerItem", "annotatorDemographics", "machineAnnotationTools",
        "personalSensitiveInformation", "dataBiases", "dataLimitations", "dataUseCases",
    ):  # fmt: skip
        assert said[f"rai:{field}"], field


def test_the_card_has_a_header_that_the_hub_reads(folder):
    from huggingface_hub import DatasetCard

    card = DatasetCard.load(folder / "README.md", ignore_metadata_errors=False)
    data = card.data.to_dict()
    assert (data["license"], data["language"]) == ("cc-by-4.0", ["en"])
    assert data["size_categories"] == ["n<1K"]
    configs = {one["config_name"]: one["data_files"] for one in data["configs"]}
    assert configs == {table.name: [{"split": "train", "path": table.path}] for table in TABLES}
    assert [one["config_name"] for one in data["configs"] if one.get("default")] == ["annotations"]
    for heading in ("Who annotated", "Consent", "Biases and limits", "Agreement", "Licence"):
        assert f"\n## {heading}\n" in card.text, heading


def test_the_citation_is_what_its_schema_asks_for(folder):
    authors = ('A "quoted" name: {x}', "Łukasz\u2028Ω 😀")
    options = Options("odbl", DAY, authors=authors, title="Birds: a #1 'title'")
    source = Source(folder / "archive.zip")
    facts = Facts(source, options, {}, StudyFacts(open_links=0, keeps_withdrawn=True))
    said = yaml.safe_load(citation_file(facts))
    schema = get_builtin_schema("vendor.citation-file-format")
    assert list(Draft7Validator(schema).iter_errors(said)) == []
    assert [one["name"] for one in said["authors"]] == [authors[0], "Łukasz Ω 😀"]  # on one line
    assert (said["title"], said["date-released"]) == ("Birds: a #1 'title'", DAY.isoformat())
    source.close()


@pytest.mark.parametrize("licence", LICENCES)
def test_every_licence_is_one_of_the_citation_format(licence):
    schema = get_builtin_schema("vendor.citation-file-format")
    assert LICENCES[licence].spdx in schema["definitions"]["license-enum"]["enum"]


def test_the_same_study_and_choices_give_the_same_bytes(study, folder, tmp_path):
    again = published(study, tmp_path / "again")
    for name in files(folder):
        assert (again / name).read_bytes() == (folder / name).read_bytes(), name


def test_the_archive_inside_verifies_and_is_restored_with_equal_tables(folder, tmp_path):
    checked = verify(folder / "archive.zip")
    assert (checked.differences, checked.other_version) == ([], "")
    with (folder / "archive.zip").open("rb") as file:
        restored = study_restore(file=file, restored_by=UserFactory(role=Role.RESEARCHER))
    assert (restored.may_share, restored.state) == (True, Study.State.CLOSED)
    with zipfile.ZipFile(folder / "archive.zip") as opened:
        stored = {
            name.removeprefix("tables/").removesuffix(".json"): json.loads(opened.read(name))
            for name in opened.namelist()
            if name.startswith("tables/") and name.endswith(".json")
        }
        assert json.loads(opened.read("parameters.json"))["left_out"] == ["comments", "times"]
    assert stored["time_per_list"]["rows"] == []
    assert {row["median_seconds"] for row in stored["people"]["rows"]} == {None}
    assert archived_tables(published(restored, tmp_path / "again")) == archived_tables(folder)


def test_an_archive_without_times_keeps_the_order_of_submissions(study, folder, whole):
    def order(where: Path) -> list[Any]:
        with zipfile.ZipFile(where / "archive.zip") as opened:
            lines = opened.read("labels/labels.jsonl").splitlines()
        records = [json.loads(line) for line in lines]
        return [
            number
            for _, number in sorted((one["submitted_at"], n) for n, one in enumerate(records))
        ]

    times = Counter(
        Assignment.objects.filter(item__study=study, state="submitted").values_list(
            "submitted_at", flat=True
        )
    )
    assert max(times.values()) == 1
    assert order(folder) == order(whole)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")
def test_the_example_study_is_loaded_validated_and_restored_and_says_that_it_is_made_up(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    with EXAMPLE_ARCHIVE.open("rb") as file:
        study = study_restore(file=file, restored_by=UserFactory(role=Role.RESEARCHER))
    Study.objects.filter(pk=study.pk).update(may_share=True)
    folder = published(study, tmp_path / "example")
    for name in ("README.md", "METHODS.md", "CITATION.cff", "croissant.json", "references.bib"):
        text = (folder / name).read_text().replace("\n", " ")
        assert "a program wrote them, and no person judged a list" in text, name
    for name in ("annotations", "token_judgements", "lists"):
        assert {row["made_up"] for row in rows(folder, name)} == {True}
    for path in (folder / "data").iterdir():
        assert pq.read_schema(path).metadata[b"made_up"] == b"true"
    header = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])
    assert "made-up-annotations" in header["tags"]
    assert header["annotations_creators"] == ["machine-generated"]
    import datasets
    import mlcroissant

    issues = mlcroissant.Dataset(str(folder / "croissant.json")).metadata.ctx.issues
    assert (issues.errors, issues.warnings) == (set(), set()), issues.report()
    loaded = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.num_rows == len(rows(folder, "annotations")) == 518
    assert verify(folder / "archive.zip").differences == []
    with (folder / "archive.zip").open("rb") as file:
        restored = study_restore(file=file, restored_by=UserFactory(role=Role.RESEARCHER))
    again = published(restored, tmp_path / "again")
    assert archived_tables(again) == archived_tables(folder)


def archived_tables(folder: Path) -> dict[str, bytes]:
    """The tables of the archive inside a data set."""
    with zipfile.ZipFile(folder / "archive.zip") as opened:
        names = [name for name in opened.namelist() if name.startswith("tables/")]
        return {name: opened.read(name) for name in names}


def one_file(part: Path, *_: Any, **__: Any) -> None:
    (part / "README.md").write_text("whole")


def test_the_command_writes_a_whole_folder_or_none(study, folder, tmp_path, monkeypatch):
    with pytest.raises(CommandError, match="is there already"):
        published(study, folder)
    out = tmp_path / "new"
    out.mkdir()  # an empty folder is as good as none

    def dies(part: Path, *_: Any, **__: Any) -> None:
        one_file(part)
        raise KeyboardInterrupt

    monkeypatch.setattr(publish, "data_set_write", dies)
    with pytest.raises(KeyboardInterrupt):
        published(study, out)
    assert list(tmp_path.rglob("*")) == [out]
    before = AuditEntry.objects.count()
    monkeypatch.setattr(publish, "data_set_write", one_file)
    published(study, out)
    assert files(out) == {"README.md"}
    entry = AuditEntry.objects.order_by("-pk")[0]
    assert AuditEntry.objects.count() == before + 1
    assert (entry.action, entry.details) == (
        "data_set_written", {"licence": "cc-by-4.0", "with_times": False, "with_comments": False}
    )  # fmt: skip


def test_two_commands_at_once_write_one_folder(study, tmp_path, monkeypatch):
    out = tmp_path / "both"

    def other_first(part: Path, *_: Any, **__: Any) -> None:
        monkeypatch.setattr(publish, "data_set_write", one_file)
        published(study, out)

    monkeypatch.setattr(publish, "data_set_write", other_first)
    with pytest.raises(CommandError, match="is there already"):
        published(study, out)
    assert files(out) == {"README.md"}
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--license", "mine"], "Choose a licence"),
        (["--license", "mit", "--author", ""], "An author is a line"),
        (["--license", "mit", "--title", "x" * 201], "The title is a line"),
    ],
)
def test_the_command_refuses_what_is_not_offered(study, tmp_path, arguments, said):
    with pytest.raises(CommandError, match=said):
        call_command("publish", study.slug, "--out", str(tmp_path / "x"), *arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_licence_has_no_default(study, tmp_path):
    with pytest.raises(CommandError, match="--license"):
        call_command("publish", study.slug, "--out", str(tmp_path / "x"))


def test_a_study_of_prefixes_is_a_data_set_too(tmp_path):
    from tests.annotation_site.factories import assignment_of, make_prefix_study, submit

    study = make_prefix_study(may_share=True)
    submit(assignment_of(study))
    Study.objects.filter(pk=study.pk).update(state=Study.State.CLOSED)
    study.refresh_from_db()
    with few_draws():
        folder = published(study, tmp_path / "prefixes")
    judgements = rows(folder, "token_judgements")
    assert {row["token_id"] for row in judgements} == {None}
    assert all(row["entries"] and not row["glosses"] for row in rows(folder, "lists"))


def test_studies_that_may_not_be_shared_are_refused_with_a_sentence():
    from annotation_site.data_sets.services import require_shareable

    study = make_shareable()
    require_shareable(study, reader=None)
    for changes, said in (
        ({"may_share": False}, "People did not agree to a data set"),
        ({"state": Study.State.PAUSED}, "Close it"),
    ):
        for name, value in changes.items():
            setattr(study, name, value)
        with pytest.raises(Invalid, match=said):
            require_shareable(study, reader=None)
        study.refresh_from_db()
    Assignment.objects.filter(item__study=study).update(unblinded=True)
    with pytest.raises(Invalid, match="no annotations that count"):
        require_shareable(study, reader=None)
