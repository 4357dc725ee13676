"""Figure of estimates for all value vectors across layers: without a proxy, and with one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

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
from annotation_site.results.figures.charts import FigurePlan

NAME = "estimates-across-layers"
TITLE = "Estimates for all value vectors across layers"
ALONE = "the lists alone"
_BLUE = "#0072b2"
_TOPS = (20, 40, 60, 80, 100)  # of the axis, in percent: the first that holds everything


def estimates_across_layers(
    name: str, rows: pd.DataFrame, *, model: str, proxy: str, proxy_title: str
) -> FigurePlan | None:
    """Draw coverage by layer, or by groups of layers, without a proxy and with one.

    Parameters
    ----------
    name
        Of the figure.
    rows
        Rows of the table of estimates of one model, measure "coverage", with ``layer_from``,
        ``layer_to``, ``proxy``, ``value``, ``low``, ``high`` and ``lists``.
    model, proxy, proxy_title
        The model, the name of the proxy in the table, and its title.

    Returns
    -------
    FigurePlan or None
        None where the proxy has no estimate. Where neighbouring layers are grouped, the groups are
        drawn: a layer alone has too few lists.

    Notes
    -----
    The band is the interval of all layers with the proxy, its line the estimate; the two estimates
    of a layer stand beside one another, told apart by shape.
    """
    both = rows[rows["proxy"].isin(["", proxy])]
    whole = both[both["layer_from"].isna()].set_index("proxy")
    parts = both[both["layer_from"].notna() & both["value"].notna()]
    grouped = parts["layer_from"] != parts["layer_to"]
    parts = parts[grouped] if grouped.any() else parts
    if proxy not in whole.index or pd.isna(whole["value"][proxy]) or not len(parts):
        return None
    labels = (ALONE, f"with “{proxy_title}”", "all layers, with the proxy")

    def draw(ink: Ink, width: int) -> Figure:
        return _drawn(parts, whole.loc[proxy], labels, model, proxy, ink, width)

    said = [f"Share of top tokens in a concept, of {model}; layers count from 0."]
    for row in _records(parts):
        label = f"with {proxy_title}" if row["proxy"] else ALONE
        said.append(f"{_layers(row)}, {label}: {_in_words(row)}.")
    said += [
        f"All layers, {f'with {proxy_title}' if one else ALONE}: {_in_words(whole.loc[one])}."
        for one in whole.index
        if not pd.isna(whole["value"][one])
    ]
    return FigurePlan(name, f"{TITLE} of {model}", " ".join(said), "estimates", draw)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.itertuples(index=False)]


def _layers(row: Any) -> str:
    first, last = int(row["layer_from"]), int(row["layer_to"])
    return f"layer {first}" if first == last else f"layers {first} to {last}"


def _in_words(row: Any) -> str:
    interval = (
        f" (95% from {row['low']:.1%} to {row['high']:.1%})"
        if not pd.isna(row["low"])
        else " without an interval"
    )
    return f"{row['value']:.1%}{interval}, {int(row['lists'])} lists"


def _drawn(
    parts: pd.DataFrame,
    whole: Any,
    labels: Sequence[str],
    model: str,
    proxy: str,
    ink: Ink,
    width: int,
) -> Figure:
    room = width - 24
    rows = 1 if sum(text_width(label, 12) + 40 for label in labels) < width else len(labels)
    left, top, high, foot = 54.0, 62 + 20.0 * rows, 220.0, 52.0
    size = width, top + high + foot
    figure, pixels = page_figure(*size)
    write(figure, pixels, 0, 18, TITLE if width > 500 else "Estimates across layers",
          size=15, color=ink.text, weight="bold")  # fmt: skip
    write(figure, pixels, 0, 38, clipped(model, width, 12), size=12, color=ink.soft)
    x = 0.0
    for number, label in enumerate(labels):
        y = 60 + 20.0 * (number if rows > 1 else 0)
        sign = _sign(number, x + 7, y - 4, ink)
        sign.set_transform(pixels)
        figure.add_artist(sign)
        write(figure, pixels, x + 20, y, clipped(label, room, 12), size=12, color=ink.text)
        x = x + text_width(label, 12) + 40 if rows == 1 else 0.0
    last = int(parts["layer_to"].max())
    axes = axes_at(
        figure,
        x=left,
        y=top,
        width=min(width - left - 10, max(66.0 * (last + 1), 420.0)),
        height=high,
        page=size,
    )
    ends = [*parts["high"], *parts["value"], whole["high"], whole["value"]]
    most = 100 * np.nanmax(np.array(ends, dtype=float))  # estimates without interval can pass 100
    highest = next((top for top in _TOPS if most <= top), _TOPS[-1])
    _draw_axes(axes, parts, last, highest, width - left, ink)
    if not pd.isna(whole["low"]):
        axes.axhspan(100 * whole["low"], 100 * whole["high"], color=_BLUE, alpha=0.16, lw=0)
    axes.axhline(100 * whole["value"], color=_BLUE, linewidth=1.0, zorder=2)
    for number, name in enumerate(("", proxy)):
        _draw_points(axes, parts[parts["proxy"] == name], number, ink)
    return figure


def _sign(number: int, x: float, y: float, ink: Ink) -> Any:
    """The sign beside a legend's words: hollow, filled, or the band."""
    if number == 2:
        return Rectangle((x - 7, y - 6), 14, 12, facecolor=_BLUE, alpha=0.3, linewidth=0)
    return Line2D([x], [y], linestyle="", **_look(number, ink))


def _look(number: int, ink: Ink) -> dict[str, Any]:
    if number:
        return {"marker": "o", "mfc": _BLUE, "mec": ink.text, "mew": 0.8, "ms": 8 * PX}
    return {"marker": "s", "mfc": ink.under, "mec": ink.text, "mew": 1.2, "ms": 7 * PX}


def _draw_points(axes: Axes, rows: pd.DataFrame, number: int, ink: Ink) -> None:
    wide = (rows["layer_to"] - rows["layer_from"] + 1).to_numpy(dtype=float)
    middle = (rows["layer_to"] + rows["layer_from"]).to_numpy(dtype=float) / 2
    place = middle + (0.14 if number else -0.14) * wide
    known = rows["low"].notna().to_numpy()
    low, high = (100 * rows[end].to_numpy(dtype=float) for end in ("low", "high"))
    axes.vlines(place[known], low[known], high[known], color=ink.text, linewidth=1.4, zorder=3)
    value = 100 * rows["value"].to_numpy(dtype=float)
    axes.plot(place, value, linestyle="", zorder=4, **_look(number, ink))


def _draw_axes(
    axes: Axes, parts: pd.DataFrame, last: int, highest: int, width: float, ink: Ink
) -> None:
    quiet(axes, ink)
    axes.set_xlim(-0.5, last + 0.5)
    axes.set_ylim(0, highest)
    axes.set_yticks(range(0, highest + 1, highest // 4))
    spans = parts[["layer_from", "layer_to"]].drop_duplicates().itertuples(index=False, name=None)
    found = [(int(first), int(end)) for first, end in spans]
    names = [str(first) if first == end else f"{first}–{end}" for first, end in found]
    needed = sum(text_width(name, 12) + 8 for name in names)
    step = max(1, round(needed / width + 0.5)) if needed > width else 1
    places = [(first + end) / 2 for first, end in found]
    axes.set_xticks(places[::step], names[::step])
    label: dict[str, Any] = {"fontsize": 12 * PX, "color": ink.soft}
    axes.set_xlabel("layers, counted from 0", labelpad=5, **label)
    axes.set_ylabel("% of top tokens", labelpad=6, rotation_mode="anchor", **label)
