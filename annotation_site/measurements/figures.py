"""Figures over layers as coordinates, for a template to draw: pure functions of their lines.

Pages draw them as SVG in the page itself, so that they follow its theme and its width, and so that
two measurements can share a scale. The files to download are drawn by the worker.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annotation_site.analysis import written

SIZES = {"wide": (756, 310), "half": (540, 300), "narrow": (350, 270)}
"""Width and height in CSS pixels; a page shows one of two by its own width."""
MOST_LINES = 6  # each has a colour, a marker and a dash of its own
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 12.0, 12.0, 44.0
_X_GAP, _Y_GAP = 26.0, 44.0  # the least between ticks
MARKER = 3.2  # half its width
_MARKERS = (
    "M-1 0a1 1 0 1 0 2 0a1 1 0 1 0-2 0z",
    "M-.9-.9h1.8v1.8h-1.8z",
    "M0-1.15 1.1.85h-2.2z",
    "M0-1.25 1.25 0 0 1.25-1.25 0z",
    "M0 1.15 1.1-.85h-2.2z",
    "M-.4-1.2h.8v.8h.8v.8h-.8v.8h-.8v-.8h-.8v-.8h.8z",
)


@dataclass(frozen=True)
class Point:
    """A value at a layer, with its interval where it has one."""

    layer: int
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Line:
    """A line of a figure."""

    label: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Figure:
    """A figure: lines over layers."""

    name: str
    title: str
    y_label: str
    lines: Sequence[Line]

    @property
    def is_share(self) -> bool:
        """Whether the axis says per cent."""
        return self.y_label.startswith("share")

    def write(self, value: float) -> str:
        """A value as pages write it."""
        return written.share(value) if self.is_share else written.decimal(value)

    @property
    def description(self) -> str:
        """The figure in words, with all its numbers."""
        said = (
            f"{line.label}: "
            + "; ".join(f"layer {point.layer} {self.said(point)}" for point in line.points)
            for line in self.lines
        )
        return f"{self.y_label} by layer, counted from 0. {'. '.join(said)}."

    def said(self, point: Point) -> str:
        """A point's value with its interval."""
        if point.low is None or point.high is None:
            return self.write(point.value)
        return f"{self.write(point.value)} ({self.write(point.low)} to {self.write(point.high)})"


@dataclass(frozen=True)
class Scale:
    """The ends of both axes."""

    low: float
    high: float
    first: int
    last: int


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis."""

    text: str
    at: float


@dataclass(frozen=True)
class Mark:
    """The marker of one value, with what a pointer over it is told."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class DrawnLine:
    """A line in coordinates; `number` chooses its colour and dash."""

    number: int
    label: str
    path: str
    band: str
    marker: str
    marks: Sequence[Mark]


@dataclass(frozen=True)
class Drawing:
    """A figure in coordinates of one size."""

    layout: str
    width: int
    height: int
    left: float
    right: float
    top: float
    bottom: float
    middle: float
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    zero: float | None
    lines: Sequence[DrawnLine]


def figure_of(entries: Mapping[str, Any]) -> Figure:
    """A figure from its stored entries; a value that is not finite has no point."""
    lines = []
    for line in entries["lines"][:MOST_LINES]:
        count = len(line["layers"])
        lows, highs = (line.get(end) or [None] * count for end in ("low", "high"))
        points = zip(line["layers"], line["values"], lows, highs, strict=True)
        lines.append(
            Line(
                line["label"],
                [
                    Point(layer, value, low, high)
                    for layer, value, low, high in points
                    if value is not None and math.isfinite(value)
                ],
            )
        )
    return Figure(entries["name"], entries["title"], entries["y_label"], lines)


def scale_of(figures: Iterable[Figure]) -> Scale:
    """Ends that hold every value and interval; shares and other values from 0 keep their 0."""
    figures = list(figures)
    points = [point for figure in figures for line in figure.lines for point in line.points]
    if not points:
        return Scale(0.0, 1.0, 0, 1)
    ends = [end for p in points for end in (p.value, p.low, p.high) if end is not None]
    low, high = min(0.0, *ends), max(0.0, *ends)
    if low == high:
        high = low + 1
    room = 0.04 * (high - low)
    low, high = (low - room if low < 0 else low), (high + room if high > 0 else high)
    if all(figure.is_share for figure in figures):
        high = min(high, 1.0)
    layers = [point.layer for point in points]
    return Scale(low, high, min(layers), max(layers))


def drawing_of(figure: Figure, layout: str, scale: Scale | None = None) -> Drawing:
    """The figure in coordinates of a layout of `SIZES`, on its own scale or on a shared one."""
    scale = scale or scale_of([figure])
    width, height = SIZES[layout]
    right, bottom = width - _RIGHT, height - _BOTTOM
    span = max(scale.last - scale.first, 1)
    inset = min(16.0, (right - _LEFT) / (2 * span + 2))

    def x(layer: float) -> float:
        if scale.last == scale.first:
            return round((_LEFT + right) / 2, 1)
        return round(_LEFT + inset + (layer - scale.first) / span * (right - _LEFT - 2 * inset), 1)

    def y(value: float) -> float:
        share = (value - scale.low) / (scale.high - scale.low)
        return round(bottom - share * (bottom - _TOP), 1)

    each = (right - _LEFT - 2 * inset) / span
    step = next(n for n in _whole_steps() if n * each >= _X_GAP)
    values = ticks(scale.low, scale.high, max(2, int((bottom - _TOP) / _Y_GAP)))
    return Drawing(
        layout, width, height, _LEFT, right, _TOP, bottom, round((_LEFT + right) / 2, 1),
        [Tick(str(n), x(n)) for n in range(scale.first, scale.last + 1) if n % step == 0],
        [Tick(_tick(value, values, figure.is_share), y(value)) for value in values],
        y(0.0) if scale.low < 0 < scale.high else None,
        [_drawn(number, line, figure, x, y) for number, line in enumerate(figure.lines)],
    )  # fmt: skip


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round values from low to high, at most `most` steps apart.

    Examples
    --------
    >>> ticks(0, 0.31, 5)
    [0.0, 0.1, 0.2, 0.3]
    """
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(n * power for n in (1, 2, 5, 10) if n * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    digits = max(0, -math.floor(math.log10(step)))
    return [round(n * step, digits) + 0.0 for n in range(first, last + 1)]


def _whole_steps() -> Iterable[int]:
    power = 1
    while True:
        yield from (power, 2 * power, 5 * power)
        power *= 10


def _tick(value: float, values: Sequence[float], is_share: bool) -> str:
    step = values[1] - values[0] if len(values) > 1 else 1.0
    if is_share:
        value, step = 100 * value, 100 * step
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    said = f"{value:,.{digits}f}".replace("-", "−")
    return f"{said}%" if is_share else said


def _drawn(number: int, line: Line, figure: Figure, x: Any, y: Any) -> DrawnLine:
    places = [(x(point.layer), y(point.value)) for point in line.points]
    ends = [
        (x(point.layer), y(point.low), y(point.high))
        for point in line.points
        if point.low is not None and point.high is not None
    ]
    outline = [(at, high) for at, _, high in ends] + [(at, low) for at, low, _ in reversed(ends)]
    return DrawnLine(
        number,
        line.label,
        _path(places),
        f"{_path(outline)}Z" if len(ends) > 1 else "",
        _MARKERS[number],
        [
            Mark(at, high, f"{line.label}, layer {point.layer}: {figure.said(point)}")
            for (at, high), point in zip(places, line.points, strict=True)
        ],
    )


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{at:g} {high:g}" for at, high in places) if places else ""
