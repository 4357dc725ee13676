"""Export of adjudicated annotations: one record per adjudicated list of the study."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db.models import Prefetch

from annotation_site.annotation.lists.entries import stored_prefixes
from annotation_site.annotation.models import Assignment, Item, Pattern, PatternMember, Study
from annotation_site.corpus.models import Token, Vector
from annotation_site.exports import EXPORT_FORMATS, Column, Table
from annotation_site.exports.table import MADE_UP
from annotation_site.results.pseudonyms import pseudonyms_ensure, pseudonyms_of
from annotation_site.results.tables.reading import one_moment

CHUNK = 500
COLUMNS = (
    Column("model", "text"),
    Column("bundle_digest", "text"),
    Column("kind", "text"),
    Column("layer", "number"),
    Column("index", "number"),
    Column("tokens", "text"),
    Column("patterns", "text"),
    Column("comment", "text"),
    Column("adjudicator", "text"),
    Column("version", "number"),
    Column("submitted_at", "text"),
    Column("looked_before", "number"),
)


@dataclass(frozen=True)
class AdjudicatedFormat:
    """A format for a study's adjudicated annotations."""

    media_type: str
    write: Callable[[Study], Iterator[bytes]]


def adjudicated_annotations(study: Study) -> Any:
    """The submitted adjudicated annotations of the study's own lists, by model, kind, layer."""
    members = PatternMember.objects.order_by("rank")
    patterns = Pattern.objects.order_by("number").prefetch_related(
        Prefetch("members", queryset=members)
    )
    return (
        Assignment.objects.filter(
            item__study=study,
            item__use=Item.Use.STUDY,
            purpose=Assignment.Purpose.ADJUDICATION,
            state=Assignment.State.SUBMITTED,
        )
        .select_related("item__vector__extraction__model", "membership")
        .prefetch_related(Prefetch("patterns", queryset=patterns))
        .order_by(
            "item__vector__extraction__model__name",
            "item__vector__extraction",
            "item__vector__kind",
            "item__vector__layer",
            "item__vector__index",
        )
    )


def adjudicated_records(study: Study) -> Iterator[dict[str, Any]]:
    """One dictionary per adjudicated annotation, with the columns of COLUMNS; entries and patterns
    as lists.

    Read in pieces, so that its memory does not grow with the study; each answer is whole, also
    while people go on working.
    """
    pseudonyms_ensure(study=study)
    codes = pseudonyms_of(study)
    texts: dict[int, dict[int, str]] = {}
    entries = entries_column(study).name
    for answer in _in_pieces(adjudicated_annotations(study)):
        vector = answer.item.vector
        yield {
            "model": vector.extraction.model.name,
            "bundle_digest": vector.extraction.bundle_digest,
            "kind": vector.kind,
            "layer": vector.layer,
            "index": vector.index,
            entries: _entries(study, vector, texts),
            "patterns": [
                {
                    "number": pattern.number,
                    "description": pattern.description,
                    "category": pattern.category,
                    "stopwords": pattern.stopwords,
                    "ranks": [member.rank for member in pattern.members.all()],
                }
                for pattern in answer.patterns.all()
            ],
            "comment": answer.comment,
            "adjudicator": codes[answer.membership.user_id],
            "version": answer.version,
            "submitted_at": answer.submitted_at.isoformat(),
            "looked_before": int(answer.looked_before),
            **({MADE_UP.name: 1} if study.made_up else {}),
        }


def entries_column(study: Study) -> Column:
    """The column of a list's entries."""
    prefixes = study.list_source == Study.ListSource.TRIGGER_PREFIXES
    return Column("prefixes" if prefixes else "tokens", "text")


def _entries(study: Study, vector: Vector, texts: dict[int, dict[int, str]]) -> list[str]:
    if study.list_source == Study.ListSource.TRIGGER_PREFIXES:
        return [one["prefix"] for one in stored_prefixes([vector.pk])[vector.pk]]
    of_extraction = texts.setdefault(vector.extraction_id, {})
    _read_missing(of_extraction, vector.extraction_id, vector.token_ids)
    return [of_extraction[i] for i in vector.token_ids]


def _in_pieces(answers: Any) -> Iterator[Any]:
    keys = list(answers.values_list("pk", flat=True))
    for start in range(0, len(keys), CHUNK):
        with one_moment():
            piece = list(answers.filter(pk__in=keys[start : start + CHUNK]))
        yield from piece


def _read_missing(texts: dict[int, str], extraction_id: int, token_ids: list[int]) -> None:
    """Read the tokens that no list before had; a vocabulary is bounded, a study is not."""
    missing = [i for i in token_ids if i not in texts]
    if missing:
        found = Token.objects.filter(extraction_id=extraction_id, token_id__in=missing)
        texts.update(found.values_list("token_id", "text"))


def adjudicated_table(study: Study) -> Table:
    """Adjudicated annotations as a table; entries and patterns as JSON in a cell each."""
    rows = (
        tuple(
            json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
            for value in record.values()
        )
        for record in adjudicated_records(study)
    )
    columns = tuple(entries_column(study) if c.name == "tokens" else c for c in COLUMNS)
    columns = (*columns, MADE_UP) if study.made_up else columns
    return Table("adjudicated", columns, rows)


def _json_lines(study: Study) -> Iterator[bytes]:
    for record in adjudicated_records(study):
        yield json.dumps(record, ensure_ascii=False).encode() + b"\n"


def _written(name: str, study: Study) -> Iterator[bytes]:
    return EXPORT_FORMATS[name].write(adjudicated_table(study))


ADJUDICATED_FORMATS = {
    "jsonl": AdjudicatedFormat("application/jsonl", _json_lines),
    **{
        name: AdjudicatedFormat(export.media_type, partial(_written, name))
        for name, export in EXPORT_FORMATS.items()
    },
}
