"""`python -m annotation_site.verify ARCHIVE`: recompute an archive from its labels.

Tables, texts and counts are computed and compared, and records with each other and with lists,
tokens and parameters. Needs the packages of the analysis and no database. Ends with 0 where
everything agrees, with 1 and the differences where something does not, and with 2 for an archive
that is damaged, foreign, or of another version of the measures.
"""

import json
import math
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import IO, Any

from annotation_site.exports import Table, labels_jsonl, labels_parquet
from annotation_site.exports.annotation_records import AnnotationRecord, LabelsFileError
from annotation_site.exports.archive import CHECKSUMS, ArchiveError, ArchiveReader
from annotation_site.exports.table import marked
from annotation_site.results.files import archive_texts
from annotation_site.results.files.archive_annotations import (
    PREFIXES_MEMBER,
    RESTORE_MEMBERS,
    SHOWS_PREFIXES,
    TableSettings,
    request_of,
)
from annotation_site.results.files.archive_checks import NOT_CHECKED, RecordChecks
from annotation_site.results.files.archive_facts import Facts
from annotation_site.results.files.archive_machines import (
    PROMPT_MEMBER,
    ArchivedRun,
    MachineRules,
    runs_by_name,
    runs_from,
)
from annotation_site.results.files.archive_opened import (
    MOST_TEXT,
    Opened,
    stored_table,
)
from annotation_site.results.files.archive_proxies import proxies_from
from annotation_site.results.tables.registry import tables_of

TOLERANCE = 1e-9  # other processors add floats in another order
MOST_SHOWN = 20
_PARAMETERS = {"study", "tables", "counts", "extractions", "figures"}
_GUIDELINES = re.compile(r"guidelines/version-([1-9][0-9]{0,8})\.md")


@dataclass
class Checked:
    """Result of a verification. `other_version` says why tables and texts were not checked."""

    annotations: int
    tables: int
    differences: list[str]
    other_version: str = ""


def verify(path: Path) -> Checked:
    """Check the archive, recompute it from its labels and compare.

    Raises ArchiveError and LabelsFileError for an archive that cannot be what this product wrote.
    """
    with ArchiveReader(path) as archive:
        archive.check()
        parameters = _parameters(archive)
        versions = [int(m[1]) for name in archive.names if (m := _GUIDELINES.fullmatch(name))]
        opened = Opened(archive, parameters, versions)
        try:
            other = _other_version(parameters)
            return _labels_alone(opened, other) if other else _whole(opened)
        except (KeyError, TypeError, AttributeError) as error:
            raise ArchiveError("parameters.json does not hold what an archive's holds.") from error


def _whole(opened: Opened) -> Checked:
    archive, parameters = opened.archive, opened.parameters
    choices = _choices(parameters)
    files = {name: opened.rows(name) for name in opened.files}
    checks = RecordChecks(files["lists"], files["tokens"], parameters, files.get("prefixes", ()))
    runs = _machine_runs(opened, files)
    facts = Facts(opened.guidelines)
    with _unpacked(archive, "jsonl") as jsonl, _unpacked(archive, "parquet") as parquet:
        records = _Counted(_both(jsonl, parquet))
        request = request_of(
            files["lists"],
            files["machines"],
            facts.watch(checks.watch(records)),
            choices,
            failures=files.get("machine_failures", ()),
            skips=_known_lists(files),
            slots=parameters["study"]["annotators_per_list"],
            several_patterns=parameters["study"]["several_patterns_per_token"],
            crowd=parameters["study"].get("crowd", False) is True,
            proxies=proxies_from(files["proxies"], files["census"], files["lists"])
            if "proxies" in files
            else None,
        )
    computed = dict(tables_of(request))
    found = list(_of_members(opened, computed, runs))
    for name in sorted(f"tables/{one}.{end}" for one in computed for end in ("csv", "json")):
        if name in archive.names:
            table = computed[name.removeprefix("tables/").partition(".")[0]]
            table = marked(table, opened.is_made_up)
            found += _differences(name, stored_table(archive, name, table), table)
    counts = json.loads(json.dumps(facts.counts(request, files["lists"], files["skips"])))
    found += _of_parameters(parameters, counts, choices)
    found += _of_texts(opened, parameters, computed)
    found += checks.differences()
    return Checked(records.count, len(computed), found)


def _labels_alone(opened: Opened, other: str) -> Checked:
    """Checks that do not depend on the version of the measures."""
    tokens = None if opened.is_first_format else opened.rows("tokens")
    prefixes = opened.rows("prefixes") if "prefixes" in opened.files else ()
    checks = RecordChecks(opened.rows("lists"), tokens, opened.parameters, prefixes)
    with (
        _unpacked(opened.archive, "jsonl") as jsonl,
        _unpacked(opened.archive, "parquet") as parquet,
    ):
        records = _Counted(_both(jsonl, parquet))
        for _ in checks.watch(records):
            pass
    return Checked(records.count, 0, list(checks.differences()), other)


def _other_version(parameters: Mapping[str, Any]) -> str:
    """Why the tables cannot be computed again here; empty where they can."""
    own, wrote = archive_texts.product(), parameters.get("product")
    here = f"this program, {own['name']} {own['version']}, computes version "
    here += f"{own['measures_version']}"
    if wrote is None:
        return (
            "The archive names no version of the measures, so version 3 or an earlier one computed "
            f"it; {here}."
        )
    same = ("measures_version", "archive_format")
    if all(wrote[name] == own[name] for name in same):
        return ""
    return (
        f"{wrote['name']} {wrote['version']} computed the archive with version "
        f"{wrote['measures_version']} of the measures (archive format {wrote['archive_format']}); "
        f"{here} (archive format {own['archive_format']})."
    )


def _known_lists(files: Mapping[str, list[Any]]) -> list[Any]:
    known = {row[0] for row in files["lists"]}
    for row in files["skips"]:
        if row[0] not in known:
            raise ArchiveError("labels/skips.csv names a list that labels/lists.csv lacks.")
    return files["skips"]


def _machine_runs(opened: Opened, files: Mapping[str, list[Any]]) -> list[ArchivedRun]:
    """The runs of language models. Raises ValueError for rows that no archive holds."""
    return runs_from(
        files.get("machine_runs", ()),
        files.get("machine_failures", ()),
        files["machines"],
        files["lists"],
        MachineRules.of(opened.parameters["study"], opened.guidelines),
    )


def _of_members(
    opened: Opened, tables: Mapping[str, Table], runs: Iterable[ArchivedRun]
) -> Iterator[str]:
    """Members that are missing, and those that no archive has."""
    expected = {f"tables/{name}.{end}" for name in tables for end in ("csv", "json")}
    expected |= {"environment.json", "labels/labels.jsonl", "labels/labels.parquet", CHECKSUMS}
    expected |= {f"labels/{name}.csv" for name in opened.files}
    expected |= {PREFIXES_MEMBER} if "prefixes" in opened.files else set()
    expected |= {f"guidelines/version-{version}.md" for version in opened.guidelines}
    expected |= {PROMPT_MEMBER.format(run.told["prompt_version"]) for run in runs}
    expected |= set(RESTORE_MEMBERS)
    expected |= {"README.md", "methods.md", "references.bib", "parameters.json", "labels/fields.md"}
    figures = {name for name in opened.archive.names if name.startswith("figures/")}
    if opened.parameters["figures"] is not None:
        expected |= figures
    for name in sorted(set(opened.archive.names) ^ expected):
        what = "is missing" if name in expected else "is no member of such an archive"
        yield f"{name} {what}"


def _of_parameters(
    parameters: Mapping[str, Any], counts: Mapping[str, Any], choices: TableSettings
) -> Iterator[str]:
    study, stored = parameters["study"], parameters["counts"]
    for name in sorted({*counts, *stored}):
        if stored.get(name) != counts.get(name):
            yield (
                f"parameters.json: counts.{name}: the archive has {stored.get(name)!r}, the labels "
                f"give {counts.get(name)!r}"
            )
    if tuple(study["categories"]) != choices.categories:
        yield "parameters.json: study.categories are not those of the tables"
    if (study.get("list_source") == SHOWS_PREFIXES) != (choices.keys is not None):
        yield "parameters.json: tables.keys are those of a study of trigger prefixes alone"
    if study["min_tokens"] != choices.min_tokens:
        yield "parameters.json: study.min_tokens is not that of the tables"
    own = archive_texts.product()
    for name in ("name", "package"):
        if parameters["product"][name] != own[name]:
            yield f"parameters.json: product.{name} is not {own[name]!r}"


def _of_texts(
    opened: Opened, parameters: Mapping[str, Any], tables: Mapping[str, Table]
) -> Iterator[str]:
    # Tables that were compared already: another processor may round the last digit otherwise.
    told = {
        name: stored_table(opened.archive, f"tables/{name}.json", table)
        if f"tables/{name}.json" in opened.archive.names
        else table
        for name, table in tables.items()
    }
    runs = runs_by_name(opened.rows("machine_runs")) if "machine_runs" in opened.files else {}
    texts = archive_texts.texts(parameters, told, files=set(opened.files), runs=runs)
    for name, text in texts.items():
        if name not in opened.archive.names:
            continue
        stored = opened.archive.read(name, most=MOST_TEXT).decode(errors="replace")
        lines = zip_longest(stored.split("\n"), text.split("\n"))
        for number, (has, gives) in enumerate(lines, start=1):
            if has != gives:
                yield f"{name}: line {number} does not follow from the labels and parameters"
                break


class _Counted:
    """Records, counted as they pass."""

    def __init__(self, records: Iterator[AnnotationRecord]) -> None:
        self._records = records
        self.count = 0

    def __iter__(self) -> Iterator[AnnotationRecord]:
        for record in self._records:
            self.count += 1
            yield record


def _parameters(archive: ArchiveReader) -> dict[str, Any]:
    try:
        parameters = json.loads(archive.read("parameters.json", most=2**24))
    except ArchiveError:
        raise
    except (ValueError, RecursionError) as error:
        raise ArchiveError("parameters.json is not JSON.") from error
    if not isinstance(parameters, dict) or not set(parameters) >= _PARAMETERS:
        raise ArchiveError("parameters.json does not hold what an archive's holds.")
    return parameters


def _choices(parameters: Mapping[str, Any]) -> TableSettings:
    try:
        return TableSettings.of_json(parameters["tables"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArchiveError("parameters.json does not say what the tables depend on.") from error


@contextmanager
def _unpacked(archive: ArchiveReader, extension: str) -> Iterator[IO[bytes]]:
    """The labels in a temporary file, which can be read from any place."""
    with tempfile.TemporaryFile() as file:
        for piece in archive.pieces(f"labels/labels.{extension}"):
            file.write(piece)
        file.seek(0)
        yield file


def _both(jsonl: IO[bytes], parquet: IO[bytes]) -> Iterator[AnnotationRecord]:
    """The records of the one file, which are those of the other."""
    files = labels_jsonl.read(jsonl), labels_parquet.read(parquet)
    for number, (line, row) in enumerate(zip_longest(*files), start=1):
        if line != row or line is None:
            raise LabelsFileError(f"Record {number} differs in labels.jsonl and labels.parquet.")
        yield line


def _differences(name: str, stored: Table, computed: Table) -> Iterator[str]:
    if stored.columns != computed.columns:
        yield f"{name}: other columns than the labels give"
        return
    rows = zip_longest(stored.rows, computed.rows)
    for number, (has, gives) in enumerate(rows, start=1):
        if has is None or gives is None:
            yield f"{name}: row {number} {'is missing' if has is None else 'has no labels'}"
            continue
        for column, one, other in zip(computed.columns, has, gives, strict=True):
            if not _is_equal(one, other):
                yield (
                    f"{name}: row {number}, column {column.name}: the archive has {one!r}, "
                    f"the labels give {other!r}"
                )


def _is_equal(one: Any, other: Any) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(one == other)


def main(arguments: list[str]) -> int:
    """Print the result; the exit status gives it to programs."""
    if len(arguments) != 1:
        print("Give one archive: python -m annotation_site.verify ARCHIVE.zip", file=sys.stderr)
        return 2
    try:
        checked = verify(Path(arguments[0]))
    except (ArchiveError, LabelsFileError, ValueError) as error:
        print(f"Not verified: {error}", file=sys.stderr)
        return 2
    if checked.differences:
        for difference in islice(checked.differences, MOST_SHOWN):
            print(difference)
        more = len(checked.differences) - MOST_SHOWN
        print(
            f"{more} more differences."
            if more > 0
            else "The archive does not follow from its labels."
        )
        return 1
    if checked.other_version:
        print(
            f"Not verified as a whole: {checked.other_version} Checked: the checksums, both label "
            f"files against each other, and {checked.annotations:,} records against the lists, the "
            "reference annotations and the rules of the study. Not checked: tables, texts and "
            "counts. Verify them with the version that wrote the archive.",
            file=sys.stderr,
        )
        return 2
    print(
        f"All cells of {checked.tables} tables, all texts and all counts agree with the "
        f"{checked.annotations:,} annotations in the archive."
    )
    print("Not checked, because nothing in the archive follows from it or tells it:")
    for where, what in NOT_CHECKED.items():
        print(f"- {where} ({what})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
