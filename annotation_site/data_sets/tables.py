"""The tables of a data set as Parquet, from the archive inside it, in bounded memory."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from annotation_site.data_sets.columns import (
    ANNOTATIONS,
    LISTS,
    MACHINE_ANNOTATIONS,
    TABLES,
    TOKEN_JUDGEMENTS,
    DataTable,
    arrow_schema,
)
from annotation_site.data_sets.source import ListRow, Source
from annotation_site.exports.annotation_records import AnnotationRecord

ROWS = 5_000  # of a row group
Values = dict[str, Any]
Report = Callable[[int, int], None]


def tables_write(folder: Path, source: Source, report: Report) -> dict[str, int]:
    """Write the tables that the archive has; returns the number of rows of each by its name.

    `report(done, total)` follows the annotations. The same archive and packages give the same
    bytes.
    """
    (folder / "data").mkdir()
    lists = {row.key: row for row in source.lists}
    total = int(source.parameters["counts"]["all_records"]["records"])
    counted: Counter[int] = Counter()

    def numbered() -> Iterator[tuple[int, AnnotationRecord, ListRow]]:
        for number, record in enumerate(source.records(), start=1):
            counted[lists[record.list_key].number] += is_counted(record)
            yield number, record, lists[record.list_key]
            report(number, total)

    least = int(source.parameters["study"]["min_tokens"])
    made = {
        ANNOTATIONS.name: _write(folder, ANNOTATIONS, source, annotation_rows(numbered(), least))
    }
    judgements = token_judgement_rows(
        ((n, r, lists[r.list_key]) for n, r in enumerate(source.records(), start=1)), least
    )
    made[TOKEN_JUDGEMENTS.name] = _write(folder, TOKEN_JUDGEMENTS, source, judgements)
    made[LISTS.name] = _write(folder, LISTS, source, list_rows(source, counted))
    machines = list(machine_rows(source, least))
    if machines:
        made[MACHINE_ANNOTATIONS.name] = _write(folder, MACHINE_ANNOTATIONS, source, machines)
    return made


def tables_of(rows: dict[str, int]) -> list[DataTable]:
    """The tables that a data set has, by the numbers of their rows."""
    return [table for table in TABLES if table.name in rows]


def is_counted(record: AnnotationRecord) -> bool:
    """Whether tables of results rest on an annotation (docs/measures.md)."""
    return (
        record.purpose == "annotation"
        and record.list_use == "study"
        and not record.surplus
        and not record.unblinded
    )


def annotation_rows(
    records: Iterable[tuple[int, AnnotationRecord, ListRow]], least: int
) -> Iterator[Values]:
    """Rows of ANNOTATIONS; `least` is the minimum of entries of a pattern that counts."""
    for number, record, where in records:
        names = (
            "model", "kind", "layer", "index", "list_use", "annotator", "role", "purpose",
            "surplus", "unblinded", "looked_before", "position", "guidelines_version",
            "reference_score", "no_pattern", "opened_at", "submitted_at", "active_seconds",
            "comment", "made_up",
        )  # fmt: skip
        yield {
            **{name: getattr(record, name) for name in names},
            "annotation_id": number,
            "list_id": where.number,
            "model": where.model,
            "counts": is_counted(record),
            "submissions": record.version,
            "patterns": [
                {
                    "number": one.number,
                    "description": one.description,
                    "category": one.category,
                    "stopwords": one.stopwords,
                    "ranks": list(one.ranks),
                    "entries": [where.entries[rank - 1] for rank in one.ranks],
                    "counts": len(one.ranks) >= least,
                }
                for one in record.patterns
            ],
        }


def token_judgement_rows(
    records: Iterable[tuple[int, AnnotationRecord, ListRow]], least: int
) -> Iterator[Values]:
    """Rows of TOKEN_JUDGEMENTS."""
    for number, record, where in records:
        of_rank = defaultdict(list)
        for pattern in record.patterns:
            for rank in pattern.ranks:
                of_rank[rank].append(pattern)
        for rank, entry in enumerate(where.entries, start=1):
            patterns = of_rank[rank]
            yield {
                "annotation_id": number,
                "list_id": where.number,
                "annotator": record.annotator,
                "purpose": record.purpose,
                "counts": is_counted(record),
                "rank": rank,
                "token_id": where.token_ids[rank - 1] if where.token_ids else None,
                "entry": entry,
                "in_pattern": bool(patterns),
                "in_counted_pattern": any(len(one.ranks) >= least for one in patterns),
                "pattern_numbers": [one.number for one in patterns],
                "categories": [one.category for one in patterns],
                "descriptions": [one.description for one in patterns],
                "made_up": record.made_up,
            }


def list_rows(source: Source, counted: Counter[int]) -> Iterator[Values]:
    """Rows of LISTS; `counted` has the number of annotations that count by list."""
    is_made_up = "made_up" in source.chosen
    for row in source.lists:
        made = source.extractions[row.bundle_digest]
        yield {
            "list_id": row.number,
            "model": row.model,
            "model_revision": made["revision"],
            "weights_digest": made["weights_digest"],
            "bundle_digest": row.bundle_digest,
            "kind": row.kind,
            "layer": row.layer,
            "index": row.index,
            "list_use": row.use,
            "annotations": counted[row.number],
            "token_ids": list(row.token_ids),
            "entries": list(row.entries),
            "glosses": list(row.glosses),
            "made_up": is_made_up,
        }


def machine_rows(source: Source, least: int) -> Iterator[Values]:
    """Rows of MACHINE_ANNOTATIONS: those with an annotation, then failures, by name and list."""
    lists = {row.number: row for row in source.lists}
    found: dict[tuple[str, int], dict[int, list[dict[str, str]]]] = {}
    for row in source.rows("machines"):
        patterns = found.setdefault((row["annotator"], int(row["list"])), {})
        if row["pattern"]:
            patterns.setdefault(int(row["pattern"]), []).append(row)
    failures = source.rows("machine_failures")
    failed = {(row["annotator"], int(row["list"])) for row in failures}
    for (name, number), patterns in found.items():
        if (name, number) in failed:
            continue
        yield {
            "list_id": number,
            "annotator": name,
            "failure": None,
            "no_pattern": not patterns,
            "patterns": [
                _machine_pattern(n, rows, lists[number], least)
                for n, rows in sorted(patterns.items())
            ],
        }
    for row in failures:
        yield {
            "list_id": int(row["list"]),
            "annotator": row["annotator"],
            "failure": row["failure"],
            "no_pattern": None,
            "patterns": [],
        }


def _machine_pattern(
    number: int, rows: Sequence[dict[str, str]], where: ListRow, least: int
) -> Values:
    ranks = sorted(int(row["rank"]) for row in rows)
    return {
        "number": number,
        "description": rows[0].get("description", ""),
        "category": rows[0]["category"],
        "stopwords": rows[0].get("stopwords") == "1",
        "ranks": ranks,
        "entries": [where.entries[rank - 1] for rank in ranks],
        "counts": len(ranks) >= least,
    }


def _write(folder: Path, table: DataTable, source: Source, rows: Iterable[Values]) -> int:
    """Write a table; returns the number of its rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = arrow_schema(table, source.chosen)
    names, written, waiting = schema.names, 0, iter(rows)
    with pq.ParquetWriter(folder / table.path, schema, compression="zstd") as writer:
        while chunk := list(islice(waiting, ROWS)):
            kept = [{name: row[name] for name in names} for row in chunk]
            writer.write_table(pa.Table.from_pylist(kept, schema=schema))
            written += len(chunk)
    return written
