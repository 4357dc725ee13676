"""Columns of a data set's tables. docs/exports.md lists the same, and the card too."""

from dataclasses import dataclass
from typing import Any, Literal

Type = Literal[
    "string", "int32", "float64", "bool", "timestamp", "list<int32>", "list<string>", "patterns"
]


@dataclass(frozen=True)
class DataColumn:
    """A column of a table. `only` names what it depends on: times, comments or made_up."""

    name: str
    type: Type
    meaning: str
    nullable: bool = False
    only: str = ""


@dataclass(frozen=True)
class DataTable:
    """A table of a data set, which is a configuration of its own for the hub."""

    name: str
    title: str
    columns: tuple[DataColumn, ...]

    @property
    def path(self) -> str:
        """The file's path in the folder."""
        return f"data/{self.name}.parquet"

    def columns_with(self, chosen: frozenset[str]) -> tuple[DataColumn, ...]:
        """The columns of a data set with what is chosen of `only`."""
        return tuple(one for one in self.columns if not one.only or one.only in chosen)


MADE_UP = DataColumn("made_up", "bool", "true: no person gave this annotation", only="made_up")
PATTERNS = DataColumn("patterns", "patterns", "the annotation's patterns, or an empty list")
_LIST = DataColumn("list_id", "int32", "number of the list, from 1")
_ANNOTATION = DataColumn("annotation_id", "int32", "number of the annotation, from 1")
_ANNOTATOR = DataColumn(
    "annotator", "string", "code of the person, which means nothing outside this data set"
)
_COUNTS = DataColumn(
    "counts",
    "bool",
    "true: the tables of results rest on this annotation; false: it is surplus or unblinded, or "
    "has another purpose",
)
_PURPOSE = DataColumn(
    "purpose", "string", "annotation, training, repeat, reference, pilot or adjudication"
)

PATTERN_COLUMNS = (
    DataColumn("number", "int32", "number of the pattern, from 1"),
    DataColumn("description", "string", "what the annotator called it"),
    DataColumn("category", "string", "its category"),
    DataColumn("stopwords", "bool", "true: flagged as stopwords or punctuation"),
    DataColumn("ranks", "list<int32>", "ranks of its entries, from 1"),
    DataColumn("entries", "list<string>", "the same entries as people see them"),
    DataColumn("counts", "bool", "true: it has the study's minimum of entries"),
)
"""Fields of each element of `patterns`."""

ANNOTATIONS = DataTable(
    "annotations",
    "one row per annotation",
    (
        _ANNOTATION,
        _LIST,
        DataColumn("model", "string", "name of the language model"),
        DataColumn("kind", "string", "kind of the vector, such as value or random"),
        DataColumn("layer", "int32", "layer of the vector, from 0"),
        DataColumn("index", "int32", "index of the vector in its layer, from 0"),
        DataColumn("list_use", "string", "study, training, reference or pilot"),
        _ANNOTATOR,
        DataColumn("role", "string", "annotator or researcher"),
        _PURPOSE,
        _COUNTS,
        DataColumn("surplus", "bool", "true: all slots of the list were taken"),
        DataColumn("unblinded", "bool", "true: the person could see where lists come from"),
        DataColumn("looked_before", "bool", "true: adjudicated after a look at annotations"),
        DataColumn("position", "int32", "position of the list in the person's order, from 1"),
        DataColumn("submissions", "int32", "how often the annotation was submitted"),
        DataColumn("guidelines_version", "int32", "version of the guidelines", nullable=True),
        DataColumn(
            "reference_score", "float64", "overlap with the reference annotation, 0 to 1", True
        ),
        DataColumn("no_pattern", "bool", "true: the person found no pattern"),
        PATTERNS,
        DataColumn("opened_at", "timestamp", "first opening, UTC", True, only="times"),
        DataColumn("submitted_at", "timestamp", "submission, UTC", only="times"),
        DataColumn("active_seconds", "int32", "seconds of active time", only="times"),
        DataColumn("comment", "string", "the person's comment", only="comments"),
        MADE_UP,
    ),
)
TOKEN_JUDGEMENTS = DataTable(
    "token_judgements",
    "one row per token judgement: one annotation and one entry of its list",
    (
        _ANNOTATION,
        _LIST,
        _ANNOTATOR,
        _PURPOSE,
        _COUNTS,
        DataColumn("rank", "int32", "rank of the entry in the list, from 1"),
        DataColumn("token_id", "int32", "number of the token; missing for a prefix", True),
        DataColumn("entry", "string", "the token or prefix as people see it"),
        DataColumn("in_pattern", "bool", "true: the entry is in a pattern"),
        DataColumn("in_counted_pattern", "bool", "true: it is in a pattern that counts"),
        DataColumn("pattern_numbers", "list<int32>", "numbers of its patterns"),
        DataColumn("categories", "list<string>", "categories of these patterns"),
        DataColumn("descriptions", "list<string>", "descriptions of these patterns"),
        MADE_UP,
    ),
)
LISTS = DataTable(
    "lists",
    "one row per list, also those without an annotation",
    (
        _LIST,
        DataColumn("model", "string", "name of the language model"),
        DataColumn("model_revision", "string", "its revision, or empty"),
        DataColumn("weights_digest", "string", "fingerprint of its weights"),
        DataColumn("bundle_digest", "string", "digest of the bundle that the list comes from"),
        DataColumn("kind", "string", "kind of the vector, such as value or random"),
        DataColumn("layer", "int32", "layer of the vector, from 0"),
        DataColumn("index", "int32", "index of the vector in its layer, from 0"),
        DataColumn("list_use", "string", "study, training, reference or pilot"),
        DataColumn("annotations", "int32", "number of annotations that count"),
        DataColumn("token_ids", "list<int32>", "numbers of the tokens; empty for prefixes"),
        DataColumn("entries", "list<string>", "the tokens or prefixes by rank"),
        DataColumn("glosses", "list<string>", "glosses of the tokens; empty for prefixes"),
        MADE_UP,
    ),
)
MACHINE_ANNOTATIONS = DataTable(
    "machine_annotations",
    "one row per list and machine annotator: a program or a language model, no person",
    (
        _LIST,
        DataColumn("annotator", "string", "name of the machine annotator"),
        DataColumn("failure", "string", "why there is no annotation, or missing", True),
        DataColumn(
            "no_pattern", "bool", "true: it found no pattern; missing where it failed", True
        ),
        PATTERNS,
    ),
)
TABLES = (ANNOTATIONS, TOKEN_JUDGEMENTS, LISTS, MACHINE_ANNOTATIONS)
"""The tables in the order of the card; the last one only where machine annotators annotated."""


def arrow_schema(table: DataTable, chosen: frozenset[str]) -> Any:
    """The pyarrow schema of a table; made-up annotations have metadata that say so."""
    import pyarrow as pa

    metadata = {"made_up": "true"} if MADE_UP.only in chosen else None
    fields = [_field(pa, column) for column in table.columns_with(chosen)]
    return pa.schema(fields, metadata=metadata)


def _field(pa: Any, column: DataColumn) -> Any:
    types = {
        "string": pa.string(),
        "int32": pa.int32(),
        "float64": pa.float64(),
        "bool": pa.bool_(),
        "timestamp": pa.timestamp("us", tz="UTC"),
        "list<int32>": pa.list_(pa.int32()),
        "list<string>": pa.list_(pa.string()),
    }
    if column.type == "patterns":
        return pa.field(
            column.name, pa.list_(pa.struct([_field(pa, one) for one in PATTERN_COLUMNS]))
        )
    return pa.field(column.name, types[column.type], nullable=column.nullable)


def columns_markdown(table: DataTable, chosen: frozenset[str]) -> str:
    """The documented columns as a Markdown table; docs/exports.md holds the same."""
    lines = ["| column | type | meaning |", "|---|---|---|"]
    for column in table.columns_with(chosen):
        can_be = " or missing" if column.nullable else ""
        lines.append(f"| `{column.name}` | `{column.type}`{can_be} | {column.meaning} |")
    return "\n".join(lines) + "\n"
