"""JSON: the columns with their kinds, and one object per row, a row a line.

Numbers keep every digit; a missing or undefined value is null, and its reason stands in the
column that gives reasons.
"""

import json
from collections.abc import Iterator

from annotation_site.exports.cells import number_of, text_of
from annotation_site.exports.pieces import in_pieces
from annotation_site.exports.table import Column, Row, Table


class JsonFormat:
    """One object: `table`, `columns` (name and kind) and `rows`."""

    media_type = "application/json"
    extension = "json"

    def write(self, table: Table) -> Iterator[bytes]:
        """Yield the file in pieces. Raises ValueError and TypeError as the CSV format does, and
        ValueError for two columns of one name."""
        return in_pieces(_lines(table))


def read(data: bytes) -> Table:
    """Read what `JsonFormat.write` wrote. Raises ValueError for anything else."""
    try:
        content = json.loads(data)
        columns = tuple(Column(c["name"], c["kind"]) for c in content["columns"])
        rows = [tuple(row[column.name] for column in columns) for row in content["rows"]]
        name = content["table"]
    except (KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError("This is not a table that the JSON export wrote.") from error
    return Table(name, columns, rows)


def _lines(table: Table) -> Iterator[str]:
    names = [column.name for column in table.columns]
    if len(set(names)) < len(names):
        raise ValueError("Two columns have the same name, which JSON cannot hold.")
    yield "{\n"
    yield f'"table": {_json(table.name)},\n'
    kinds = ", ".join(_json({"name": c.name, "kind": c.kind}) for c in table.columns)
    yield f'"columns": [{kinds}],\n'
    yield '"rows": ['
    before = "\n"
    for row in table.checked_rows():
        yield before + _json(dict(zip(names, _values(table, row), strict=True)))
        before = ",\n"
    yield "\n]\n}\n"


def _values(table: Table, row: Row) -> Iterator[str | int | float | None]:
    for column, cell in zip(table.columns, row, strict=True):
        yield text_of(cell) if column.kind == "text" else number_of(cell)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
