"""A study's sensitivity: how much coverage depends on choices, as charts and a table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil, floor
from typing import Any

from django.utils.translation import gettext, ngettext

from annotation_site.analysis import written
from annotation_site.analysis.controls import compared
from annotation_site.annotation.lists.nouns import Nouns
from annotation_site.results.pages.people import Behind
from annotation_site.results.pages.remarks import warnings_of
from annotation_site.results.pages.tables import CONDITIONAL, PageTable
from annotation_site.results.pages.values import (
    Cell,
    Row,
    Write,
    between,
    kind_heading,
    lists_words,
    minus_control,
    words,
)

TABLE = "sensitivity"
WITHOUT, WITH = "without", "with"
WIDTH, HEIGHT = 300, 150
LEFT, RIGHT, TOP, BOTTOM = 40, 8, 8, 22
_STEPS = (1, 2, 5, 10, 20, 25, 50)
_MOST_TICKS = 4


@dataclass(frozen=True)
class Point:
    """A value in a chart: places in the drawing, and the words that a pointer over it reads."""

    x: float
    y: float
    low: float | None
    high: float | None
    title: str
    is_own: bool = False


@dataclass(frozen=True)
class Tick:
    """A mark of an axis: its place, and its number."""

    at: float
    text: str


@dataclass(frozen=True)
class Chart:
    """Values on one scale: `points` without flagged patterns, `hollow` with them.

    `own_x` is the place of the setting of the results, `own_y` of its value.
    """

    label: str
    alt: str
    points: Sequence[Point]
    hollow: Sequence[Point]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    own_x: float | None
    own_y: float | None

    @property
    def line(self) -> str:
        return _path(self.points)

    @property
    def hollow_line(self) -> str:
        return _path(self.hollow)


@dataclass(frozen=True)
class Panel:
    """The charts of a difference or of one kind, with what they show in words."""

    title: str
    text: str
    sentences: Sequence[str]
    by_size: Chart
    by_person: Chart | None


@dataclass(frozen=True)
class ModelPanels:
    """The panels and the table of one model; `model` is empty where the study has one alone."""

    model: str
    panels: Sequence[Panel]
    table: PageTable


def sensitivity_page(
    rows: Sequence[Row], *, min_tokens: int, nouns: Nouns, behind: Behind
) -> list[ModelPanels]:
    """The page of a snapshot's table; `min_tokens` is that of the snapshot's filter."""
    found = []
    for model, grouped in groupby(rows, key=lambda row: row["model"]):
        of_model = list(grouped)
        kinds = compared(row["kind"] for row in of_model if row["kind"])
        groups = [
            _Values(list(one), min_tokens, nouns, behind, kinds)
            for _, one in groupby(of_model, key=lambda row: (row["of"], row["kind"]))
        ]
        groups.sort(key=lambda one: one.of != "difference")  # what the study is about comes first
        found.append(
            ModelPanels(
                model if behind.several_models else "",
                [one.panel() for one in groups],
                _table(groups, nouns, behind),
            )
        )
    return found


class _Values:
    """The rows of a difference or of one kind."""

    def __init__(
        self,
        rows: Sequence[Row],
        min_tokens: int,
        nouns: Nouns,
        behind: Behind,
        kinds: tuple[str, str],
    ) -> None:
        """`kinds` are those that a difference compares."""
        self.rows, self.min_tokens, self.nouns, self.behind = rows, min_tokens, nouns, behind
        self.kinds = kinds
        self.of = rows[0]["of"]
        self.is_difference = self.of == "difference"
        self.by_size = [row for row in rows if row["left_out"] is None]
        self.by_person = [row for row in rows if row["left_out"] is not None]
        self.own = next(row for row in self.by_size if self.is_own(row))

    def is_own(self, row: Row) -> bool:
        """Whether a row is the setting of the results."""
        return (
            row["min_tokens"] == self.min_tokens
            and row["stopwords_concepts"] == WITHOUT
            and row["left_out"] is None
        )

    @property
    def name(self) -> str:
        if not self.is_difference:
            return kind_heading(self.rows[0]["kind"])
        return minus_control(self.kinds)

    @property
    def write(self) -> Write:
        return written.points if self.is_difference else written.share

    @property
    def ends(self) -> Write:
        return written.points_bound if self.is_difference else written.share

    def panel(self) -> Panel:
        text = self.write(self.own["value"])
        if self.is_difference and self.own["value"] is not None:
            text = gettext("%(points)s points") % {"points": text}
        scale = _Scale.of(self.rows)
        return Panel(
            self.name, text, list(self._sentences()), self._sizes(scale), self._persons(scale)
        )

    def _sentences(self) -> Iterator[str]:
        plain = [row for row in self.by_size if row["stopwords_concepts"] == WITHOUT]
        values = [row["value"] for row in plain if row["value"] is not None]
        if not values:
            yield gettext("No value: no layer has annotated lists of both kinds.")
            return
        said = {
            "name": self.name,
            "low": self.ends(min(values)),
            "high": self.ends(max(values)),
            "least": plain[0]["min_tokens"],
            "most": plain[-1]["min_tokens"],
            "entries": self.nouns.many,
        }
        if self.is_difference:
            first = gettext(
                "%(name)s stays between %(low)s and %(high)s points for every minimum from "
                "%(least)s to %(most)s %(entries)s."
            )
        else:
            first = gettext(
                "Between %(low)s and %(high)s for every minimum from %(least)s to %(most)s "
                "%(entries)s."
            )
        yield first % said
        left_out = [row for row in self.by_person if row["stopwords_concepts"] == WITHOUT]
        moved = [abs(row["change"]) for row in left_out if row["change"] is not None]
        if moved:
            yield gettext("Leaving out one annotator moves it by at most %(points)s points.") % {
                "points": written.points_bound(max(moved))
            }
        elif left_out:
            yield gettext("One person annotated all lists, so nobody can be left out.")
        flagged = next(
            (
                row
                for row in self.by_size
                if row["stopwords_concepts"] == WITH and row["min_tokens"] == self.min_tokens
            ),
            None,
        )
        if flagged is not None and flagged["value"] is not None:
            yield gettext("With flagged patterns it is %(value)s.") % {
                "value": gettext("%(points)s points") % {"points": self.write(flagged["value"])}
                if self.is_difference
                else self.write(flagged["value"])
            }

    def _sizes(self, scale: "_Scale") -> Chart:
        sizes = list(dict.fromkeys(row["min_tokens"] for row in self.by_size))
        places = dict(zip(sizes, _places(len(sizes)), strict=True))
        drawn = {
            flag: [
                self._point(row, places[row["min_tokens"]], scale, self._setting(row))
                for row in self.by_size
                if row["stopwords_concepts"] == flag and row["value"] is not None
            ]
            for flag in (WITHOUT, WITH)
        }
        return Chart(
            label=gettext("smallest pattern that counts, in %(entries)s")
            % {"entries": self.nouns.many},
            alt=self._alt(self.by_size),
            points=drawn[WITHOUT],
            hollow=drawn[WITH],
            x_ticks=[Tick(places[one], str(one)) for one in sizes],
            y_ticks=scale.ticks,
            own_x=places[self.min_tokens],
            own_y=None,
        )

    def _persons(self, scale: "_Scale") -> Chart | None:
        rows = [
            row
            for row in self.by_person
            if row["stopwords_concepts"] == WITHOUT and row["value"] is not None
        ]
        if not rows:
            return None
        rows = sorted(rows, key=lambda row: row["value"])
        points = [
            self._point(row, x, scale, self._setting(row))
            for row, x in zip(rows, _places(len(rows)), strict=True)
        ]
        own = self.own["value"]
        return Chart(
            label=gettext("each annotator left out, from the lowest value to the highest"),
            alt=self._alt(rows),
            points=points,
            hollow=[],
            x_ticks=[],
            y_ticks=scale.ticks,
            own_x=None,
            own_y=None if own is None else scale.y(own),
        )

    def _point(self, row: Row, x: float, scale: "_Scale", setting: str) -> Point:
        low, high = (None if row[end] is None else scale.y(row[end]) for end in ("low", "high"))
        title = f"{setting}: {self._said(row)}"
        return Point(round(x, 1), scale.y(row["value"]), low, high, title, self.is_own(row))

    def _said(self, row: Row) -> str:
        interval = between(row["low"], row["high"], self.ends)
        value = self.write(row["value"])
        return f"{value} ({interval})" if interval else value

    def _setting(self, row: Row) -> str:
        return setting_name(row, self.nouns, self.behind)

    def _alt(self, rows: Sequence[Row]) -> str:
        return f"{self.name}. " + "; ".join(
            f"{self._setting(row)}: {self._said(row)}" for row in rows
        )

    def cell(self, row: Row | None) -> Cell:
        """A setting's value, with what it rests on."""
        if row is None:
            return Cell()
        basis = gettext("%(lists)s, %(annotations)s") % {
            "lists": lists_words(row["lists"]),
            "annotations": ngettext("%(n)s annotation", "%(n)s annotations", row["annotations"])
            % {"n": written.count(row["annotations"])},
        }
        return Cell(self.write(row["value"]), between(row["low"], row["high"], self.ends), basis)


def setting_name(row: Row, nouns: Nouns, behind: Behind) -> str:
    """A row's choices in words: "4 tokens", "4 tokens, with flagged patterns", "without Ana"."""
    said = nouns.counted(row["min_tokens"])
    if row["left_out"] is not None:
        said = gettext("without %(name)s") % {"name": behind.named(row["left_out"])}
    if row["stopwords_concepts"] == WITH:
        return gettext("%(setting)s, with flagged patterns") % {"setting": said}
    return said


def _table(groups: Sequence[_Values], nouns: Nouns, behind: Behind) -> PageTable:
    """Settings down, the difference and the kinds across."""
    settings: dict[tuple[Any, ...], Row] = {}
    for group in groups:
        for row in group.rows:
            settings.setdefault(_key(row), row)
    order = sorted(settings, key=lambda key: (key[2] is not None, key[1] == WITH))
    known: list[Mapping[tuple[Any, ...], Row]] = [
        {_key(row): row for row in group.rows} for group in groups
    ]
    body = []
    for key in order:
        row = settings[key]
        code = key[2] if key[2] in behind.people else ""
        name = setting_name(row, nouns, behind)
        if groups[0].is_own(row):
            name = gettext("%(setting)s (as in the results)") % {"setting": name}
        cells = [group.cell(rows.get(key)) for group, rows in zip(groups, known, strict=True)]
        body.append([words(name, aside=code or ""), *cells])
    said = [
        (f"{group.name}, {setting_name(row, nouns, behind)}", row)
        for group in groups
        for row in group.rows
    ]
    return PageTable(
        TABLE,
        gettext("Every setting"),
        [gettext("Setting"), *(group.name for group in groups)],
        body,
        str(CONDITIONAL),
        warnings_of(said),
    )


def _key(row: Row) -> tuple[Any, ...]:
    return row["min_tokens"], row["stopwords_concepts"], row["left_out"]


@dataclass(frozen=True)
class _Scale:
    """The scale of both charts of a panel, in percent or points."""

    least: float
    most: float
    step: float

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "_Scale":
        """A scale with 0 that holds all values and intervals."""
        ends = [
            100 * row[name]
            for row in rows
            for name in ("value", "low", "high")
            if row[name] is not None
        ]
        least, most = min([0.0, *ends]), max([0.0, *ends])
        step = next((s for s in _STEPS if (most - least) / s <= _MOST_TICKS), _STEPS[-1])
        low, high = floor(least / step) * step, ceil(most / step) * step
        return cls(low, max(high, low + step), step)

    def y(self, share: float) -> float:
        part = (100 * share - self.least) / (self.most - self.least)
        return round(HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM), 1)

    @property
    def ticks(self) -> list[Tick]:
        count = round((self.most - self.least) / self.step)
        values = [self.least + n * self.step for n in range(count + 1)]
        return [
            Tick(self.y(value / 100), written.points_bound(value / 100).removesuffix(".0"))
            for value in values
        ]


def _places(count: int) -> list[float]:
    """Places across a chart, with half a step before the first and after the last."""
    step = (WIDTH - LEFT - RIGHT) / max(count, 1)
    return [LEFT + step * (n + 0.5) for n in range(count)]


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{one.x} {one.y}" for one in points) if len(points) > 1 else ""
