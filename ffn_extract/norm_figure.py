"""Figure of `compare-norm`; the only module of extraction that needs matplotlib."""

import io
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ffn_extract.norm_table import Row

_LINES = {
    "value": ("value vectors", "#0072b2", "o", "-"),
    "random": ("random vectors", "#d55e00", "s", "--"),
}
"""Label, colour (Okabe and Ito's), marker and dash of each kind: no need to tell colours apart."""


def draw(rows: Sequence[Row], parameters: dict[str, Any]) -> bytes:
    """Draw a PNG: mean intersection over union per layer, with bands of one standard deviation."""
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for kind, (label, colour, marker, dash) in _LINES.items():
        own = [row for row in rows if row.kind == kind]
        layers = [row.layer for row in own]
        means = [row.mean_iou for row in own]
        low = [max(0.0, row.mean_iou - row.std_iou) for row in own]
        high = [min(1.0, row.mean_iou + row.std_iou) for row in own]
        axes.fill_between(layers, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(layers, means, color=colour, marker=marker, linestyle=dash, label=label)
    top_k = parameters["parameters"]["top_k"]
    axes.set_xlabel("layer (counted from 0)")
    axes.set_ylabel("intersection over union")
    name = parameters["model"]["name"]
    axes.set_title(f"Top {top_k} tokens with and without the norm\n{name}", fontsize=10)
    axes.set_ylim(0, 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color="#e4e3de")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=150, metadata={"Software": None})
    return content.getvalue()
