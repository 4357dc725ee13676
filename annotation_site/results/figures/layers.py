"""Stacked bars across layers, a panel per kind of vector: pure functions, without pyplot."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.transforms import Transform

from annotation_site.analysis.annotation_frames import KINDS, kind_heading
from annotation_site.results.figures.canvas import (
    PX,
    Ink,
    axes_at,
    clipped,
    page_figure,
    quiet,
    text_width,
    write,
)

NO_LISTS = "no lists yet"


@dataclass(frozen=True)
class Band:
    """One part of every bar: its name, the column of its share, and its look.

    Without a `colour` it has an outline and its hatch.
    """

    label: str
    column: str
    colour: str = ""
    hatch: str = ""

    def look(self, ink: Ink) -> dict[str, Any]:
        """How its bars are drawn."""
        return {"facecolor": self.colour or "none", "edgecolor": ink.edge, "hatch": self.hatch}


@dataclass(frozen=True)
class Stack:
    """A figure of stacked bars across layers: its numbers and its words.

    `bands` are from the bottom. `total` is the column whose mean over the lists of the kind
    `control` is a dotted line beside the other kinds, named `control_label`.
    """

    title: str
    bands: tuple[Band, ...]
    y_label: str
    total: str
    control: str
    control_label: str

    def draw(self, panels: Sequence["Panel"], ink: Ink, width: int) -> Figure:
        """Draw the panels for the page or for print."""
        return _draw(list(panels), self, ink=ink, width=width)


@dataclass(frozen=True, eq=False)
class Panel:
    """The bars of one kind of vector of a model."""

    model: str
    kind: str
    rows: pd.DataFrame  # indexed by layer, without gaps
    control: float  # the mean of the model's lists of the control; NaN where there is none
    is_control: bool

    @property
    def has_line(self) -> bool:
        return not self.is_control and self.control >= 0

    @property
    def name(self) -> str:
        return kind_heading(self.kind)

    @property
    def basis(self) -> str:
        lists, total = int(self.rows["lists"].sum()), int(self.rows["lists_total"].sum())
        annotations = int(self.rows["annotations"].sum())
        count = f"{total}" if lists == total else f"{lists} of {total}"
        return (
            f"{count} {_plural(total, 'list')}, {annotations} {_plural(annotations, 'annotation')}"
        )


def _plural(number: int, word: str) -> str:
    return word if number == 1 else f"{word}s"


def panels_of(
    table: pd.DataFrame,
    stack: Stack,
    *,
    layers: int | None = None,
    intervals: pd.DataFrame | None = None,
) -> list[Panel]:
    """The panels of a table by model, kind and layer, in the order of `KINDS`.

    `table` has ``lists``, ``lists_total``, ``annotations`` and the columns of the stack's bands;
    `intervals` have ``low`` and ``high``, the ends of a line over each bar. Without `layers`, the
    axis ends at the table's last layer.
    """
    table = table.astype({"layer": np.int64})
    if intervals is None:
        table = table.assign(low=np.nan, high=np.nan)
    else:
        keys = ["model", "kind", "layer"]
        known = intervals[[*keys, "low", "high"]].astype({"layer": np.int64})
        table = table.merge(known, on=keys, how="left")
    last = int(table["layer"].max()) if len(table) else -1
    axis = pd.RangeIndex(max(last + 1, layers or 0), name="layer")
    return [
        Panel(
            str(model),
            kind,
            rows.set_index("layer").reindex(axis),
            _mean_of_control(of_model, stack),
            kind == stack.control,
        )
        for model, of_model in table.groupby("model")
        for kind in KINDS
        if len(rows := of_model[of_model["kind"] == kind])
    ]


def _mean_of_control(rows: pd.DataFrame, stack: Stack) -> float:
    """The mean over a model's lists of the control, from its layers."""
    judged = rows[(rows["kind"] == stack.control) & (rows["lists"] > 0)]
    lists = judged["lists"].to_numpy(dtype=np.float64)
    total = judged[stack.total].to_numpy(dtype=np.float64)
    return float(np.average(total, weights=lists)) if len(judged) else float("nan")


@dataclass(frozen=True)
class _Grid:
    """Where the panels stand, in CSS pixels from the figure's top left corner."""

    cells: list[tuple[int, int]]  # row and column of every panel
    panel_width: float
    panel_height: float
    top: float

    left = 54.0  # holds the y axis's labels
    right = 10.0
    gap = 26.0
    heading = 46.0  # a panel's title
    foot = 48.0  # the x axis's labels

    @property
    def height(self) -> float:
        rows = 1 + max((row for row, _ in self.cells), default=0)
        return self.top + rows * (self.heading + self.panel_height + self.foot)

    def corner(self, cell: tuple[int, int]) -> tuple[float, float]:
        row, column = cell
        x = self.left + column * (self.panel_width + self.gap)
        y = self.top + row * (self.heading + self.panel_height + self.foot) + self.heading
        return x, y


def _grid(panels: list[Panel], *, width: int, top: float) -> _Grid:
    """A row per model, while bars have room for their bands and texts fit; else a row each."""
    layers = max((len(panel.rows) for panel in panels), default=1)
    models = sorted({panel.model for panel in panels})
    kinds = [kind for kind in KINDS if any(panel.kind == kind for panel in panels)]
    room = width - _Grid.left - _Grid.right
    panel_width = (room - (len(kinds) - 1) * _Grid.gap) / max(len(kinds), 1)
    cells = [(models.index(panel.model), kinds.index(panel.kind)) for panel in panels]
    height = 220.0
    texts = max((text_width(panel.basis, 12) for panel in panels), default=0.0)
    if panel_width < max(8 * layers, 150, texts) and len(kinds) > 1:
        cells = [(row, 0) for row in range(len(panels))]
        panel_width, height = room, 160.0
    # Few layers make a narrow panel, not thick bars.
    return _Grid(cells, min(panel_width, max(56.0 * layers, 190.0)), height, top)


def _draw(panels: list[Panel], stack: Stack, *, ink: Ink, width: int) -> Figure:
    entries = _legend(panels, stack, ink)
    places, legend_height = _flow([entry.label for entry in entries], width=width)
    models = sorted({panel.model for panel in panels})
    below = 64 if len(models) == 1 else 44  # the title, and whose figure this is
    grid = _grid(panels, width=width, top=below + legend_height)
    height = grid.height
    figure, pixels = page_figure(width, height)
    write(figure, pixels, 0, 18, stack.title, size=15, color=ink.text, weight="bold")
    if len(models) == 1:
        write(figure, pixels, 0, 38, clipped(models[0], width, 12), size=12, color=ink.soft)
    for entry, (x, y) in zip(entries, places, strict=True):
        figure.add_artist(_swatch(entry, x, y + below, pixels))
        write(figure, pixels, x + 20, y + below, entry.label, size=12, color=ink.text)
    for panel, cell in zip(panels, grid.cells, strict=True):
        x, y = grid.corner(cell)
        axes = axes_at(
            figure,
            x=x,
            y=y,
            width=grid.panel_width,
            height=grid.panel_height,
            page=(width, height),
        )
        _draw_bars(axes, panel, stack, ink, panel_width=grid.panel_width)
        y_label = stack.y_label if cell[1] == 0 else ""
        _draw_axes(axes, panel, ink, panel_width=grid.panel_width, y_label=y_label)
        name = f"{panel.model}: {panel.name}" if len(models) > 1 else panel.name
        write(figure, pixels, x, y - 26, name, size=13, color=ink.text, weight="bold")
        write(figure, pixels, x, y - 9, panel.basis, size=12, color=ink.soft)
    return figure


@dataclass(frozen=True)
class _Entry:
    """One entry of the legend and how it looks."""

    label: str
    look: dict[str, Any]
    is_line: bool = False


def _swatch(entry: _Entry, x: float, y: float, pixels: Transform) -> Artist:
    """The sign beside a legend's words."""
    if entry.is_line:
        return Line2D([x, x + 14], [y - 4, y - 4], transform=pixels, **entry.look)
    return Rectangle((x, y - 10), 14, 12, transform=pixels, linewidth=0.5, **entry.look)


def _legend(panels: list[Panel], stack: Stack, ink: Ink) -> list[_Entry]:
    entries = [_Entry(band.label, band.look(ink)) for band in stack.bands]
    if any(panel.has_line for panel in panels):
        entries.append(_Entry(stack.control_label, _dotted(ink), is_line=True))
    if any((panel.rows["lists"] > 0).sum() < len(panel.rows) for panel in panels):
        entries.append(_Entry(NO_LISTS, {"facecolor": ink.empty, "edgecolor": ink.grid}))
    return entries


def _dotted(ink: Ink) -> dict[str, Any]:
    return {"color": ink.text, "linewidth": 1.2, "linestyle": (0, (1.5, 3))}


def _flow(labels: list[str], *, width: int) -> tuple[list[tuple[float, float]], float]:
    """Set a legend's entries like words in lines; corners in pixels, and the height of it all."""
    places = []
    x = y = 0.0
    for label in labels:
        entry = 20 + text_width(label, 12)  # the swatch and the text
        if x and x + entry > width:
            x, y = 0.0, y + 20
        places.append((x, y))
        x += entry + 16
    return places, y + 20


def _draw_bars(axes: Axes, panel: Panel, stack: Stack, ink: Ink, *, panel_width: float) -> None:
    rows = panel.rows
    _shade_empty_layers(axes, panel, ink)
    annotated = rows[rows["lists"] > 0]
    bar_width = min(0.84, 40 * len(rows) / panel_width)
    floor = np.zeros(len(annotated))
    for band in stack.bands:
        height = 100 * annotated[band.column].to_numpy(dtype=np.float64)
        seen = height > 1e-9  # a bar of height 0 would leave its outline
        axes.bar(
            annotated.index[seen],
            height[seen],
            bar_width,
            bottom=floor[seen],
            linewidth=0.5,
            hatch_linewidth=0.6,
            zorder=2,
            **band.look(ink),
        )
        floor += height
    if panel.has_line:
        axes.axhline(100 * panel.control, zorder=3.5, **_dotted(ink))
    _draw_intervals(axes, annotated, ink)


def _draw_intervals(axes: Axes, annotated: pd.DataFrame, ink: Ink) -> None:
    known = annotated[annotated["low"].notna() & annotated["high"].notna()]
    # A light line below the dark one keeps it visible on every band.
    for color, linewidth, order in ((ink.under, 3.0, 3), (ink.text, 1.2, 4)):
        axes.vlines(
            known.index,
            100 * known["low"].to_numpy(dtype=np.float64),
            100 * known["high"].to_numpy(dtype=np.float64),
            color=color,
            linewidth=linewidth,
            zorder=order,
        )


def _shade_empty_layers(axes: Axes, panel: Panel, ink: Ink) -> None:
    empty = np.flatnonzero(~(panel.rows["lists"].to_numpy() > 0))
    # Neighbours are shaded as one area: between two of them a seam would show.
    for run in np.split(empty, np.flatnonzero(np.diff(empty) > 1) + 1):
        if len(run):
            axes.axvspan(run[0] - 0.5, run[-1] + 0.5, facecolor=ink.empty, linewidth=0, zorder=0)
    if len(empty) == len(panel.rows):
        size = 12 * PX
        axes.text(
            0.5, 0.5, NO_LISTS, transform=axes.transAxes, ha="center", fontsize=size, color=ink.soft
        )


def _draw_axes(axes: Axes, panel: Panel, ink: Ink, *, panel_width: float, y_label: str) -> None:
    layers = len(panel.rows)
    axes.set_xlim(-0.5, max(layers, 1) - 0.5)
    axes.set_ylim(0, 100)
    axes.set_xticks(range(0, layers, _tick_step(layers, panel_width)))
    axes.set_yticks(range(0, 101, 25))
    quiet(axes, ink)
    axes.tick_params(labelleft=bool(y_label))
    label: dict[str, Any] = {"fontsize": 12 * PX, "color": ink.soft}
    axes.set_xlabel("layer, counted from 0", labelpad=5, **label)
    if y_label:
        # Anchored, so that the text stays centred in whatever font it is shown.
        axes.set_ylabel(y_label, labelpad=6, rotation_mode="anchor", **label)


def _tick_step(layers: int, panel_width: float) -> int:
    """The smallest step that leaves 20 px for every number."""
    steps = (1, 2, 4, 5, 10, 20, 50)
    return next((step for step in steps if step * panel_width / max(layers, 1) >= 20), 100)
