"""Counts of an archive: in parameters.json and methods.md, and again in its verification.

Knows no database. The worker that writes an archive counts what is in its files, as a reader does.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from annotation_site.exports.annotation_records import AnnotationRecord
from annotation_site.results.tables.facts import PURPOSES, facts_of
from annotation_site.results.tables.request import TableRequest


class Facts:
    """Counts of records as they pass; it stores no record."""

    def __init__(self, guidelines: Collection[int]) -> None:
        """`guidelines` are the versions that the archive holds."""
        self._guidelines = frozenset(guidelines)
        self._of_purpose: Counter[str] = Counter()
        self._flags: Counter[str] = Counter()
        self._not_blind = 0
        self._categories: Counter[str] = Counter()
        self._versions: Counter[int] = Counter()
        self.all: Counter[str] = Counter()

    def watch(self, records: Iterable[AnnotationRecord]) -> Iterator[AnnotationRecord]:
        """Yield the records, counting each."""
        for record in records:
            self._add(record)
            yield record

    def _add(self, record: AnnotationRecord) -> None:
        self._of_purpose[record.purpose] += 1
        if record.purpose == "annotation":
            self._flags["surplus"] += record.surplus
            self._flags["unblinded"] += record.unblinded and not record.surplus
        self._not_blind += record.list_use == "study" and record.looked_before
        self._versions[record.guidelines_version or 0] += 1
        self._categories.update(pattern.category for pattern in record.patterns)
        self.all.update(
            records=1,
            surplus=record.surplus,
            unblinded=record.unblinded,
            submissions=record.version,
            active_seconds=record.active_seconds,
            patterns=len(record.patterns),
            members=sum(len(pattern.ranks) for pattern in record.patterns),
            stopwords=sum(pattern.stopwords for pattern in record.patterns),
        )

    def counts(
        self,
        request: TableRequest,
        lists: Iterable[Sequence[Any]],
        skips: Iterable[Sequence[Any]],
    ) -> dict[str, Any]:
        """`counts` of parameters.json, after the last record.

        `lists` and `skips` are rows of `LIST_COLUMNS` and `SKIP_COLUMNS`.
        """
        states = Counter(row[3] for row in skips if row[2] == "annotation")
        return {
            **facts_of(request),
            "list_uses": dict(sorted(Counter(row[7] for row in lists).items())),
            "excluded": {name: self._flags[name] for name in ("surplus", "unblinded")},
            # Missing where there are none, as in archives from before there were looks.
            **({"adjudicated_not_blind": self._not_blind} if self._not_blind else {}),
            **{state: states[state] for state in ("skipped", "expired", "withdrawn")},
            "records": {p: self._of_purpose[p] for p in PURPOSES if p in self._of_purpose},
            "all_records": dict(self.all),
            "all_categories": dict(sorted(self._categories.items())),
            "guidelines": {str(v): self._versions[v] for v in sorted(self._versions) if v},
            "guidelines_missing": sorted(set(self._versions) - self._guidelines - {0}),
        }
