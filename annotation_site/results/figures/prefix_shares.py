"""Figure of prefixes by category across layers: a pure function of dataframes, without pyplot."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from annotation_site.analysis.prefix_shares import BOTH, NONE, PATTERNS, share_names
from annotation_site.results.figures.canvas import Ink
from annotation_site.results.figures.charts import FigurePlan
from annotation_site.results.figures.layers import NO_LISTS, Band, Stack, panels_of

RANDOM = "random keys in a pattern, all layers"

# Okabe and Ito's colours, with steps of lightness; what is in patterns of both has a hatch too, and
# what is in none an outline alone.
_LOOKS = {
    "only_shallow": ("#e69f00", ""),
    BOTH: ("#009e73", "xxx"),
    "only_semantic": ("#0072b2", ""),
    NONE: ("", ""),
}


def prefix_shares_figure(
    name: str,
    shares: pd.DataFrame,
    coverage: pd.DataFrame,
    *,
    categories: Sequence[str],
    intervals: pd.DataFrame | None = None,
) -> FigurePlan:
    """Plan figure 2 of Geva et al. (2021): each layer's prefixes by the categories of patterns.

    Parameters
    ----------
    name
        Of the figure.
    shares
        Rows by layer of the table `prefix_shares`, of one model.
    coverage
        Rows by layer of the table `coverage`, of the same model: which layers have lists.
    categories
        The study's categories.
    intervals
        ``model``, ``kind``, ``layer``, ``low`` and ``high`` of the share of prefixes in a pattern,
        drawn as lines from the lower to the upper end.

    Notes
    -----
    Each bar is 100% of the prefixes shown. The dotted line beside the keys is the share of random
    keys' prefixes that are in a pattern.
    """
    places = ["model", "kind", "layer"]
    wide = shares.pivot(index=places, columns="measure", values="value").reset_index()
    wide = wide.reindex(columns=[*places, *share_names(categories), PATTERNS])
    table = coverage.merge(wide.astype({"layer": int}), on=places, how="left")
    model = str(coverage["model"].iloc[0])
    title = "Prefixes by the categories of their patterns"
    stack = _stack(categories, title)
    panels = panels_of(table, stack, intervals=intervals)

    def draw(ink: Ink, width: int) -> Figure:
        return stack.draw(panels, ink, width)

    sentences = [f"{title}. Shares of the prefixes shown; layers count from 0."]
    for panel in panels:
        values = "; ".join(
            f"layer {layer}: {_in_words(row, stack)}" for layer, row in panel.rows.iterrows()
        )
        sentences.append(f"{panel.name} of {panel.model} ({panel.basis}): {values}.")
        if panel.has_line:
            sentences.append(f"Dotted line, {RANDOM}: {panel.control:.1%}.")
    return FigurePlan(name, f"{title}, {model}", " ".join(sentences), "prefix_shares", draw, model)


def _in_words(row: "pd.Series[Any]", stack: Stack) -> str:
    if not row["lists"] > 0:
        return NO_LISTS
    parts = ", ".join(f"{band.label} {row[band.column]:.1%}" for band in stack.bands)
    between = (
        f"; in a pattern, 95% from {row['low']:.1%} to {row['high']:.1%}" if row["low"] >= 0 else ""
    )
    return f"{parts}{between}; {row[PATTERNS]:.1f} patterns per key"


def _stack(categories: Sequence[str], title: str) -> Stack:
    labels = {f"only_{category}": f"{category} only" for category in categories}
    labels |= {BOTH: "both categories", NONE: "no pattern"}
    return Stack(
        title,
        tuple(
            Band(labels[column], column, *_LOOKS.get(column, ("#56b4e9", "...")))
            for column in share_names(categories)
        ),
        "% of prefixes",
        total="coverage",
        control="random-key",
        control_label=RANDOM,
    )
