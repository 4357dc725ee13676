"""Saturation: in which layer the prediction is found for good (appendix A.5, tables 9 and 10)."""

import numpy as np

from ffn_extract.measurements.events import induced_by_ffn, saturation_layers
from ffn_extract.measurements.in_paper import Beside, InPaper, Numbers
from ffn_extract.measurements.kept import Arrays
from ffn_extract.measurements.measurement import (
    Cell,
    Figure,
    Line,
    Measurement,
    Readings,
    Result,
    Table,
    rounded,
)

PAPER_SHARES = {
    "WikiLM": (
        6.70, 5.25, 13.74, 3.13, 1.02, 1.07, 1.86, 2.60, 2.96, 3.78, 4.74, 7.45, 10.79, 9.88, 9.81,
        15.22,
    ),
    "GPT2": (
        2.21, 0.77, 1.06, 0.74, 0.85, 0.83, 0.83, 0.72, 0.93, 0.99, 1.16, 1.32, 1.24, 1.62, 2.37,
        2.72, 2.99, 3.80, 4.15, 5.21, 5.67, 9.31, 14.52, 34.15,
    ),
}  # fmt: skip
"""Percent of examples that saturate in each layer, by tables 9 and 10 of the paper."""
COLUMNS = ("weights", "layer", "examples", "induced_by_ffn", "share")


def compute(readings: Readings) -> Result:
    """Examples by the layer in which they saturate, and what an oracle would save."""
    runs: list[tuple[str, Arrays]] = [("trained", readings.arrays)]
    if readings.control is not None:
        runs.append(("random", readings.control))
    rows: list[tuple[Cell, ...]] = []
    saved: list[tuple[Cell, ...]] = []
    lines = []
    for weights, arrays in runs:
        layers, induced = saturation_layers(arrays), induced_by_ffn(arrays)
        n, n_layers = len(layers), readings.n_layers
        counts = np.bincount(layers, minlength=n_layers)
        by_ffn = np.bincount(layers[induced], minlength=n_layers)
        rows += [
            (weights, layer, int(counts[layer]), int(by_ffn[layer]), rounded(counts[layer] / n))
            for layer in range(n_layers)
        ]
        # With layers counted from 1, Σ p_l·(L − l)/L, in whole numbers but for one division.
        left = sum(int(counts[layer]) * (n_layers - 1 - layer) for layer in range(n_layers))
        saved.append((weights, rounded(left / (n * n_layers))))
        lines.append(Line(f"{weights} weights", range(n_layers), [float(c) / n for c in counts]))
    return Result(
        [Table("saturation", COLUMNS, rows), Table("oracle", ("weights", "saved_share"), saved)],
        [Figure("saturation", "Examples by the layer of saturation", "share of examples", lines)],
        _words(rows, saved, readings),
    )


def _words(
    rows: list[tuple[Cell, ...]], saved: list[tuple[Cell, ...]], readings: Readings
) -> list[str]:
    words = []
    for weights, share in saved:
        own = [row for row in rows if row[0] == weights]
        n = sum(int(row[2] or 0) for row in own)
        induced = sum(int(row[3] or 0) for row in own)
        words += [
            f"With {weights} weights, {own[-1][4]:.1%} of {n:,} examples need the last layer, and "
            f"an oracle that exits at saturation saves {share:.1%} of the layers. FFN updates "
            f"before the last layer bring about {induced:,} of the events.",
            "",
        ]
    if readings.control is None:
        words.append("Run with --control to set the same model with random weights beside.")
    return words


MEASUREMENT = Measurement(
    name="saturation",
    title="Saturation events",
    definition=(
        "w is the token that the model predicts. An example saturates in the smallest layer l with "
        "top(x̃_j) = w for all j ≥ l; x̃_j is the residual stream after layer j's FFN update, "
        "read through the final norm and the unembedding. The event is induced by the FFN if w's "
        "rank in x_l, before the update, is above 1; events in the last layer are never counted as "
        "such. The oracle's saving is Σ p_l·(L − l)/L with layers counted from 1. Control: the "
        "same model with random weights, by --control."
    ),
    source="Geva et al. (2022), section 5.1 and appendix A.5, tables 9 and 10.",
    columns={
        "saturation": {
            "weights": "trained, or random (control)",
            "layer": "layer, counted from 0",
            "examples": "examples that saturate there",
            "induced_by_ffn": "those whose prediction the FFN update brought to the top",
            "share": "share of all examples",
        },
        "oracle": {
            "weights": "trained, or random (control)",
            "saved_share": "share of layers that an exit at saturation would save",
        },
    },
    needs=("candidates",),
    compute=compute,
    in_paper=InPaper(
        section="A.5",
        says=(
            "34.15% of examples in GPT2 and 15.22% in WikiLM need all layers. Early saturation is "
            "rarer in GPT2, possibly because it builds its predictions over more "
            "layers.[^layers][^corpus][^prefix][^prediction]"
        ),
        tables=[
            Beside(
                "oracle",
                "Layers that an exit at saturation would save, over all examples",
                "{weights} weights",
                [Numbers("saved_share", "this model", "{:.1%}")],
                paper={
                    "WikiLM, paper": {("trained",): "38.0%[^oracle]"},
                    "GPT2, paper": {("trained",): "17.9%[^oracle]"},
                },
            ),
            Beside(
                "saturation",
                "Examples by the layer in which they saturate (tables 9 and 10)",
                "{layer}",
                [
                    Numbers("share", "this model", "{:.2%}"),
                    Numbers("induced_by_ffn", "by the FFN[^induced]"),
                ],
                {"weights": "trained"},
                {
                    f"{name}, paper": {
                        (layer,): f"{share:.2f}%" for layer, share in enumerate(shares)
                    }
                    for name, shares in PAPER_SHARES.items()
                },
            ),
        ],
        footnotes={
            "oracle": "The paper does not give this number; it follows from its tables 9 and 10.",
            "induced": "Examples whose prediction was not on top before the layer's FFN update. "
            "None are counted in the last layer.",
        },
    ),
)
