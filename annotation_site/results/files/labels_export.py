"""Export a study's labels from the database, one record per annotation, in bounded memory."""

from array import array
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from datetime import UTC
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery

from annotation_site.analysis.agreement.reference import reference_score
from annotation_site.annotation.lists.entries import stored_prefixes
from annotation_site.annotation.lists.glosses import TokenGlosses
from annotation_site.annotation.models import Assignment, Pattern, PatternMember, Study
from annotation_site.corpus.models import Token, Vector
from annotation_site.exports.annotation_records import AnnotationRecord, RecordPattern
from annotation_site.results.files.left_out import COMMENTS, TIMES, nth_moment
from annotation_site.results.models import Pseudonym
from annotation_site.results.pseudonyms import pseudonyms_ensure
from annotation_site.results.tables.reading import one_moment

CHUNK = 200  # annotations that are in memory at a time, and the rest of the last one's list
SCORED = (Assignment.Purpose.TRAINING, Assignment.Purpose.REFERENCE)
Report = Callable[[int, int], None]
Row = dict[str, Any]
_COLUMNS = {
    "pk": "pk",
    "version": "version",
    "vector": "item__vector",
    "model": "item__vector__extraction__model__name",
    "model_revision": "item__vector__extraction__model__revision",
    "weights_digest": "item__vector__extraction__model__weights_digest",
    "bundle_digest": "item__vector__extraction__bundle_digest",
    "kind": "item__vector__kind",
    "layer": "item__vector__layer",
    "index": "item__vector__index",
    "list_use": "item__use",
    "annotator": "pseudonym",
    "annotator_name": "membership__user__username",
    "role": "membership__role",
    **{
        name: name
        for name in (
            "purpose", "position", "surplus", "unblinded", "guidelines_version", "opened_at",
            "submitted_at", "active_seconds", "comment", "looked_before",
        )
    },
}  # fmt: skip


def annotation_records(
    study: Study,
    *,
    with_names: bool = False,
    left_out: Collection[str] = (),
    report: Report = lambda done, total: None,
) -> Iterator[AnnotationRecord]:
    """Every submitted annotation of the study, whatever its purpose, in a fixed order.

    The order is that of list (bundle, kind, layer, index), annotator's code, purpose and role. Each
    record is one whole submission, also while people go on working, and scores are those that the
    reference annotation among the same records gives; answers that come in after the first record
    are left to the next export. `left_out` names what records are without, of
    `left_out.LEFT_OUT`. `report(done, total)` follows each chunk.
    """
    pseudonyms_ensure(study=study)
    submitted = _submitted(study)
    # Sixteen bytes each are all that is kept of the whole study.
    keys, items = array("q"), array("q")
    for key, item in submitted.values_list("pk", "item_id").iterator(chunk_size=2000):
        keys.append(key)
        items.append(item)
    in_time = submitted.order_by("submitted_at", "pk").values_list("pk", flat=True)
    ranks = {pk: n for n, pk in enumerate(in_time, start=1)} if TIMES in left_out else {}
    report(0, len(keys))
    for start, end in _chunks(items):
        chunk = keys[start:end]
        which = submitted.order_by().filter(pk__in=list(chunk))
        for key, record in _records(study, which, chunk, with_names):
            yield _without(record, left_out, ranks.get(key, 0))
        report(end, len(keys))


def _without(record: AnnotationRecord, left_out: Collection[str], rank: int) -> AnnotationRecord:
    """The record without what is left out; `rank` is the submission's number in their order."""
    if COMMENTS in left_out:
        record = replace(record, comment="")
    if TIMES in left_out:
        record = replace(record, opened_at=None, submitted_at=nth_moment(rank), active_seconds=0)
    return record


def _chunks(items: "array[int]") -> Iterator[tuple[int, int]]:
    """Where chunks begin and end: each is read at one moment, so none parts a list's records.

    A reference annotation that changes meanwhile would leave scores of two of its versions.
    """
    start = 0
    while start < len(items):
        end = min(start + CHUNK, len(items))
        while end < len(items) and items[end] == items[end - 1]:
            end += 1
        yield start, end
        start = end


def _submitted(study: Study) -> QuerySet[Assignment]:
    code = Pseudonym.objects.filter(study=study, user=OuterRef("membership__user"))
    return (
        Assignment.objects.filter(item__study=study, state=Assignment.State.SUBMITTED)
        .annotate(pseudonym=Subquery(code.values("name")))
        .exclude(pseudonym=None)  # somebody who came a moment ago
        .order_by(
            "item__vector__extraction__bundle_digest",
            "item__vector__kind",
            "item__vector__layer",
            "item__vector__index",
            "pseudonym",
            "purpose",
            "membership__role",
        )
    )


def _records(
    study: Study, which: QuerySet[Assignment], order: "array[int]", with_names: bool
) -> Iterator[tuple[int, AnnotationRecord]]:
    with one_moment():
        rows = _rows(which)
        patterns = _patterns(rows)
    lists = lists_shown(study, {row["vector"] for row in rows.values()})
    references = {
        row["vector"]: _ranks(patterns[pk])
        for pk, row in rows.items()
        if row["purpose"] == Assignment.Purpose.ADJUDICATION
    }
    for row in (rows[pk] for pk in order if pk in rows):
        # The stored one can be of the reference annotation before this one, or not there yet.
        row["reference_score"] = None
        if row["purpose"] in SCORED and row["vector"] in references:
            row["reference_score"] = reference_score(
                _ranks(patterns[row["pk"]]),
                references[row["vector"]],
                length=max(map(len, lists[row["vector"]].values())),
                min_tokens=study.min_tokens,
            )
        row["made_up"] = study.made_up
        record = _record(row, patterns[row["pk"]], lists[row["vector"]], with_names)
        yield row["pk"], record


def _ranks(patterns: list[RecordPattern]) -> list[tuple[int, ...]]:
    return [pattern.ranks for pattern in patterns]


def _rows(which: QuerySet[Assignment]) -> dict[int, Row]:
    values = which.values_list(*_COLUMNS.values())
    rows = (dict(zip(_COLUMNS, row, strict=True)) for row in values)
    return {row["pk"]: row for row in rows}


def _patterns(rows: dict[int, Row]) -> dict[int, list[RecordPattern]]:
    ranks: dict[int, list[int]] = defaultdict(list)
    for pattern, rank in (
        PatternMember.objects.filter(pattern__assignment__in=list(rows))
        .order_by("rank")
        .values_list("pattern_id", "rank")
    ):
        ranks[pattern].append(rank)
    found: dict[int, list[RecordPattern]] = defaultdict(list)
    said = ("number", "description", "category", "stopwords", "stopwords_proposed")
    for row in (
        Pattern.objects.filter(assignment__in=list(rows))
        .order_by("number")
        .values("pk", "assignment_id", *said)
    ):
        said_here = RecordPattern(
            **{name: row[name] for name in said}, ranks=tuple(ranks[row["pk"]])
        )
        found[row["assignment_id"]].append(said_here)
    return found


def lists_shown(study: Study, vectors: set[int]) -> dict[int, Row]:
    """Token ids, tokens, glosses and prefixes of each list, as a record has them."""
    if study.list_source == Study.ListSource.TRIGGER_PREFIXES:
        none: Row = dict.fromkeys(("token_ids", "tokens", "glosses"), ())
        return {
            pk: {**none, "prefixes": tuple(one["prefix"] for one in stored)}
            for pk, stored in stored_prefixes(vectors).items()
        }
    gloss_rule = study.gloss_rule
    of_extraction: dict[int, dict[int, list[int]]] = defaultdict(dict)
    for pk, extraction, token_ids in Vector.objects.filter(pk__in=vectors).values_list(
        "pk", "extraction_id", "token_ids"
    ):
        of_extraction[extraction][pk] = token_ids
    found = {}
    for extraction, lists in of_extraction.items():
        wanted = {token for ids in lists.values() for token in ids}
        shown = {
            token: (display, TokenGlosses(*glosses).first(gloss_rule))
            for token, display, *glosses in Token.objects.filter(
                extraction_id=extraction, token_id__in=wanted
            ).values_list("token_id", "display", *TokenGlosses.COLUMNS)
        }
        for pk, ids in lists.items():
            found[pk] = {
                "token_ids": tuple(ids),
                "tokens": tuple(shown[token][0] for token in ids),
                "glosses": tuple(shown[token][1] for token in ids),
                "prefixes": (),
            }
    return found


def stopwords_shown(study: Study, vectors: set[int]) -> dict[int, frozenset[int]]:
    """The ranks with a stopword or punctuation in each list; none among prefixes."""
    if study.list_source == Study.ListSource.TRIGGER_PREFIXES:
        return dict.fromkeys(vectors, frozenset())
    found: dict[int, frozenset[int]] = {}
    flagged: dict[int, set[int]] = {}
    for pk, extraction, token_ids in Vector.objects.filter(pk__in=vectors).values_list(
        "pk", "extraction_id", "token_ids"
    ):
        if extraction not in flagged:
            stopwords = Token.objects.filter(extraction_id=extraction, is_stopword=True)
            flagged[extraction] = set(stopwords.values_list("token_id", flat=True))
        ranks = enumerate(token_ids, start=1)
        found[pk] = frozenset(rank for rank, token in ranks if token in flagged[extraction])
    return found


def _record(
    row: Row, patterns: list[RecordPattern], tokens: Row, with_names: bool
) -> AnnotationRecord:
    said = {name: value for name, value in row.items() if name not in ("pk", "vector")}
    if not with_names:
        said["annotator_name"] = None
    for name in ("opened_at", "submitted_at"):
        said[name] = said[name].astimezone(UTC) if said[name] else None
    return AnnotationRecord(**said, **tokens, no_pattern=not patterns, patterns=tuple(patterns))
