"""Labels as files: one record per annotation. docs/exports.md describes every field.

The fields are part of the product's interface: one may be added at the end, with a new
`SCHEMA_VERSION`; none is renamed or gets another meaning.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal

SCHEMA_VERSION = 2
PSEUDONYM = re.compile(r"[0-9a-z]{1,32}")
_MOMENT = "%Y-%m-%dT%H:%M:%S.%fZ"

Type = Literal[
    "string", "int32", "float64", "bool", "timestamp", "list<int32>", "list<string>", "patterns"
]


class LabelsFileError(ValueError):
    """A file has no labels in this product's format; the sentence says where."""


@dataclass(frozen=True)
class Field:
    """A column of the Parquet file and a key of a JSON line."""

    name: str
    type: Type
    meaning: str
    nullable: bool = False


RECORD_FIELDS = (
    Field("schema_version", "int32", f"{SCHEMA_VERSION}; another number, another meaning"),
    Field("model", "string", "name of the language model"),
    Field("model_revision", "string", "its revision, or empty"),
    Field("weights_digest", "string", "fingerprint of its weights"),
    Field("bundle_digest", "string", "digest of the list's bundle"),
    Field(
        "kind",
        "string",
        "value, random, update, key, random-key, random-covariance, permuted or shuffled",
    ),
    Field("layer", "int32", "layer of the vector, from 0"),
    Field("index", "int32", "index of the vector in its layer, from 0"),
    Field("list_use", "string", "the use of the list: study, training, reference or pilot"),
    Field("annotator", "string", "code of the person, which means nothing outside the study"),
    Field("annotator_name", "string", "the person's user name, only if names were requested", True),
    Field("role", "string", "the person's role in the study: annotator or researcher"),
    Field(
        "purpose",
        "string",
        "annotation, training, repeat, reference, pilot or adjudication; tables use annotation",
    ),
    Field("position", "int32", "position of the list in the person's order, from 1"),
    Field("surplus", "bool", "true: all slots of the list were taken; in no table"),
    Field("unblinded", "bool", "true: the person could see where lists come from; in no table"),
    Field("reference_score", "float64", "overlap with the reference annotation, 0 to 1", True),
    Field(
        "version",
        "int32",
        "number of submissions of this annotation; the record holds the last one",
    ),
    Field("guidelines_version", "int32", "version of the guidelines that the person had", True),
    Field("opened_at", "timestamp", "time of the first opening, UTC", True),
    Field("submitted_at", "timestamp", "time of the submission, UTC"),
    Field("active_seconds", "int32", "seconds of active time"),
    Field("no_pattern", "bool", "true: the person found no pattern"),
    Field("comment", "string", "the person's comment"),
    Field("token_ids", "list<int32>", "the list's tokens by rank, as the vocabulary numbers them"),
    Field("tokens", "list<string>", "the same tokens as people see them"),
    Field("glosses", "list<string>", "the glosses that the study shows, or empty"),
    Field(
        "patterns",
        "patterns",
        "number, description, category, stopwords, stopwords_proposed and ranks (from 1) of each",
    ),
    Field(
        "looked_before",
        "bool",
        "true: adjudicated not blind, after a look at people's annotations with their names",
    ),
)
FIELDS_OF = {1: RECORD_FIELDS[:-1], SCHEMA_VERSION: RECORD_FIELDS}
"""The fields of a record by its schema. Records of schema 1 are from before there were looks."""


PREFIXES_FIELD = Field("prefixes", "list<string>", "the list's trigger prefixes by rank")
"""A further field of the records of lists of prefixes, which show no tokens; others lack it."""

MADE_UP_FIELD = Field("made_up", "bool", "true: no person gave this annotation")
"""The last field of every record of a study with made-up annotations; other studies lack it."""

FURTHER_FIELDS = (PREFIXES_FIELD, MADE_UP_FIELD)
"""Fields behind those of the schema, each there only in the studies that need it."""


@dataclass(frozen=True)
class RecordPattern:
    """A pattern of an annotation."""

    number: int
    description: str
    category: str
    stopwords: bool
    stopwords_proposed: bool
    ranks: tuple[int, ...]


@dataclass(frozen=True)
class AnnotationRecord:
    """One submitted annotation of one person for one list, with the list's origin."""

    model: str
    model_revision: str
    weights_digest: str
    bundle_digest: str
    kind: str
    layer: int
    index: int
    list_use: str
    annotator: str
    annotator_name: str | None
    role: str
    purpose: str
    position: int
    surplus: bool
    unblinded: bool
    reference_score: float | None
    version: int
    guidelines_version: int | None
    opened_at: datetime | None
    submitted_at: datetime
    active_seconds: int
    no_pattern: bool
    comment: str
    token_ids: tuple[int, ...]
    tokens: tuple[str, ...]
    glosses: tuple[str, ...]
    patterns: tuple[RecordPattern, ...]
    looked_before: bool = False
    prefixes: tuple[str, ...] = ()
    made_up: bool = False

    @property
    def list_key(self) -> tuple[str, str, int, int]:
        """The key of the list in any database."""
        return self.bundle_digest, self.kind, self.layer, self.index

    @property
    def length(self) -> int:
        """The number of the list's entries, tokens or prefixes."""
        return len(self.token_ids) or len(self.prefixes)

    def values(self) -> dict[str, Any]:
        """The record by field, in the documented order, times as datetimes."""
        values = {"schema_version": SCHEMA_VERSION, **asdict(self)}
        for field in FURTHER_FIELDS:
            if not values[field.name]:
                del values[field.name]
        return values


def moment_text(moment: datetime) -> str:
    """A time in the JSON format: 2026-03-02T09:00:00.000000Z."""
    return moment.astimezone(UTC).strftime(_MOMENT)


def moment_of(text: object) -> datetime | None:
    """The time of a text that `moment_text` wrote; None for any other value."""
    try:
        return datetime.strptime(text, _MOMENT).replace(tzinfo=UTC)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def record_of(values: object, where: str) -> AnnotationRecord:
    """Make a record from the values in a file, as `AnnotationRecord.values` gave them.

    Raises LabelsFileError, `where` being the place it names, for a missing or unknown field, a
    value of another type, an unknown schema, and an annotator's code that is none.
    """
    if not isinstance(values, Mapping):
        raise LabelsFileError(f"{where} is not a record. Was the file written by another program?")
    version = values.get("schema_version")
    known = FIELDS_OF.get(version, RECORD_FIELDS) if isinstance(version, int) else RECORD_FIELDS
    # What is empty or false is never written.
    expected = (*known, *(field for field in FURTHER_FIELDS if values.get(field.name)))
    names = {field.name for field in expected}
    if set(values) != names:
        missing, unknown = sorted(names - set(values)), sorted(map(str, set(values) - names))
        what = f"lacks {', '.join(missing)}" if missing else f"has the field {unknown[0]}"
        raise LabelsFileError(f"{where} {what}. docs/exports.md lists the fields of a record.")
    if version not in FIELDS_OF:
        raise LabelsFileError(
            f"{where} has the schema {version!r}; this version of the product reads "
            f"{' and '.join(map(str, FIELDS_OF))}."
        )
    read = {field.name: _value(field, values[field.name], where) for field in expected}
    del read["schema_version"]
    record = AnnotationRecord(**read)
    if not PSEUDONYM.fullmatch(record.annotator):
        raise LabelsFileError(f"{where}: annotator is a code of small letters and digits.")
    if not len(record.token_ids) == len(record.tokens) == len(record.glosses):
        raise LabelsFileError(f"{where}: token_ids, tokens and glosses differ in length.")
    if record.prefixes and record.tokens:
        raise LabelsFileError(f"{where} has tokens and prefixes. A list shows one of the two.")
    return record


def _value(field: Field, value: Any, where: str) -> Any:
    if value is None and field.nullable:
        return None
    if field.type == "timestamp":
        return _moment(field, value, where)
    if field.type == "patterns":
        return tuple(_pattern(one, f"{where}, patterns") for one in _list(field, value, where))
    if field.type in ("list<int32>", "list<string>"):
        entries = _list(field, value, where)
        item: Type = "int32" if field.type == "list<int32>" else "string"
        return tuple(_checked(item, one, field.name, where) for one in entries)
    return _checked(field.type, value, field.name, where)


def _checked(type_: Type, value: Any, name: str, where: str) -> Any:
    is_bool = isinstance(value, bool)
    if type_ == "int32":
        fits = isinstance(value, int) and not is_bool and -(2**31) <= value < 2**31
    elif type_ == "float64":
        fits = isinstance(value, int | float) and not is_bool
    else:
        fits = is_bool if type_ == "bool" else isinstance(value, str)
    if not fits:
        raise LabelsFileError(f"{where}: {name} is {value!r:.60}, which is no {type_}.")
    return float(value) if type_ == "float64" else value


def _list(field: Field, value: Any, where: str) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise LabelsFileError(f"{where}: {field.name} is {value!r:.60}, which is no list.")
    return list(value)


def _moment(field: Field, value: Any, where: str) -> datetime:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    found = moment_of(value)
    if found is None:
        raise LabelsFileError(
            f"{where}: {field.name} is {value!r:.60}; a time looks like "
            "2026-03-02T09:00:00.000000Z."
        )
    return found


_PATTERN_TYPES: dict[str, Type] = {
    "number": "int32",
    "description": "string",
    "category": "string",
    "stopwords": "bool",
    "stopwords_proposed": "bool",
    "ranks": "list<int32>",
}
PATTERN_FIELDS = tuple(
    Field(field.name, _PATTERN_TYPES[field.name], "") for field in fields(RecordPattern)
)


def _pattern(value: Any, where: str) -> RecordPattern:
    if not isinstance(value, Mapping) or set(value) != set(_PATTERN_TYPES):
        raise LabelsFileError(f"{where}: a pattern has {', '.join(_PATTERN_TYPES)}.")
    return RecordPattern(**{f.name: _value(f, value[f.name], where) for f in PATTERN_FIELDS})
