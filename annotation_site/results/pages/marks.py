"""Annotations of a list side by side: a column of marks each, and the patterns on cards."""

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Prefetch, QuerySet

from annotation_site.analysis.side_by_side import (
    Key,
    MarkedPattern,
    most_alike,
    pattern_groups,
)
from annotation_site.annotation.lists.entries import ListEntry
from annotation_site.annotation.models import Assignment, Item, Pattern, PatternMember

State = Assignment.State
Purpose = Assignment.Purpose
FINAL = "✓"
BAR = 46  # pixels of the longest score
SHAPES = 9


@dataclass(frozen=True)
class Mark:
    """The mark of a pattern: its group's number; hollow where it is too small to count."""

    number: int
    counts: bool
    description: str

    @property
    def shape(self) -> int:
        """The colour and shape of the number, which repeat."""
        return (self.number - 1) % SHAPES + 1


@dataclass(frozen=True)
class ShownPattern:
    """A pattern on somebody's card."""

    mark: Mark
    description: str
    category: str
    stopwords: bool
    ranks: list[int]

    @property
    def size(self) -> int:
        """Number of entries."""
        return len(self.ranks)


@dataclass(frozen=True)
class Version:
    """An earlier submission or skip of somebody's."""

    number: int
    at: datetime.datetime
    skip_reason: str
    patterns: list[dict[str, Any]]  # number, description, category and entries
    comment: str


@dataclass(frozen=True)
class Column:
    """Somebody's annotation, repeat or skip of the list, or its adjudicated annotation."""

    letter: str
    name: str
    code: str
    state: str  # "counted", "surplus", "unblinded", "repeat", "skipped" or "adjudicated"
    at: datetime.datetime | None
    active_seconds: int
    comment: str
    skip_reason: str
    looked_before: bool
    patterns: list[ShownPattern] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)

    @property
    def is_skipped(self) -> bool:
        return self.state == "skipped"

    @property
    def counts(self) -> bool:
        return self.state == "counted"


@dataclass(frozen=True)
class Entry:
    """One line of the list. `marks` are those of each column; `alike` of `people` say the same.

    `as_rank` is the rank of the first entry with the same gloss, where it stands there; `url` the
    address of its token's page, where the reader has one.
    """

    token: ListEntry
    score: float | None
    width: int
    marks: list[list[Mark] | None]  # None: skipped
    alike: int = 0
    people: int = 0
    as_rank: int | None = None
    url: str = ""

    @property
    def differs(self) -> bool:
        """Whether people whose annotations count differ on it."""
        return self.alike < self.people


@dataclass(frozen=True)
class SideBySide:
    """The columns of several annotations of one list. Matched patterns have one number.

    `marked` are all patterns, `marks` their marks, both by the column's letter and the pattern's
    own number; `legend` has a mark of each number.
    """

    columns: list[Column] = field(default_factory=list)
    marked: dict[Key, MarkedPattern] = field(default_factory=dict)
    marks: dict[Key, Mark] = field(default_factory=dict)
    legend: list[Mark] = field(default_factory=list)


def annotations_of(items: Iterable[Item]) -> QuerySet[Assignment]:
    """All assignments of some lists with people and patterns, in three queries."""
    members = PatternMember.objects.order_by("rank")
    patterns = Pattern.objects.order_by("number").prefetch_related(
        Prefetch("members", queryset=members)
    )
    return (
        Assignment.objects.filter(item__in=list(items))
        .select_related("membership__user")
        .defer("draft")
        .prefetch_related(Prefetch("patterns", queryset=patterns))
        .order_by("pk")
    )


def state_of(row: Assignment) -> str:
    """The state of the column that an assignment has, as in `Column`; empty if it has none."""
    if row.purpose == Purpose.ADJUDICATION:
        return "adjudicated"
    if row.state == State.SKIPPED:
        return "skipped" if row.purpose == Purpose.ANNOTATION else ""
    if row.state != State.SUBMITTED:
        return ""
    if row.purpose == Purpose.REPEAT:
        return "repeat"
    return "unblinded" if row.unblinded else "surplus" if row.surplus else "counted"


def side_by_side(
    named: Sequence[tuple[str, Assignment]],
    *,
    least: Callable[[Assignment], int],
    who: Callable[[Assignment], tuple[str, str]],
    versions: Mapping[int, list[Version]] | None = None,
) -> SideBySide:
    """Put annotations of one list side by side.

    `named` are assignments of `annotations_of` by the letters of their columns. `least` is the
    number of entries from which a pattern of an assignment counts, `who` are the name and the code
    that its column has, and `versions` its earlier ones by its pk.
    """
    patterns: dict[Key, tuple[Pattern, list[int]]] = {}
    counts: dict[Key, bool] = {}
    for letter, row in named:
        for pattern in row.patterns.all() if row.state == State.SUBMITTED else ():
            ranks = [m.rank for m in pattern.members.all()]
            patterns[letter, pattern.number] = (pattern, ranks)
            counts[letter, pattern.number] = len(ranks) >= least(row)
    marked = {
        key: MarkedPattern(tuple(ranks), pattern.category)
        for key, (pattern, ranks) in patterns.items()
    }
    groups = pattern_groups(marked)
    number = {key: n for n, group in enumerate(groups, start=1) for key in group}
    marks = {
        key: Mark(number[key], counts[key], pattern.description)
        for key, (pattern, _) in patterns.items()
    }
    columns = []
    for letter, row in named:
        name, code = who(row)
        own = [
            ShownPattern(
                marks[key], pattern.description, pattern.category, pattern.stopwords, ranks
            )
            for key, (pattern, ranks) in patterns.items()
            if key[0] == letter
        ]
        columns.append(
            Column(
                letter=letter,
                name=name,
                code=code,
                state=state_of(row),
                at=row.submitted_at,
                active_seconds=row.active_seconds,
                comment=row.comment if row.state == State.SUBMITTED else "",
                skip_reason=row.skip_reason if row.state == State.SKIPPED else "",
                looked_before=row.looked_before,
                patterns=own,
                versions=(versions or {}).get(row.pk, []),
            )
        )
    legend = [_first_described([marks[key] for key in group]) for group in groups]
    return SideBySide(columns, marked, marks, legend)


def entries_marked(
    tokens: Sequence[ListEntry],
    scores: Sequence[float] | None,
    largest: float,
    side: SideBySide,
) -> list[Entry]:
    """The lines of a list. `largest` is the absolute score whose bar is the longest."""
    at: dict[tuple[str, int], list[Mark]] = {}
    for key, pattern in side.marked.items():
        for rank in pattern.ranks:
            at.setdefault((key[0], rank), []).append(side.marks[key])
    entries = []
    for token in tokens:
        score = scores[token.rank - 1] if scores else None
        said = [
            frozenset(mark.number for mark in at.get((c.letter, token.rank), ()) if mark.counts)
            for c in side.columns
            if c.counts
        ]
        marks = [None if c.is_skipped else at.get((c.letter, token.rank), []) for c in side.columns]
        entries.append(
            Entry(
                token=token,
                score=score,
                width=round(BAR * abs(score) / largest) if score is not None and largest else 0,
                marks=marks,
                alike=most_alike(said),
                people=len(said),
            )
        )
    return entries


def _first_described(marks: Sequence[Mark]) -> Mark:
    return next((mark for mark in marks if mark.description), marks[0])
