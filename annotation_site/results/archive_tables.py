"""The tables of a replication archive, computed from the labels in it and nothing else.

The worker that writes an archive and `python -m annotation_site.verify` both call this. It knows
no database, so that a reader can check a paper's numbers without one.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from annotation_site.analysis.agreement.lists import retest_table
from annotation_site.analysis.agreement.tables import (
    Agreement,
    agreement_table,
    agreement_tables,
    measure_agreement,
)
from annotation_site.analysis.comparisons import kind_comparison
from annotation_site.analysis.coverage import coverage_table, list_coverage
from annotation_site.analysis.intervals import RESAMPLES, SEED, mean_intervals
from annotation_site.analysis.labels import LABEL_COLUMNS, Labels
from annotation_site.exports.labels import LabelFileError, LabelRecord
from annotation_site.exports.table import Column, Table, table_from_frame

LIST_COLUMNS = (
    Column("list", "number"),
    Column("bundle_digest", "text"),
    Column("model", "text"),
    Column("kind", "text"),
    Column("layer", "number"),
    Column("index", "number"),
    Column("length", "number"),
    Column("use", "text"),
)
"""The lists of a study, in the order in which they were drawn; also those nobody has judged."""

FINAL = "adjudicated"
MOST_RESAMPLES = 100_000  # a file that asks for more is none of ours
Grouping = tuple[str, ...]
GROUPINGS: tuple[Grouping, ...] = (
    (),
    ("model", "kind"),
    ("model", "kind", "layer"),
    ("category",),
)


@dataclass(frozen=True)
class Choices:
    """What the tables depend on besides the labels."""

    categories: tuple[str, ...]
    min_tokens: int
    resamples: int = RESAMPLES
    seed: int = SEED

    def to_json(self) -> dict[str, Any]:
        """As `of_json` reads it."""
        return {**vars(self), "categories": list(self.categories)}

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> "Choices":
        """Raises KeyError, TypeError or ValueError for what `to_json` did not write."""
        choices = cls(
            tuple(str(name) for name in values["categories"]),
            int(values["min_tokens"]),
            int(values["resamples"]),
            int(values["seed"]),
        )
        if not 0 < choices.resamples <= MOST_RESAMPLES:
            raise ValueError(f"{choices.resamples} resamples are not drawn.")
        return choices


@dataclass(frozen=True, eq=False)
class Answers:
    """Labels by what they are for."""

    counted: Labels
    repeats: Labels
    adjudicated: Labels  # a list's final answer in place of its annotators'


def answers_of(lists: Iterable[Sequence[Any]], records: Iterable[LabelRecord]) -> Answers:
    """Frames of the lists (rows of `LIST_COLUMNS`) and of the records.

    Counted are annotations that are neither surplus nor unblinded (docs/measures.md). Raises
    LabelFileError for a record of a list that is not among `lists`.
    """
    rows = list(lists)
    names = _model_names(rows)
    numbers = {(digest, kind, layer, index): n for n, digest, _, kind, layer, index, *_ in rows}
    frame = pd.DataFrame(
        [
            (n, names[digest], kind, layer, length)
            for n, digest, _, kind, layer, _, length, use in rows
            if use == "study"
        ],
        columns=list(LABEL_COLUMNS["lists"]),
    ).astype({"list_id": "int64", "layer": "int64", "length": "int64"})
    counted, repeats, final = _Rows(), _Rows(), _Rows()
    own = set(frame["list_id"])
    for number, record in enumerate(records, start=1):
        list_id = numbers.get(record.list_key)
        if list_id is None:
            raise LabelFileError(f"Record {number} is of a list that the study does not have.")
        if list_id not in own:
            continue
        if record.purpose == "adjudication":
            final.add(number, list_id, record, FINAL)
        elif not record.surplus and not record.unblinded:
            if record.purpose == "annotation":
                counted.add(number, list_id, record, record.annotator)
            elif record.purpose == "repeat":
                repeats.add(number, list_id, record, record.annotator)
    return Answers(counted.labels(frame), repeats.labels(frame), final.instead_of(counted, frame))


class _Rows:
    """Annotations and members, record by record."""

    def __init__(self) -> None:
        self.annotations: list[tuple[int, int, str]] = []
        self.members: list[tuple[int, int, int, str, bool]] = []

    def add(self, number: int, list_id: int, record: LabelRecord, annotator: str) -> None:
        self.annotations.append((number, list_id, annotator))
        self.members += [
            (number, pattern.number, rank, pattern.category, pattern.stopwords)
            for pattern in record.patterns
            for rank in pattern.ranks
        ]

    def labels(self, lists: pd.DataFrame) -> Labels:
        annotations = pd.DataFrame(self.annotations, columns=list(LABEL_COLUMNS["annotations"]))
        members = pd.DataFrame(self.members, columns=list(LABEL_COLUMNS["members"]))
        return Labels(
            lists,
            annotations.astype({"annotation_id": "int64", "list_id": "int64", "annotator": str}),
            members.astype(
                {
                    "annotation_id": "int64",
                    "pattern": "int64",
                    "rank": "int64",
                    "category": str,
                    "stopwords": bool,
                }
            ),
        )

    def instead_of(self, others: "_Rows", lists: pd.DataFrame) -> Labels:
        """These answers, and the others' to lists that have none here."""
        here = {list_id for _, list_id, _ in self.annotations}
        kept = {number for number, list_id, _ in others.annotations if list_id not in here}
        both = _Rows()
        both.annotations = self.annotations + [a for a in others.annotations if a[0] in kept]
        both.members = self.members + [m for m in others.members if m[0] in kept]
        return both.labels(lists)


def _model_names(lists: Sequence[Sequence[Any]]) -> dict[str, str]:
    """What tables call each bundle: its model, told apart by the digest where two share a name."""
    model = {digest: name for _, digest, name, *_ in lists}
    often = Counter(model.values())
    return {
        digest: name if often[name] == 1 else f"{name} ({digest.rpartition(':')[2][:8]})"
        for digest, name in model.items()
    }


class Computation:
    """What several tables share, computed once."""

    def __init__(self, answers: Answers, choices: Choices) -> None:
        self.answers = answers
        self.choices = choices

    @cached_property
    def lists(self) -> pd.DataFrame:
        """Coverage of each list."""
        return list_coverage(
            self.answers.counted,
            min_tokens=self.choices.min_tokens,
            categories=self.choices.categories,
        )

    @cached_property
    def measured(self) -> Agreement:
        """The answers that count, ready for tables of agreement."""
        return measure_agreement(
            self.answers.counted,
            min_tokens=self.choices.min_tokens,
            categories=self.choices.categories,
        )

    @cached_property
    def agreement(self) -> dict[Grouping, pd.DataFrame]:
        """Tables of agreement with intervals, all from the same draws of lists."""
        tables = agreement_tables(
            self.measured,
            by=GROUPINGS,
            resamples=self.choices.resamples,
            seed=self.choices.seed,
        )
        return dict(zip(GROUPINGS, tables, strict=True))

    def coverage(self, labels: Labels) -> pd.DataFrame:
        """Coverage by kind over all layers, whose layer is missing, then by kind and layer."""
        options: dict[str, Any] = {
            "min_tokens": self.choices.min_tokens,
            "categories": self.choices.categories,
        }
        by_kind = coverage_table(labels, by=("model", "kind"), **options)
        by_layer = coverage_table(labels, by=("model", "kind", "layer"), **options)
        return _over_and_by_layer(by_kind, by_layer)

    def coverage_intervals(self) -> pd.DataFrame:
        """Means of coverage with their 95% intervals, by kind and by kind and layer."""
        choices = self.choices
        columns = ["coverage", "coverage_with_stopwords", *choices.categories, "concepts_per_list"]
        options: dict[str, Any] = {"resamples": choices.resamples, "seed": choices.seed}
        by_kind = mean_intervals(self.lists, columns=columns, by=("model", "kind"), **options)
        by_layer = mean_intervals(
            self.lists, columns=columns, by=("model", "kind", "layer"), **options
        )
        return _over_and_by_layer(by_kind, by_layer)

    def real_against_random(self) -> pd.DataFrame:
        """The difference of value and random vectors in coverage, over all layers and in each."""
        return kind_comparison(
            self.lists,
            column="coverage",
            resamples=self.choices.resamples,
            permutations=self.choices.resamples,
            seed=self.choices.seed,
        )

    def retest(self) -> pd.DataFrame:
        """People's agreement with themselves, where lists were shown to them twice."""
        answers = self.answers
        return retest_table(answers.counted, answers.repeats, min_tokens=self.choices.min_tokens)


ARCHIVE_TABLES: Mapping[str, Callable[[Computation], pd.DataFrame]] = {
    "coverage": lambda c: c.coverage(c.answers.counted),
    "coverage_intervals": Computation.coverage_intervals,
    "coverage_adjudicated": lambda c: c.coverage(c.answers.adjudicated),
    "real_against_random": Computation.real_against_random,
    "agreement": lambda c: c.agreement[()],
    "agreement_by_kind": lambda c: c.agreement["model", "kind"],
    "agreement_by_layer": lambda c: c.agreement["model", "kind", "layer"],
    "agreement_by_category": lambda c: c.agreement["category",],
    "agreement_by_pair": lambda c: agreement_table(c.measured.by_pair(), by=("first", "second")),
    "test_retest": Computation.retest,
}
"""The tables of an archive by name, described in docs/exports.md."""


def tables_of(answers: Answers, choices: Choices) -> dict[str, Table]:
    """Every table of the archive, its rows in a list."""
    computation = Computation(answers, choices)
    tables = {}
    for name, compute in ARCHIVE_TABLES.items():
        table = table_from_frame(name, compute(computation))
        tables[name] = Table(name, table.columns, list(table.rows))
    return tables


def _over_and_by_layer(by_kind: pd.DataFrame, by_layer: pd.DataFrame) -> pd.DataFrame:
    by_kind.insert(2, "layer", pd.Series(pd.NA, index=by_kind.index, dtype="Int64"))
    by_layer["layer"] = by_layer["layer"].astype("Int64")
    return pd.concat([by_kind, by_layer], ignore_index=True)
