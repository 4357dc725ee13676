"""`python -m annotation_site.verify ARCHIVE`: compute an archive's tables again from its labels.

Needs the packages of the analysis and no database. Ends with 0 where every cell agrees, with 1 and
the cells that differ where one does not, and with 2 for an archive that is damaged or foreign.
"""

import json
import math
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import IO, Any

from annotation_site.exports import Table, csv_format, json_format, labels_jsonl, labels_parquet
from annotation_site.exports.archive import ArchiveError, ArchiveReader
from annotation_site.exports.labels import LabelFileError, LabelRecord
from annotation_site.results.archive_answers import (
    LIST_COLUMNS,
    MACHINE_COLUMNS,
    Choices,
    request_of,
)
from annotation_site.results.tables import tables_of

TOLERANCE = 1e-9  # other processors add floats in another order
MOST_TEXT = 2**30  # bytes of a table, or of the lists
MOST_SHOWN = 20


@dataclass
class Checked:
    """What was compared."""

    annotations: int
    tables: int
    differences: list[str]


def verify(path: Path) -> Checked:
    """Check the archive, compute its tables from its labels and compare every cell.

    Raises ArchiveError and LabelFileError for an archive that cannot be what this product wrote.
    """
    with ArchiveReader(path) as archive:
        archive.check()
        choices = _choices(archive)
        lists, machines = (
            _stored(archive, f"labels/{name}.csv", Table(name, columns, ())).rows
            for name, columns in (("lists", LIST_COLUMNS), ("machines", MACHINE_COLUMNS))
        )
        with _unpacked(archive, "jsonl") as jsonl, _unpacked(archive, "parquet") as parquet:
            records = _Counted(_both(jsonl, parquet))
            request = request_of(lists, machines, records, choices)
        computed = dict(tables_of(request))
        names = {name for name in archive.names if name.startswith("tables/")}
        expected = {f"tables/{name}.{end}" for name in computed for end in ("csv", "json")}
        differences = [
            f"{name} {'is missing' if name in expected else 'is no table of such an archive'}"
            for name in sorted(names ^ expected)
        ]
        for name in sorted(names & expected):
            table = computed[name.removeprefix("tables/").partition(".")[0]]
            differences += _differences(name, _stored(archive, name, table), table)
    return Checked(records.count, len(computed), differences)


class _Counted:
    """Records, counted as they pass."""

    def __init__(self, records: Iterator[LabelRecord]) -> None:
        self._records = records
        self.count = 0

    def __iter__(self) -> Iterator[LabelRecord]:
        for record in self._records:
            self.count += 1
            yield record


def _choices(archive: ArchiveReader) -> Choices:
    try:
        parameters = json.loads(archive.read("parameters.json", most=2**24))
        return Choices.of_json(parameters["tables"])
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ArchiveError):
            raise
        raise ArchiveError("parameters.json does not say what the tables depend on.") from error


@contextmanager
def _unpacked(archive: ArchiveReader, extension: str) -> Iterator[IO[bytes]]:
    """The labels in a temporary file, which can be read from any place."""
    with tempfile.TemporaryFile() as file:
        for piece in archive.pieces(f"labels/labels.{extension}"):
            file.write(piece)
        file.seek(0)
        yield file


def _both(jsonl: IO[bytes], parquet: IO[bytes]) -> Iterator[LabelRecord]:
    """The records of the one file, which are those of the other."""
    files = labels_jsonl.read(jsonl), labels_parquet.read(parquet)
    for number, (line, row) in enumerate(zip_longest(*files), start=1):
        if line != row or line is None:
            raise LabelFileError(f"Record {number} differs in labels.jsonl and labels.parquet.")
        yield line


def _stored(archive: ArchiveReader, name: str, like: Table) -> Table:
    content = archive.read(name, most=MOST_TEXT)
    try:
        if name.endswith(".json"):
            return json_format.read(content)
        return csv_format.read(content, name=like.name, columns=like.columns)
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"{name} is no table: {error}") from error


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
    """Print what was found; the exit status says it to programs."""
    if len(arguments) != 1:
        print("Give one archive: python -m annotation_site.verify ARCHIVE.zip", file=sys.stderr)
        return 2
    try:
        checked = verify(Path(arguments[0]))
    except (ArchiveError, LabelFileError, ValueError) as error:
        print(f"Not verified: {error}", file=sys.stderr)
        return 2
    if checked.differences:
        for difference in islice(checked.differences, MOST_SHOWN):
            print(difference)
        more = len(checked.differences) - MOST_SHOWN
        print(f"{more} more cells differ." if more > 0 else "The tables do not follow.")
        return 1
    print(
        f"All cells of {checked.tables} tables agree with the {checked.annotations:,} "
        "annotations in the archive."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
