"""Residual: what decides the top token after a layer, the stream or its update (2021, 4.2)."""

import numpy as np
from numpy.typing import NDArray

from ffn_extract.measurements.bootstrap import summaries
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

COLUMNS = ("layer", "matches_final", "from_x", "from_o", "both", "neither", "n")
SOURCES = ("from_x", "from_o", "both", "neither")
_LABELS = ("x alone", "o alone", "both", "neither")


def compute(readings: Readings) -> Result:
    """Where the top token of x̃ comes from, per layer, and whether x has the prediction."""
    arrays, options = readings.arrays, readings.options
    before, after, update = (
        np.asarray(arrays[name]) for name in ("top_before", "top_after", "update_top")
    )
    matches = (before == np.asarray(arrays["final"])[:, None]).astype(np.float64)
    of = sources(before, update, after)
    n = len(after)
    rows: list[tuple[Cell, ...]] = [
        (
            layer,
            rounded(float(matches[:, layer].mean())),
            *(rounded(int((of[:, layer] == place).sum()) / n) for place in range(len(SOURCES))),
            n,
        )
        for layer in range(readings.n_layers)
    ]
    found = summaries(matches, seed=options.seed, resamples=options.resamples)
    layers = range(readings.n_layers)
    final = Line("top of x", layers, found.mean.tolist(), found.low.tolist(), found.high.tolist())
    lines = [
        Line(label, layers, [float(row[place] or 0) for row in rows])
        for place, label in enumerate(_LABELS, start=2)
    ]
    return Result(
        [Table("residual", COLUMNS, rows)],
        [
            Figure("matches_final", "Examples in which x has the prediction", "share", [final]),
            Figure("residual", "Whether x or o has the top token of x̃", "share", lines),
        ],
        _words(rows),
    )


def sources(
    before: NDArray[np.int64], update: NDArray[np.int64], after: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Places in SOURCES from the top tokens of x, o and x̃, all of one shape.

    Examples
    --------
    >>> tops = np.array([[1, 2], [2, 1], [1, 1], [2, 3]])
    >>> [SOURCES[i] for i in sources(tops[:, 0], tops[:, 1], np.ones(4, np.int64))]
    ['from_x', 'from_o', 'both', 'neither']
    """
    of_x, of_o = before == after, update == after
    found: NDArray[np.int64] = np.select([of_x & of_o, of_x, of_o], [2, 0, 1], 3)
    return found


def _words(rows: list[tuple[Cell, ...]]) -> list[str]:
    first, last = rows[0], rows[-1]
    means = [sum(float(row[i] or 0) for row in rows) / len(rows) for i in range(2, 6)]
    return [
        f"x has the model's prediction as its top token in {first[1]:.1%} of examples in the first "
        f"layer and in {last[1]:.1%} in the last one. The top token of x̃ is that of x alone in "
        f"{means[0]:.1%}, of o alone in {means[1]:.1%}, of both in {means[2]:.1%} and of neither "
        f"in {means[3]:.1%}, means over layers.",
    ]


MEASUREMENT = Measurement(
    name="residual",
    title="The residual stream and the FFN update",
    definition=(
        "w is the token that the model predicts. x is the residual stream before a layer's FFN "
        "update o, and x̃ = x + o the one after it; all three are read through the final norm and "
        "the unembedding. `matches_final` is the share of examples with top(x) = w. The top token "
        "of x̃ is that of x alone, of o alone, of both, or of neither: the update then made a "
        "compromise. The four shares sum to 1. Equal scores: the lower token id."
    ),
    source="Geva et al. (2021), section 4.2, figures 9 to 11.",
    columns={
        "residual": {
            "layer": "layer, counted from 0",
            "matches_final": "share of examples in which x has the prediction as its top token",
            "from_x": "share in which the top token of x̃ is that of x and not that of o",
            "from_o": "share in which it is that of o and not that of x",
            "both": "share in which it is that of both",
            "neither": "share in which it is that of neither",
            "n": "examples",
        }
    },
    needs=("candidates", "updates"),
    compute=compute,
)
