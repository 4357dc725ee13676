"""A study as its exported files have it: lists.csv and labels.jsonl, read as plain records."""

import csv
import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property


@dataclass(frozen=True)
class Shown:
    """A list."""

    number: int
    model: str
    kind: str
    layer: int
    length: int
    use: str


@dataclass(frozen=True)
class Found:
    """A pattern of an answer."""

    number: int
    ranks: frozenset[int]
    category: str
    flagged: bool


@dataclass(frozen=True)
class Said:
    """An answer."""

    shown: Shown
    who: str
    purpose: str
    patterns: tuple[Found, ...]
    seconds: int
    at: datetime
    surplus: bool
    unblinded: bool

    def qualifying(self, least: int, category: str | None = None) -> tuple[Found, ...]:
        """Patterns of enough members; of one category where it is named."""
        return tuple(
            one
            for one in self.patterns
            if len(one.ranks) >= least and category in (None, one.category)
        )


@dataclass(frozen=True)
class Choice:
    """What a filter takes: see `annotation_site.results.tables.filters`."""

    min_tokens: int
    kinds: Collection[str] | None = None
    layers: Collection[int] | None = None
    categories: Collection[str] | None = None
    people: Collection[str] | None = None
    adjudicated: str = "off"


@dataclass(frozen=True)
class Study:
    """Lists and answers that enter the tables under a choice."""

    lists: tuple[Shown, ...]
    answers: tuple[Said, ...]  # all of them, whatever for
    categories: tuple[str, ...]
    choice: Choice
    populations: dict[tuple[str, str, int], int] = field(default_factory=dict)

    @cached_property
    def own(self) -> list[Shown]:
        """The study's own lists that the choice takes, in their order."""
        choice = self.choice
        final = {one.shown.number for one in self.answers if one.purpose == "adjudication"}
        return [
            one
            for one in self.lists
            if one.use == "study"
            and (choice.kinds is None or one.kind in choice.kinds)
            and (choice.layers is None or one.layer in choice.layers)
            and (choice.adjudicated != "only" or one.number in final)
        ]

    def of(self, purpose: str, *, people: bool = True) -> list[Said]:
        """Answers of one purpose to own lists, by people who were blind, within the choice."""
        inside = {one.number for one in self.own}
        chosen = self.choice.people if people else None
        return [
            self._in_categories(one)
            for one in self.answers
            if one.purpose == purpose
            and one.shown.number in inside
            and (purpose == "adjudication" or not one.unblinded)
            and (chosen is None or one.who in chosen)
        ]

    @cached_property
    def counted(self) -> list[Said]:
        """What tables rest on."""
        return [one for one in self.of("annotation") if not one.surplus]

    @cached_property
    def with_final(self) -> list[Said]:
        """The same, a list's final answer in place of its people's where it has one."""
        final = self.of("adjudication", people=False)
        there = {one.shown.number for one in final}
        return [one for one in self.counted if one.shown.number not in there] + final

    @cached_property
    def covering(self) -> list[Said]:
        """What coverage rests on."""
        return self.counted if self.choice.adjudicated == "off" else self.with_final

    @cached_property
    def by_list(self) -> dict[int, list[Said]]:
        """Counted answers of each list."""
        found: dict[int, list[Said]] = defaultdict(list)
        for one in self.counted:
            found[one.shown.number].append(one)
        return found

    def _in_categories(self, one: Said) -> Said:
        if self.choice.categories is None:
            return one
        kept = tuple(p for p in one.patterns if p.category in self.choice.categories)
        return Said(**{**vars(one), "patterns": kept})


def read(
    lists: str,
    labels: Iterable[str],
    *,
    categories: Iterable[str],
    populations: dict[tuple[str, str, int], int],
    choice: Choice,
) -> Study:
    """From the text of lists.csv and the lines of labels.jsonl."""
    shown = {}
    for row in csv.DictReader(lists.splitlines()):
        where = (row["bundle_digest"], row["kind"], int(row["layer"]), int(row["index"]))
        shown[where] = Shown(
            int(row["list"]), row["model"], row["kind"], where[2], int(row["length"]), row["use"]
        )
    answers = []
    for line in labels:
        one = json.loads(line)
        where = (one["bundle_digest"], one["kind"], one["layer"], one["index"])
        patterns = tuple(
            Found(p["number"], frozenset(p["ranks"]), p["category"], p["stopwords"])
            for p in one["patterns"]
        )
        answers.append(
            Said(
                shown[where], one["annotator"], one["purpose"], patterns, one["active_seconds"],
                datetime.fromisoformat(one["submitted_at"]), one["surplus"], one["unblinded"],
            )
        )  # fmt: skip
    return Study(tuple(shown.values()), tuple(answers), tuple(categories), choice, populations)
