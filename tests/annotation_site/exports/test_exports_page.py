"""docs/exports.md lists exactly what the code writes."""

import re
from pathlib import Path

from annotation_site.exports import EXPORT_FORMATS
from annotation_site.exports.annotation_records import RECORD_FIELDS
from annotation_site.exports.labels_parquet import schema
from annotation_site.results.files.archive_texts import fields_table

PAGE = (Path(__file__).parents[3] / "docs/exports.md").read_text()


def first_cells(heading: str) -> list[str]:
    """What the table's rows below a line name in their first cell."""
    table = PAGE.partition(heading)[2].partition("\n\n")[0]
    return re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


def test_every_format_is_described() -> None:
    assert first_cells("| format | numbers") == list(EXPORT_FORMATS)
    assert ", ".join(EXPORT_FORMATS) in PAGE


def test_every_field_of_a_label_is_described_in_its_order() -> None:
    assert fields_table().strip() in PAGE
    assert first_cells("| field | type") == [field.name for field in RECORD_FIELDS]


def test_the_parquet_schema_is_the_documented_one() -> None:
    """Plain names and types, which pandas and datasets read without being told anything."""
    types = {
        "string": "string",
        "int32": "int32",
        "float64": "double",
        "bool": "bool",
        "timestamp": "timestamp[us, tz=UTC]",
        "list<int32>": "list<item: int32>",
        "list<string>": "list<item: string>",
        "patterns": "list<item: struct<number: int32 not null, description: string not null, "
        "category: string not null, stopwords: bool not null, stopwords_proposed: bool not null, "
        "ranks: list<item: int32> not null>>",
    }
    assert [(column.name, str(column.type), column.nullable) for column in schema()] == [
        (field.name, types[field.type], field.nullable) for field in RECORD_FIELDS
    ]
    assert all(field.name.isidentifier() for field in RECORD_FIELDS)
