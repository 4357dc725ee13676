"""Figures besides coverage across layers: coverage by kind, agreement of pairs, time, practice.

Each takes a table of `TABLES` and gives a `FigurePlan`; they differ by shape and lightness, never
by colour alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from annotation_site.analysis.annotation_frames import kind_heading
from annotation_site.results.figures.canvas import (
    PX,
    Draw,
    Ink,
    axes_at,
    clipped,
    page_figure,
    quiet,
    text_width,
    write,
)

MATRIX_MEASURE = "krippendorff_alpha_concept"
_MOST_NUMBERS = 12  # people up to which each cell of the matrix says its number
_BLUE = "#0072b2"


@dataclass(frozen=True, eq=False)
class FigurePlan:
    """A figure to draw; `model` is empty where it shows all models of a study."""

    name: str
    title: str
    alt: str
    table: str
    draw: Draw
    model: str = ""

    def marked(self, mark: str) -> "FigurePlan":
        """The figure with a mark in its title, its alternative text and its bottom right corner."""

        def draw(ink: Ink, width: int) -> Figure:
            figure = self.draw(ink, width)
            figure.text(
                0.995, 0.002, mark, color=ink.text, fontsize=10 * PX, fontweight="bold",
                ha="right", va="bottom",
            )  # fmt: skip
            return figure

        return replace(self, title=f"{self.title} ({mark})", alt=f"{self.alt} ({mark})", draw=draw)

    def noted(self, note: str) -> "FigurePlan":
        """The figure with a note in its title, its alternative text and its bottom left corner."""

        def draw(ink: Ink, width: int) -> Figure:
            figure = self.draw(ink, width)
            figure.text(
                0.005, 0.002, note, color=ink.text, fontsize=10 * PX, ha="left", va="bottom"
            )
            return figure

        return replace(self, title=f"{self.title} ({note})", alt=f"{self.alt} ({note})", draw=draw)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.itertuples(index=False)]


def coverage_by_kind(table: pd.DataFrame, *, prefixes: bool = False) -> FigurePlan | None:
    """Table 2 as points with intervals, a row per kind; None without an annotated list.

    Patterns of `prefixes` have no flag for stopwords, so they have no second row of a kind.
    """
    rows = table[table["coverage"].notna()]
    if prefixes:
        rows = rows[rows["stopwords_concepts"] == "without"]
    rows = rows.reset_index(drop=True)
    if not len(rows):
        return None
    title = "Coverage by kind of key" if prefixes else "Coverage by kind of vector"
    what = "prefixes in a pattern" if prefixes else "top tokens in a concept"
    several = rows["model"].nunique() > 1
    labels = [
        _kind_of(row, several) + (" + stopwords" if row["stopwords_concepts"] == "with" else "")
        for row in _records(rows)
    ]
    said = [
        f"{label} {row['coverage']:.1%}"
        + (f" (95% from {row['low']:.1%} to {row['high']:.1%})" if row["low"] >= 0 else "")
        + f", {row['lists']} {'list' if row['lists'] == 1 else 'lists'}"
        for label, row in zip(labels, _records(rows), strict=True)
    ]

    def draw(ink: Ink, width: int) -> Figure:
        figure, axes = _rows(title, labels, ink, width)
        place = np.arange(len(rows))[::-1]
        known = rows["low"].notna().to_numpy()
        low, high = 100 * rows["low"].to_numpy(), 100 * rows["high"].to_numpy()
        axes.hlines(place[known], low[known], high[known], color=ink.text, linewidth=1.4, zorder=3)
        plain = (rows["stopwords_concepts"] == "without").to_numpy()
        value = 100 * rows["coverage"].to_numpy()
        axes.plot(value[plain], place[plain], "o", color=_BLUE, ms=7 * PX, zorder=4)
        # Hollow and square: told apart without colour.
        axes.plot(
            value[~plain], place[~plain], "s", mfc=ink.under, mec=ink.text, ms=7 * PX, zorder=4
        )
        axes.set_xlim(0, 100)
        _x_label(axes, f"% of {what}; lines are 95% intervals", ink)
        return figure

    return FigurePlan(
        "coverage-by-kind",
        title,
        f"{title}: share of {what}. {'; '.join(said)}.",
        "table_2",
        draw,
    )


def time_per_list(table: pd.DataFrame) -> FigurePlan | None:
    """Median active time with its quartiles, a row per kind; None without an annotation."""
    if not len(table):
        return None
    title = "Time per list"
    several = table["model"].nunique() > 1
    labels = [_kind_of(row, several) for row in _records(table)]
    said = [
        f"{label} {row['median_seconds']:.0f} s (middle 50% from {row['low']:.0f} to "
        f"{row['high']:.0f} s), {row['annotations']} annotations"
        for label, row in zip(labels, _records(table), strict=True)
    ]

    def draw(ink: Ink, width: int) -> Figure:
        figure, axes = _rows(title, labels, ink, width)
        place = np.arange(len(table))[::-1]
        axes.hlines(place, table["low"], table["high"], color=ink.text, linewidth=1.4, zorder=3)
        axes.plot(table["median_seconds"], place, "o", color=_BLUE, ms=7 * PX, zorder=4)
        axes.set_xlim(0, max(1.0, 1.05 * float(table["high"].max())))
        _x_label(axes, "active seconds; lines: middle 50%", ink)
        return figure

    return FigurePlan(
        "time-per-list",
        title,
        f"{title}: median active time. {'; '.join(said)}.",
        "time_per_list",
        draw,
    )


def agreement_matrix(pairs: pd.DataFrame, people: Sequence[str]) -> FigurePlan | None:
    """Krippendorff's alpha of every two people; None if no two annotated the same list."""
    rows = pairs[pairs["measure"] == MATRIX_MEASURE]
    if not len(rows):
        return None
    title = "Agreement of every two people"
    people = [one for one in people if one in {*rows["first"], *rows["second"]}]
    place = {person: number for number, person in enumerate(people)}
    grid = np.full((len(people), len(people)), np.nan)
    said = []
    for row in _records(rows):
        one, other = place[row["first"]], place[row["second"]]
        value = np.nan if pd.isna(row["value"]) else float(row["value"])
        grid[one, other] = grid[other, one] = value
        shown = "undefined" if np.isnan(value) else f"{value:.2f}"
        who = f"{row['first']!s} and {row['second']!s}"
        said.append(f"{who} {shown} ({row['n']} {row['unit']})")

    def draw(ink: Ink, width: int) -> Figure:
        names = [str(one) for one in people]
        left = foot = 14.0 + max(text_width(name, 12) for name in names)
        top = 60.0
        side = min(width - left - 10, max(34.0 * len(people), 150.0))
        size = width, top + side + foot
        figure, pixels = page_figure(*size)
        write(figure, pixels, 0, 18, title, size=15, color=ink.text, weight="bold")
        sub = "Krippendorff's alpha, in a concept or not; darker is lower"
        write(figure, pixels, 0, 40, sub, size=12, color=ink.soft)
        axes = axes_at(figure, x=left, y=top, width=side, height=side, page=size)
        # One lightness scale from low to high: it reads the same in grey.
        axes.imshow(grid, vmin=-0.2, vmax=1, cmap="cividis")
        axes.set_facecolor(ink.empty)
        axes.set_xticks(range(len(people)), names, rotation=90)
        axes.set_yticks(range(len(people)), names)
        axes.tick_params(length=0, labelsize=min(12, 0.8 * side / len(people)) * PX)
        axes.tick_params(labelcolor=ink.soft)
        axes.spines[:].set_visible(False)
        if len(people) <= _MOST_NUMBERS:
            for row, column in np.argwhere(~np.isnan(grid)):
                value = grid[row, column]
                axes.text(
                    column, row, f"{value:.2f}", ha="center", va="center", fontsize=11 * PX,
                    color="#ffffff" if value < 0.45 else "#000000",
                )  # fmt: skip
        return figure

    return FigurePlan(
        "agreement-matrix",
        title,
        f"{title}: Krippendorff's alpha, in a concept or not. {'; '.join(said)}.",
        "agreement_of_pairs",
        draw,
    )


def learning_curve(table: pd.DataFrame) -> FigurePlan | None:
    """Time and agreement by number of lists done; None where no time is known."""
    table = table[table["median_seconds"].notna()]
    if not len(table):
        return None
    title = "Practice: time and agreement by lists done"
    middle = (table["first_list"] + table["last_list"]) / 2
    said = [
        f"lists {row['first_list']} to {row['last_list']}: {row['median_seconds']:.0f} s"
        + (
            ""
            if pd.isna(row["percent_agreement_concept"])
            else f", agreement {row['percent_agreement_concept']:.1%}"
        )
        + f" ({row['annotations']} annotations)"
        for row in _records(table)
    ]
    parts = (
        ("median_seconds", "median active seconds", 1.0, "o-"),
        ("percent_agreement_concept", "% agreement, in a concept", 100.0, "s--"),
    )

    def draw(ink: Ink, width: int) -> Figure:
        beside = width > 500
        wide = (width - 54 - 10 - (60 if beside else 0)) / (2 if beside else 1)
        high, top, foot = 170.0, 66.0, 52.0
        size = width, (top + high + foot) * (1 if beside else 2) - (0 if beside else 34)
        figure, pixels = page_figure(*size)
        write(figure, pixels, 0, 18, title, size=15, color=ink.text, weight="bold")
        for number, (column, label, factor, look) in enumerate(parts):
            x = 54 + number * (wide + 60) * beside
            y = top + number * (high + foot + 32) * (not beside)
            axes = axes_at(figure, x=x, y=y, width=wide, height=high, page=size)
            quiet(axes, ink)
            write(figure, pixels, x, y - 10, label, size=12, color=ink.soft)
            axes.plot(
                middle, factor * table[column], look, color=_BLUE, mec=ink.text, mew=0.6,
                ms=6 * PX, linewidth=1.4, zorder=3,
            )  # fmt: skip
            axes.set_xlim(0, float(table["last_list"].max()) + 1)
            highest = 100 if factor > 1 else max(1.0, 1.1 * float(table[column].max()))
            axes.set_ylim(0, highest)
            _x_label(axes, "lists that the person had submitted", ink)
        return figure

    return FigurePlan(
        "learning-curve", title, f"{title}. {'; '.join(said)}.", "learning_curve", draw
    )


def _kind_of(row: dict[str, Any], several: bool) -> str:
    """The kind of vector, with its model where there are several."""
    kind = kind_heading(row["kind"])
    return f"{row['model']}: {kind}" if several else kind


def _rows(title: str, labels: Sequence[str], ink: Ink, width: int) -> tuple[Figure, Axes]:
    """Axes with a labelled row per entry; on a phone the labels stand above their rows."""
    above = width < 500
    widest = max(text_width(label, 12) for label in labels)
    left = 10.0 if above else min(max(250.0, widest + 16), 0.6 * width)
    room = width - left if above else left - 16
    high = (44.0 if above else 30.0) * len(labels)
    size = width, 40 + high + 52
    figure, pixels = page_figure(*size)
    write(figure, pixels, 0, 18, title, size=15, color=ink.text, weight="bold")
    axes = axes_at(figure, x=left, y=40, width=width - left - 18, height=high, page=size)
    quiet(axes, ink, grid="x")
    axes.set_ylim(-0.5 - 0.1 * above, len(labels) - 0.5 + 0.1 * above)
    axes.set_yticks([])
    step = high / (len(labels) + 0.2 * above)
    for number, whole in enumerate(labels):
        label = clipped(whole, room, 12)
        y = 40 + (number + 0.1 * above) * step + (0.28 * step if above else 0.5 * step + 4)
        write(figure, pixels, left if above else 0, y, label, size=12, color=ink.text)
    return figure, axes


def _x_label(axes: Axes, text: str, ink: Ink) -> None:
    axes.set_xlabel(text, labelpad=5, fontsize=12 * PX, color=ink.soft)
