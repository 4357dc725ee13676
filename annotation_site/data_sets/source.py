"""The archive inside a data set, as the source of everything else in the folder.

Card, tables and metadata come from its members alone, so they agree with what its readers verify.
"""

import csv
import io
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from annotation_site.exports import csv_format, json_format, labels_jsonl
from annotation_site.exports.annotation_records import AnnotationRecord
from annotation_site.exports.archive import ArchiveReader
from annotation_site.exports.table import Column
from annotation_site.results.files.left_out import COMMENTS, TIMES, left_out_of

MOST = 2**30  # bytes of a member that is read as a whole
Values = dict[str, Any]
Key = tuple[str, str, int, int]


@dataclass(frozen=True)
class ListRow:
    """A list with its entries as people see them."""

    number: int
    bundle_digest: str
    model: str
    kind: str
    layer: int
    index: int
    use: str
    token_ids: tuple[int, ...]
    entries: tuple[str, ...]
    glosses: tuple[str, ...]

    @property
    def key(self) -> Key:
        """The key of the list in any database."""
        return self.bundle_digest, self.kind, self.layer, self.index


class Source:
    """A written archive, read member by member."""

    def __init__(self, path: Path) -> None:
        self._reader = ArchiveReader(path)

    def close(self) -> None:
        self._reader.__exit__()

    @property
    def names(self) -> list[str]:
        """Names of the members."""
        return self._reader.names

    def text(self, name: str) -> str:
        """A member of text."""
        return self._reader.read(name, most=MOST).decode()

    @cached_property
    def parameters(self) -> Values:
        """The content of parameters.json."""
        return dict(json.loads(self.text("parameters.json")))

    @cached_property
    def chosen(self) -> frozenset[str]:
        """Names on which columns depend: times and comments that are in, made-up annotations."""
        found = {TIMES, COMMENTS} - set(left_out_of(self.parameters))
        if self.parameters["study"]["made_up"]:
            found.add("made_up")
        return frozenset(found)

    def table(self, name: str) -> list[Values]:
        """Rows of a table of results; empty where the archive has none of this name."""
        if f"tables/{name}.json" not in self.names:
            return []
        table = json_format.read(self.text(f"tables/{name}.json").encode())
        columns = [column.name for column in table.columns]
        return [dict(zip(columns, row, strict=True)) for row in table.rows]

    def rows(self, name: str) -> list[dict[str, str]]:
        """Rows of a table of labels by the names of its columns; empty where there is none.

        Read by name, so that a column which a newer archive adds is at hand and breaks nothing.
        """
        if f"labels/{name}.csv" not in self.names:
            return []
        text = self.text(f"labels/{name}.csv")
        header = next(csv.reader(io.StringIO(text, newline="")))
        columns = [Column(one, "text") for one in header]
        table = csv_format.read(text.encode(), name=name, columns=columns)
        return [
            dict(zip(header, [str(cell or "") for cell in row], strict=True)) for row in table.rows
        ]

    @cached_property
    def extractions(self) -> Mapping[str, Values]:
        """Model, revision and digests by the digest of the bundle."""
        return {one["bundle_digest"]: one for one in self.parameters["extractions"]}

    @cached_property
    def lists(self) -> list[ListRow]:
        """All lists, by number."""
        tokens = {
            (row["bundle_digest"], int(row["token_id"])): (row["token"], row["gloss"])
            for row in self.rows("tokens")
        }
        prefixes: defaultdict[int, list[str]] = defaultdict(list)
        for row in self.rows("prefixes"):
            prefixes[int(row["list"])].append(row["prefix"])
        found = []
        for row in self.rows("lists"):
            number, digest = int(row["list"]), row["bundle_digest"]
            ids = tuple(int(one) for one in row["token_ids"].split())
            shown = [tokens[digest, one] for one in ids]
            found.append(
                ListRow(
                    number, digest, row["model"], row["kind"], int(row["layer"]),
                    int(row["index"]), row["use"], ids,
                    tuple(one for one, _ in shown) or tuple(prefixes[number]),
                    tuple(gloss for _, gloss in shown),
                )
            )  # fmt: skip
        return found

    def records(self) -> Iterator[AnnotationRecord]:
        """The annotations in the archive's order."""
        with tempfile.TemporaryFile() as file:
            for piece in self._reader.pieces("labels/labels.jsonl"):
                file.write(piece)
            file.seek(0)
            yield from labels_jsonl.read(file)

    def guidelines(self) -> dict[str, str]:
        """The texts of the guidelines by the names of their members."""
        names = sorted(name for name in self.names if name.startswith("guidelines/"))
        return {name: self.text(name) for name in names}
