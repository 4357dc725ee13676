"""Figure of coverage across layers: a pure function of a dataframe, without pyplot."""

import itertools
from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from annotation_site.results.figures.canvas import Draw, Ink
from annotation_site.results.figures.layers import NO_LISTS, Band, Stack, panels_of

STOPWORDS = "stopwords/punctuation"
RANDOM = "random vectors, all layers"
_FLAGGED = "stopwords"  # a column of the figure's own

# Okabe and Ito's colours. The paper's categories get steps of lightness (L* 46, 71, 89), darkest
# at the bottom, so that they also differ in print without colour; further ones get a hatch.
_BAND_OF: dict[str, tuple[str, str]] = {
    "semantic": ("#0072b2", ""),
    "syntactic": ("#e69f00", ""),
    "shallow": ("#e69f00", ""),  # of prefixes, where nothing is syntactic
    "names": ("#f0e442", ""),
}
_MORE_BANDS = [("#56b4e9", "..."), ("#cc79a7", "xxx"), ("#009e73", "---"), ("#d55e00", "\\\\\\")]


def coverage_across_layers(
    table: pd.DataFrame,
    *,
    categories: Sequence[str],
    title: str,
    layers: int | None = None,
    intervals: pd.DataFrame | None = None,
) -> Draw:
    """Draw coverage by layer, for the page or for print.

    Parameters
    ----------
    table
        `coverage_table` by ("model", "kind", "layer").
    categories
        The bands, from the bottom; the share of stopwords concepts is one more, hatched, on top.
    title
        Heading of the figure.
    layers
        Number of layers of the model; without it the axis ends at the table's last layer.
    intervals
        ``model``, ``kind``, ``layer``, ``low`` and ``high`` of the coverage without stopwords
        concepts, drawn as lines from the lower to the upper end.

    Notes
    -----
    After figure 2 of Geva et al. (2022), with the mean of the random lists as a dotted line beside
    the other kinds. A layer without an annotated list is shaded, so that it
    cannot be taken for one with a coverage of 0.
    """
    stack = _stack(categories, title)
    panels = panels_of(_with_flagged(table), stack, layers=layers, intervals=intervals)

    def draw(ink: Ink, width: int) -> Figure:
        return stack.draw(panels, ink, width)

    return draw


def coverage_alt_text(
    table: pd.DataFrame,
    *,
    categories: Sequence[str],
    title: str = "",
    layers: int | None = None,
    intervals: pd.DataFrame | None = None,
) -> str:
    """The alternative text of `coverage_across_layers_svg`, with all its numbers."""
    sentences = ["Share of top tokens in a concept; layers count from 0."]
    if title:
        sentences.insert(0, f"{title.rstrip('.')}.")
    stack = _stack(categories, title)
    for panel in panels_of(_with_flagged(table), stack, layers=layers, intervals=intervals):
        values = "; ".join(
            f"layer {layer}: {_in_words(row, categories)}" for layer, row in panel.rows.iterrows()
        )
        sentences.append(f"{panel.name} of {panel.model} ({panel.basis}): {values}.")
        if panel.has_line:
            sentences.append(f"Dotted line, {RANDOM}: {panel.control:.1%}.")
    return " ".join(sentences)


def _in_words(row: pd.Series, categories: Sequence[str]) -> str:
    if not row["lists"] > 0:
        return NO_LISTS
    parts = ", ".join(f"{category} {row[category]:.1%}" for category in categories)
    total = f"with {STOPWORDS} {row['coverage_with_stopwords']:.1%}"
    between = f", 95% from {row['low']:.1%} to {row['high']:.1%}" if row["low"] >= 0 else ""
    return f"{row['coverage']:.1%}{between} ({parts}; {total})"


def _with_flagged(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(**{_FLAGGED: table["coverage_with_stopwords"] - table["coverage"]})


def _stack(categories: Sequence[str], title: str) -> Stack:
    spare = itertools.cycle(_MORE_BANDS)
    looks: list[tuple[str, str]] = []
    for category in categories:
        look = _BAND_OF.get(category)
        looks.append(look if look and look not in looks else next(spare))
    bands = [
        Band(category, category, *look) for category, look in zip(categories, looks, strict=True)
    ]
    return Stack(
        title,
        (*bands, Band(STOPWORDS, _FLAGGED, hatch="////")),
        "% of top tokens",
        total="coverage",
        control="random",
        control_label=RANDOM,
    )
