"""An archive that is verified: its tables of labels as rows. Needs no database."""

from dataclasses import dataclass, field
from typing import Any

from annotation_site.exports import Table, csv_format, json_format
from annotation_site.exports.archive import ArchiveError, ArchiveReader
from annotation_site.exports.table import Column, marked
from annotation_site.results.files.archive_annotations import (
    LATER_MACHINE_COLUMNS,
    LIST_COLUMNS,
    MACHINE_COLUMNS,
    PREFIX_COLUMNS,
    SHOWS_PREFIXES,
    SKIP_COLUMNS,
    TOKEN_COLUMNS,
)
from annotation_site.results.files.archive_machines import (
    FAILURE_COLUMNS,
    RUN_COLUMNS,
    RUN_MEMBERS,
)
from annotation_site.results.files.archive_proxies import CENSUS, PROXY_COLUMNS, PROXY_MEMBERS

MOST_TEXT = 2**30  # bytes of a table, or of the lists
_FILES = {
    "lists": LIST_COLUMNS,
    "tokens": TOKEN_COLUMNS,
    "machines": MACHINE_COLUMNS,
    "skips": SKIP_COLUMNS,
}
_PREFIX_FILES = {**_FILES, "prefixes": PREFIX_COLUMNS}
_PROXY_FILES = {"proxies": PROXY_COLUMNS, "census": CENSUS}
_RUN_FILES = {"machine_runs": RUN_COLUMNS, "machine_failures": FAILURE_COLUMNS}


@dataclass
class Opened:
    """An archive whose checksums agree, and what its parameters say."""

    archive: ArchiveReader
    parameters: dict[str, Any]
    guidelines: list[int] = field(default_factory=list)

    @property
    def files(self) -> dict[str, tuple[Column, ...]]:
        """Columns of the tables of labels, by name."""
        names = set(self.archive.names)
        proxies = _PROXY_FILES if set(PROXY_MEMBERS) & names else {}
        runs = _RUN_FILES if set(RUN_MEMBERS) & names else {}
        shows_prefixes = self.parameters["study"].get("list_source") == SHOWS_PREFIXES
        return (_PREFIX_FILES if shows_prefixes else _FILES) | proxies | runs

    def rows(self, name: str) -> list[Any]:
        """The rows of a table of labels, with the columns of today. Raises ArchiveError."""
        columns = self.files[name]
        if name == "lists" and self.is_first_format:
            columns = columns[:-1]
        lacks = LATER_MACHINE_COLUMNS if name == "machines" and self.is_earlier else 0
        columns = columns[: len(columns) - lacks]
        like = marked(Table(name, columns, ()), self.is_made_up)
        table = stored_table(self.archive, f"labels/{name}.csv", like)
        return [(*row[: len(columns)], *([None] * lacks)) for row in table.rows]

    @property
    def is_earlier(self) -> bool:
        """Whether labels/machines.csv lacks the columns that earlier archives lack."""
        beginning = next(self.archive.pieces("labels/machines.csv"), b"")
        return b"description" not in beginning.partition(b"\r\n")[0]

    @property
    def is_made_up(self) -> bool:
        return self.parameters["study"].get("made_up", False) is True

    @property
    def is_first_format(self) -> bool:
        return "product" not in self.parameters


def stored_table(archive: ArchiveReader, name: str, like: Table) -> Table:
    """A member that is a table with such columns, from CSV or JSON. Raises ArchiveError."""
    content = archive.read(name, most=MOST_TEXT)
    try:
        if name.endswith(".json"):
            return json_format.read(content)
        return csv_format.read(content, name=like.name, columns=like.columns)
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"{name} is no table: {error}") from error
