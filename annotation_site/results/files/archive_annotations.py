"""The tables' input from the files of a replication archive alone.

The worker that writes an archive and `python -m annotation_site.verify` both call this. It knows
no database, so that a reader can check a paper's numbers without one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from annotation_site.analysis.annotation_frames import FRAME_COLUMNS, AnnotationFrames, typed_frame
from annotation_site.analysis.estimates.proxies import Proxies
from annotation_site.analysis.intervals import RESAMPLES, SEED
from annotation_site.analysis.missing import MISSING_COLUMNS
from annotation_site.analysis.prefix_shares import KEY_COLUMNS
from annotation_site.analysis.strata import NOTHING_KNOWN, STRATA, Populations
from annotation_site.exports.annotation_records import AnnotationRecord, LabelsFileError
from annotation_site.exports.table import Column
from annotation_site.results.tables.request import FAILURE_COLUMNS, FINAL, TableRequest

LIST_COLUMNS = (
    Column("list", "number"),
    Column("bundle_digest", "text"),
    Column("model", "text"),
    Column("kind", "text"),
    Column("layer", "number"),
    Column("index", "number"),
    Column("length", "number"),
    Column("use", "text"),
    Column("token_ids", "text"),
)
"""The lists of a study, in the order in which they were drawn; also those nobody has judged."""

TOKEN_COLUMNS = (
    Column("bundle_digest", "text"),
    Column("token_id", "number"),
    Column("token", "text"),
    Column("gloss", "text"),
    Column("stopword", "number"),
)
"""The tokens of all lists as people saw them; `stopword` is 1 for those from which the flag of a
pattern is proposed."""

PREFIX_COLUMNS = (Column("list", "number"), Column("rank", "number"), Column("prefix", "text"))
"""The trigger prefixes of all lists, only of a study that shows them; its lists have no tokens."""

SHOWS_PREFIXES = "trigger_prefixes"
"""`study.list_source` in parameters.json, of a study whose lists are trigger prefixes."""

MACHINE_COLUMNS = (
    Column("annotator", "text"),
    Column("list", "number"),
    Column("pattern", "number"),
    Column("rank", "number"),
    Column("category", "text"),
    Column("stopwords", "number"),
    Column("description", "text"),
)
"""A row per token of a pattern of a machine annotator; one without pattern, rank and category where
it has none for a list. `stopwords` is 1 for a pattern that is flagged. Language models describe
patterns, programs do not. Earlier archives lack the last two columns."""

LATER_MACHINE_COLUMNS = 2
"""The columns of `MACHINE_COLUMNS` that earlier archives lack."""

SKIP_COLUMNS = (
    Column("list", "number"),
    Column("annotator", "text"),
    Column("purpose", "text"),
    Column("state", "text"),
    Column("opened_at", "text"),
    Column("skipped_at", "text"),
    Column("reason", "text"),
)
"""A row per list that a person skipped, or opened and did not submit. Of somebody whose annotations
were removed, the list and the state alone."""

RESTORE_MEMBERS = tuple(
    f"restore/{name}"
    for name in ("study.json", "tokens.jsonl", "vectors.jsonl", "assignments.jsonl")
)
"""Members from which a site restores the study; no table depends on them."""

PREFIXES_MEMBER = "restore/prefixes.jsonl"
"""One more of a study of trigger prefixes."""

ListKey = tuple[str, str, int, int]

MOST_RESAMPLES = 100_000  # a file that asks for more is none of ours


@dataclass(frozen=True)
class TableSettings:
    """The tables' settings besides the annotations; `populations` as in `TableRequest`.

    Archives of the measures' versions up to 3 name no sizes: instead, `whole` has model and kind
    of the vectors that were all taken.

    `keys`, rows of `KEY_COLUMNS`, are there if lists are trigger prefixes, and None otherwise.
    """

    categories: tuple[str, ...]
    min_tokens: int
    populations: Populations = NOTHING_KNOWN
    resamples: int = RESAMPLES
    seed: int = SEED
    whole: frozenset[tuple[str, str]] = frozenset()
    keys: tuple[tuple[Any, ...], ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON for `of_json`."""
        sizes = self.populations.sizes
        return {
            "categories": list(self.categories),
            "min_tokens": self.min_tokens,
            "populations": [[*where, sizes[where]] for where in sorted(sizes)],
            "chosen": sorted(list(one) for one in self.populations.chosen),
            "resamples": self.resamples,
            "seed": self.seed,
            **({} if self.keys is None else {"keys": [list(row) for row in self.keys]}),
        }

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> "TableSettings":
        """Read the JSON of `to_json`. Raises KeyError, TypeError or ValueError."""
        populations, whole = NOTHING_KNOWN, frozenset[tuple[str, str]]()
        if "populations" in values:
            sizes = {(str(m), str(k), int(x)): int(n) for m, k, x, n in values["populations"]}
            populations = Populations(sizes, _pairs(values["chosen"]))
        else:
            whole = _pairs(values["whole"])
        choices = cls(
            tuple(str(name) for name in values["categories"]),
            int(values["min_tokens"]),
            populations,
            int(values["resamples"]),
            int(values["seed"]),
            whole,
            _key_rows(values["keys"]) if "keys" in values else None,
        )
        if not 0 < choices.resamples <= MOST_RESAMPLES:
            raise ValueError(f"{choices.resamples} resamples are not drawn.")
        return choices

    def populations_of(self, lists: pd.DataFrame) -> Populations:
        """Populations that these lists were drawn from; those in `whole` were taken whole."""
        if not self.whole:
            return self.populations
        sizes: dict[tuple[str, str, int], int] = {}
        for model, kind, layer in lists[list(STRATA)].itertuples(index=False, name=None):
            if (model, kind) in self.whole:
                sizes[model, kind, layer] = sizes.get((model, kind, layer), 0) + 1
        return Populations(sizes)


def _key_rows(values: Iterable[Sequence[Any]]) -> tuple[tuple[Any, ...], ...]:
    found = tuple(
        (str(model), str(kind), int(layer), int(keys), int(never), int(short))
        for model, kind, layer, keys, never, short in values
    )
    if len({row[:3] for row in found}) < len(found):
        raise ValueError("A layer's keys are counted twice.")
    return found


def _pairs(values: Iterable[Sequence[Any]]) -> frozenset[tuple[str, str]]:
    return frozenset((str(model), str(kind)) for model, kind in values)


def request_of(
    lists: Iterable[Sequence[Any]],
    machines: Iterable[Sequence[Any]],
    records: Iterable[AnnotationRecord],
    choices: TableSettings,
    *,
    failures: Iterable[Sequence[Any]] = (),
    skips: Iterable[Sequence[Any]] = (),
    slots: int | None = None,
    several_patterns: bool = False,
    crowd: bool = False,
    proxies: Proxies | None = None,
) -> TableRequest:
    """Make the input of `TABLES` from rows of `LIST_COLUMNS` and `MACHINE_COLUMNS` and the records.

    `failures` are rows of `archive_machines.FAILURE_COLUMNS`, `skips` of `SKIP_COLUMNS`, `slots`
    the annotators per list; `several_patterns` says whether an entry can be in several patterns,
    `crowd` whether people joined by an open link; `proxies` name lists by their numbers.

    Counted are annotations that are neither surplus nor unblinded (docs/measures.md). Raises
    LabelsFileError for a record, and ValueError for a machine's answer, of a list that is not among
    `lists`.
    """
    rows = list(lists)
    numbers = list_numbers(rows)
    frame, of_pilot = _lists_for(rows, "study"), _lists_for(rows, "pilot")
    own, piloted = set(frame["list_id"]), set(of_pilot["list_id"])
    counted, repeats, final, pilot = _Rows(), _Rows(), _Rows(), _Rows()
    times, scores = [], []
    missing = [
        (list_id, annotator or "", state, reason or "")
        for list_id, annotator, purpose, state, _, _, reason in skips
        if purpose == "annotation" and list_id in own
    ]
    for number, record in enumerate(records, start=1):
        list_id = numbers.get(record.list_key)
        if list_id is None:
            raise LabelsFileError(f"Record {number} is of a list that the study does not have.")
        if record.purpose in ("training", "reference") and not record.unblinded:
            scores.append((record.annotator, record.purpose, list_id, record.reference_score))
        if list_id in piloted and record.purpose == "pilot" and not record.unblinded:
            pilot.add(number, list_id, record, record.annotator)
        if list_id not in own:
            continue
        if record.purpose == "adjudication":
            final.add(number, list_id, record, FINAL)
        elif record.purpose == "repeat" and not record.unblinded:
            repeats.add(number, list_id, record, record.annotator)
        elif record.purpose == "annotation" and not (record.surplus or record.unblinded):
            counted.add(number, list_id, record, record.annotator)
            times.append((record.submitted_at, number, record.annotator, record.active_seconds))
        elif record.purpose == "annotation" and not record.surplus:
            missing.append((list_id, record.annotator, "unblinded", ""))
    return TableRequest(
        counted.labels(frame),
        list(choices.categories),
        choices.min_tokens,
        resamples=choices.resamples,
        seed=choices.seed,
        final=final.instead_of(counted, frame) if final.annotations else None,
        repeats=repeats.labels(frame),
        machines=_machines(machines, frame),
        machine_failures=typed_frame([row[:2] for row in failures], FAILURE_COLUMNS),
        crowd=crowd,
        times=typed_frame(
            [one[1:] for one in sorted(times)],
            {"annotation_id": int, "annotator": str, "active_seconds": int},
        ),
        scores=typed_frame(
            scores, {"annotator": str, "purpose": str, "list_id": int, "score": float}
        ),
        populations=choices.populations_of(frame),
        missing=typed_frame(missing, MISSING_COLUMNS),
        slots=slots,
        keys=None if choices.keys is None else typed_frame(choices.keys, KEY_COLUMNS),
        several_patterns=several_patterns,
        proxies=proxies,
        pilot=pilot.labels(of_pilot),
    )


def _lists_for(rows: Iterable[Sequence[Any]], wanted: str) -> pd.DataFrame:
    """The lists of one use."""
    return typed_frame(
        [
            (n, model, kind, layer, length)
            for n, _, model, kind, layer, _, length, use, *_ in rows
            if use == wanted
        ],
        {"list_id": int, "model": str, "kind": str, "layer": int, "length": int},
    )


def list_numbers(rows: Iterable[Sequence[Any]]) -> dict[ListKey, int]:
    """The number of each list by its key in any database."""
    return {(digest, kind, layer, index): n for n, digest, _, kind, layer, index, *_ in rows}


def machine_rows(machines: AnnotationFrames) -> Iterator[tuple[Any, ...]]:
    """Rows of `MACHINE_COLUMNS` without descriptions, by annotator and list as they are given."""
    columns = ["pattern", "rank", "category", "stopwords"]
    members = {
        key: list(rows[columns].itertuples(index=False, name=None))
        for key, rows in machines.members.groupby("annotation_id")
    }
    for key, list_id, name in machines.annotations[
        ["annotation_id", "list_id", "annotator"]
    ].itertuples(index=False, name=None):
        for pattern, rank, category, flag in members.get(key, [(None,) * 4]):
            yield name, list_id, pattern, rank, category, None if flag is None else int(flag)


def _machines(rows: Iterable[Sequence[Any]], lists: pd.DataFrame) -> AnnotationFrames:
    found = _Rows()
    numbers: dict[tuple[str, int], int] = {}
    for name, list_id, pattern, rank, category, stopwords, *_ in rows:
        # People's answers have positive numbers.
        number = numbers.setdefault((name, list_id), -1 - len(numbers))
        if number == -len(numbers) and len(found.annotations) < len(numbers):
            found.annotations.append((number, list_id, name))
        if pattern is not None:
            found.members.append((number, pattern, rank, category, bool(stopwords)))
    return found.labels(lists)


class _Rows:
    """Annotations and members, record by record."""

    def __init__(self) -> None:
        self.annotations: list[tuple[int, int, str]] = []
        self.members: list[tuple[int, int, int, str, bool]] = []

    def add(self, number: int, list_id: int, record: AnnotationRecord, annotator: str) -> None:
        self.annotations.append((number, list_id, annotator))
        self.members += [
            (number, pattern.number, rank, pattern.category, pattern.stopwords)
            for pattern in record.patterns
            for rank in pattern.ranks
        ]

    def labels(self, lists: pd.DataFrame) -> AnnotationFrames:
        annotations = dict(zip(FRAME_COLUMNS["annotations"], (int, int, str), strict=True))
        members = dict(zip(FRAME_COLUMNS["members"], (int, int, int, str, bool), strict=True))
        return AnnotationFrames(
            lists, typed_frame(self.annotations, annotations), typed_frame(self.members, members)
        )

    def instead_of(self, others: "_Rows", lists: pd.DataFrame) -> AnnotationFrames:
        """These answers, and the others' to lists that have none here."""
        here = {list_id for _, list_id, _ in self.annotations}
        kept = {number for number, list_id, _ in others.annotations if list_id not in here}
        both = _Rows()
        both.annotations = self.annotations + [a for a in others.annotations if a[0] in kept]
        both.members = self.members + [m for m in others.members if m[0] in kept]
        return both.labels(lists)
