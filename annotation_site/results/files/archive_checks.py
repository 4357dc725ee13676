"""Checks of an archive's parts against each other, record by record. Needs no database."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from annotation_site.analysis.agreement.reference import reference_score
from annotation_site.analysis.paper import PREFIXES_SHOWN
from annotation_site.analysis.stopwords import propose_stopwords_flag
from annotation_site.exports.annotation_records import AnnotationRecord, RecordPattern
from annotation_site.results.files.archive_annotations import SHOWS_PREFIXES, list_numbers
from annotation_site.results.files.archive_facts import PURPOSES

Ranks = list[tuple[int, ...]]
TOLERANCE = 1e-9
USES = ("study", "training", "reference", "pilot")
_SCORED = ("training", "reference")

NOT_CHECKED = {
    "labels: annotator, role, position": "who annotated, where no table or other record shows it",
    "labels: annotator_name": "user names",
    "labels: opened_at, submitted_at, version": "times and how often an annotation was submitted, "
    "but for their order and their sums",
    "labels: patterns.description, comment": "the words of annotators",
    "labels: patterns.ranks, patterns.category, patterns.stopwords": "of annotations that no table "
    "uses and of patterns too small to count, but for their sums",
    "labels/skips.csv: list, annotator, purpose, opened_at, skipped_at": "who skipped a list and "
    "when, and which list of a kind and layer it was",
    "labels/skips.csv: reason": "of skips that are not of an annotation",
    "labels/lists.csv: index, token_ids": "of lists that nobody has judged",
    "labels/prefixes.csv: prefix": "of lists that nobody has judged",
    "labels/proxies.csv: value": "of lists that nobody has judged",
    "labels/census.csv: title": "what proxies are called",
    "labels/tokens.csv: stopword, token, gloss": "which tokens are stop words, where the flags "
    "that were proposed do not show it, and the tokens of lists that nobody has judged",
    "labels/machines.csv": "the annotations of machine annotators; their tables are computed from "
    "them",
    "labels/machine_runs.csv: model, model_version, endpoint, guidelines_version, temperature, "
    "seed, covers, lists, failed": "what a language model was asked with; the lists and failures "
    "of a run are at least those in the archive",
    "labels/machine_runs.csv: requests, input_tokens, output_tokens, cost, currency": "what it "
    "spent",
    "labels/machine_failures.csv: failure": "why there is no reply that could be read",
    "machine_prompts": "the words of the prompts",
    "guidelines": "the words of the guidelines",
    "figures": "the figures are not drawn again, and they can be of an older version of the data",
    "parameters.json: study.slug, study.list_source, study.kinds, study.lists_per_layer, "
    "study.repeat_percent, study.show_glosses, study.gloss_rule, study.highlight_spellings, "
    "study.team_may_annotate, study.seed": "rules of the study on which no table depends",
    "parameters.json: study.several_patterns_per_token": "where no token is in several patterns",
    "parameters.json: tables.seed": "where no interval and no p-value depends on the draws",
    "parameters.json: tables.populations": "vectors of a layer, where no interval rests on "
    "them, but that they are at least its lists",
    "parameters.json: tables.keys": "keys that are never active or have a short list, but that the "
    "lists of the study fit them",
    "parameters.json: data_version, figures.data_version, figures.filters": "numbers of this "
    "site's data",
    "parameters.json: extractions.parameters, extractions.environment": "how the vectors were "
    "extracted",
    "restore": "what a site needs beside it to restore the study",
    "environment.json": "the versions of packages",
}
"""What no part of an archive follows from: where it stands, and what it is."""


class RecordChecks:
    """Compares records with lists, tokens and parameters; stores only reference annotations."""

    def __init__(
        self,
        lists: Iterable[Sequence[Any]],
        tokens: Iterable[Sequence[Any]] | None,
        parameters: Mapping[str, Any],
        prefixes: Iterable[Sequence[Any]] = (),
    ) -> None:
        """`tokens` are None, and rows of lists end before their tokens, in an archive of format 1.
        `prefixes` are rows of PREFIX_COLUMNS, of a study that shows them.

        Raises KeyError and TypeError for parameters that no archive holds.
        """
        rows = list(lists)
        self._numbers = list_numbers(rows)
        self._lists = {row[0]: row for row in rows}
        self._has_tokens = tokens is not None
        self._tokens = {(row[0], row[1]): tuple(row[2:]) for row in tokens or ()}
        self._study = parameters["study"]
        self._tables = parameters["tables"]
        self._with_names = parameters.get("with_names", True)
        self._extractions = {one["bundle_digest"]: one for one in parameters["extractions"]}
        self._references: dict[int, Ranks] = {}
        self._scores: list[tuple[int, int, Ranks, float | None]] = []
        self._places: set[tuple[str, str, int]] = set()
        self._had: set[tuple[str, str, int, str]] = set()
        self._names: dict[str, set[str | None]] = defaultdict(set)
        self._live: dict[int, int] = defaultdict(int)
        self._last: tuple[Any, ...] = ()
        self._found: list[str] = []
        self._number = 0
        self._shows_prefixes = self._study.get("list_source") == SHOWS_PREFIXES
        self._prefixes: dict[int, list[str]] = defaultdict(list)
        for number, rank, prefix in prefixes:
            self._prefixes[number].append(prefix or "")
            if rank != len(self._prefixes[number]):
                self._found.append(f"labels/prefixes.csv: ranks of list {number} are disordered")

    def watch(self, records: Iterable[AnnotationRecord]) -> Iterator[AnnotationRecord]:
        """Yield the records, comparing each."""
        for record in records:
            self._number += 1
            for what in self._differences(record):
                self._found.append(f"labels: record {self._number}: {what}")
            yield record

    def differences(self) -> Iterator[str]:
        """The differences, after the last record."""
        yield from self._found
        yield from self._of_lists()
        for number, item, ranks, stored in self._scores:
            yield from self._score(number, item, ranks, stored)
        for item, live in self._live.items():
            if live > self._study["annotators_per_list"]:
                yield f"labels: list {item} has more annotations than the study asks for"
        for annotator, names in self._names.items():
            if len(names) > 1:
                yield f"labels: annotator_name of {annotator} differs from record to record"

    def _differences(self, record: AnnotationRecord) -> Iterator[str]:
        item = self._numbers.get(record.list_key)
        if item is None:
            return  # `request_of` refuses it
        yield from self._of_list(record, self._lists[item])
        yield from self._of_person(record, item)
        if record.no_pattern != (not record.patterns):
            yield "no_pattern does not agree with its patterns"
        if record.opened_at and record.opened_at > record.submitted_at:
            yield "submitted_at is before opened_at"
        least = (("version", 1), ("position", 1), ("active_seconds", 0))
        yield from (f"{name} is too small" for name, low in least if getattr(record, name) < low)
        if record.made_up != self._study.get("made_up", False):
            yield "made_up differs from study.made_up in parameters.json"
        if record.looked_before and (record.purpose, record.list_use) != ("adjudication", "study"):
            yield "looked_before is true, and only adjudicated annotations of the study have it"
        if record.purpose not in PURPOSES:
            yield f"purpose {record.purpose!r:.40} is unknown"
        if record.surplus and record.purpose != "annotation":
            yield "surplus is true for something that is no annotation"
        yield from self._of_patterns(record)
        ranks = [pattern.ranks for pattern in record.patterns]
        if record.purpose == "adjudication":
            self._references[item] = ranks
        if record.purpose in _SCORED:
            self._scores.append((self._number, item, ranks, record.reference_score))
        elif record.reference_score is not None:
            yield "reference_score is given for something that is not scored"
        if record.purpose == "annotation" and not record.surplus:
            self._live[item] += 1

    def _of_lists(self) -> Iterator[str]:
        yield from self._of_strata()
        shown = set()
        for row in self._lists.values():
            number, digest, model, *_, length, use = row[:8]
            made = self._extractions.get(digest)
            if made is None or not model.startswith(str(made["model"])):
                yield f"labels/lists.csv: list {number} is of no extraction in parameters.json"
            if use not in USES:
                yield f"labels/lists.csv: the use of list {number} is unknown"
            if self._has_tokens:
                ids = _ids(row)
                shown |= {(digest, token) for token in ids}
                if len(ids) != (0 if self._shows_prefixes else length):
                    yield f"labels/lists.csv: list {number} has another number of tokens"
            if self._shows_prefixes and len(self._prefixes[number]) != length:
                yield f"labels/lists.csv: list {number} has another number of prefixes"
        if list(self._lists) != list(range(1, len(self._lists) + 1)):
            yield "labels/lists.csv: lists are not numbered 1, 2, 3 and so on"
        if self._has_tokens and shown != set(self._tokens):
            yield "labels/tokens.csv: other tokens than those of labels/lists.csv"

    def _of_strata(self) -> Iterator[str]:
        """Names of models against extractions, and sizes of layers against lists."""
        names = {(row[1], row[2]) for row in self._lists.values()}
        if len(names) > len({digest for digest, _ in names}):
            yield "labels/lists.csv: model differs between lists of one extraction"
        sizes = {tuple(one[:3]): one[3] for one in self._tables.get("populations", ())}
        held = Counter(tuple(row[2:5]) for row in self._lists.values() if row[3] == "value")
        for (model, kind, layer), size in sizes.items():
            if model not in {name for _, name in names} or kind != "value":
                yield "parameters.json: tables.populations names what the study has no lists of"
            elif size < held[model, kind, layer]:
                yield "parameters.json: tables.populations: a layer has fewer vectors than lists"
        yield from self._of_keys(names)
        if "populations" in self._tables and held.keys() - sizes.keys():
            yield "parameters.json: tables.populations lacks a layer of the lists"

    def _of_keys(self, names: set[tuple[str, str]]) -> Iterator[str]:
        """Keys of a layer against its lists: as many have a list, and as many a short one."""
        if not self._shows_prefixes:
            return
        where = "parameters.json: tables.keys"
        held = Counter(tuple(row[2:5]) for row in self._lists.values())
        short = Counter(tuple(row[2:5]) for row in self._lists.values() if row[6] < PREFIXES_SHOWN)
        known = set()
        for model, kind, layer, keys, never_active, few in self._tables.get("keys", ()):
            place = (model, kind, layer)
            known.add(place)
            if model not in {name for _, name in names}:
                yield f"{where} names a model that the study has no lists of"
            if min(keys, never_active, few) < 0 or held[place] > keys - never_active:
                yield f"{where}: a layer has more lists than keys that are active"
            elif not short[place] <= few <= keys - never_active - held[place] + short[place]:
                yield f"{where}: the short lists of a layer are not those of its keys"
        if held.keys() - known:
            yield f"{where} lacks a layer of the lists"

    def _of_list(self, record: AnnotationRecord, row: Sequence[Any]) -> Iterator[str]:
        digest, length, use = row[1], row[6], row[7]
        made = self._extractions.get(digest, {})
        expected = {
            "list_use": use,
            "model_revision": made.get("revision"),
            "weights_digest": made.get("weights_digest"),
            "model": made.get("model"),
        }
        for name, value in expected.items():
            if getattr(record, name) != value:
                yield f"{name} differs from the archive's list or extraction"
        if self._shows_prefixes:
            if record.prefixes != tuple(self._prefixes[row[0]]):
                yield "prefixes differ from labels/prefixes.csv"
        elif length != len(record.token_ids):
            yield "token_ids have another length than the list"
        if not self._has_tokens:
            return
        if record.token_ids != _ids(row):
            yield "token_ids differ from labels/lists.csv"
        for name, place in (("tokens", 0), ("glosses", 1)):
            told = tuple(
                self._tokens.get((digest, token), ("", "", 0))[place] or ""
                for token in record.token_ids
            )
            if getattr(record, name) != told:
                yield f"{name} differ from labels/tokens.csv"

    def _of_person(self, record: AnnotationRecord, item: int) -> Iterator[str]:
        person = (record.annotator, record.role)
        if record.role not in ("annotator", "researcher"):
            yield f"role {record.role!r:.40} is unknown"
        if (*person, record.position) in self._places:
            yield "position is taken by another record of the same person"
        self._places.add((*person, record.position))
        if (*person, item, record.purpose) in self._had:
            yield "a person has annotated the same list twice for one purpose"
        self._had.add((*person, item, record.purpose))
        if not self._with_names and record.annotator_name is not None:
            yield "annotator_name is given in an archive without names"
        self._names[record.annotator].add(record.annotator_name)
        order = (*record.list_key, record.annotator, record.purpose, record.role)
        if self._last and order <= self._last:
            yield "the record is out of order"
        self._last = order

    def _of_patterns(self, record: AnnotationRecord) -> Iterator[str]:
        members = [rank for pattern in record.patterns for rank in pattern.ranks]
        if not self._study["several_patterns_per_token"] and len(set(members)) < len(members):
            yield "patterns.ranks: a token is in several patterns, which the study does not allow"
        for number, pattern in enumerate(record.patterns, start=1):
            yield from self._of_pattern(record, number, pattern)

    def _of_pattern(
        self, record: AnnotationRecord, number: int, pattern: RecordPattern
    ) -> Iterator[str]:
        if pattern.number != number:
            yield "patterns.number does not count from 1"
        if pattern.category not in self._study["categories"]:
            yield "patterns.category is none of the study's"
        ranks = pattern.ranks
        if not ranks or list(ranks) != sorted(set(ranks)):
            yield "patterns.ranks are not in order, or none"
        elif ranks[0] < 1 or ranks[-1] > record.length:
            yield "patterns.ranks lie outside of the list"
        elif self._shows_prefixes:
            if pattern.stopwords or pattern.stopwords_proposed:
                yield "patterns.stopwords is true, and patterns of prefixes have no such flag"
        elif self._has_tokens:
            ids = [record.token_ids[rank - 1] for rank in ranks]
            flags = [self._tokens.get((record.bundle_digest, one), ("", "", 0))[2] for one in ids]
            if pattern.stopwords_proposed != propose_stopwords_flag([bool(f) for f in flags]):
                yield "patterns.stopwords_proposed does not follow from the tokens"

    def _score(self, number: int, item: int, ranks: Ranks, stored: float | None) -> Iterator[str]:
        reference = self._references.get(item)
        gives = None
        if reference is not None:
            gives = reference_score(
                ranks,
                reference,
                length=self._lists[item][6],
                min_tokens=self._study["min_tokens"],
            )
        if (stored is None) != (gives is None) or (
            stored is not None and gives is not None and abs(stored - gives) > TOLERANCE
        ):
            yield (
                f"labels: record {number}: reference_score is {stored}, the reference annotation "
                f"gives {gives}"
            )


def _ids(row: Sequence[Any]) -> tuple[int, ...]:
    return tuple(int(one) for one in str(row[8]).split())
