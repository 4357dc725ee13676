"""Contribution of dominant sub-updates to the FFN update (appendix A.3, figure 6)."""

import numpy as np

from ffn_extract.measurements.bootstrap import Floats, Summary, summaries
from ffn_extract.measurements.in_paper import Beside, InPaper, Numbers
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
from ffn_extract.measurements.reductions import DOMINANT, LARGEST_K

COLUMNS = ("layer", "group", "k", "share", "median", "low", "high", "expected", "n")
_TYPICAL, _LARGE = "about 5%", "> 10%"
EFFECTIVE = ("layer", "effective_number", "median", "low", "high", "undefined", "n")


def compute(readings: Readings) -> Result:
    """Tables of shares by k and of the effective number, per layer."""
    arrays, options = readings.arrays, readings.options
    shares = np.asarray(arrays["shares"], dtype=np.float64)
    n, layers, _ = shares.shape
    random = np.asarray(arrays["random_share"], dtype=np.float64)
    effective = np.asarray(arrays["effective"], dtype=np.float64)
    columns = np.concatenate([shares.reshape(n, -1), random, effective], axis=1)
    found = summaries(columns, seed=options.seed, resamples=options.resamples)
    rows: list[tuple[Cell, ...]] = []
    for layer, width in enumerate(readings.n_values):
        for k in range(1, min(LARGEST_K, width) + 1):
            place = layer * LARGEST_K + k - 1
            rows.append((layer, "dominant", k, *_row(found, place, k / width)))
        few = min(DOMINANT, width)
        rows.append((layer, "random", few, *_row(found, layers * LARGEST_K + layer, few / width)))
    offset = layers * (LARGEST_K + 1)
    numbers: list[tuple[Cell, ...]] = [
        (
            layer,
            *(rounded(float(x[offset + layer])) for x in _parts(found)),
            n - int(found.n[offset + layer]),
            int(found.n[offset + layer]),
        )
        for layer in range(layers)
    ]
    return Result(
        [Table("contribution", COLUMNS, rows), Table("effective", EFFECTIVE, numbers)],
        [_figure(rows)],
        _words(rows, numbers),
    )


def _parts(found: Summary) -> tuple[Floats, ...]:
    return found.mean, found.median, found.low, found.high


def _row(found: Summary, place: int, expected: float) -> tuple[Cell, ...]:
    numbers = (rounded(float(part[place])) for part in _parts(found))
    return (*numbers, rounded(expected), int(found.n[place]))


def _of_ten(rows: list[tuple[Cell, ...]], group: str) -> list[tuple[Cell, ...]]:
    return [row for row in rows if row[1] == group and row[2] == DOMINANT and row[3] is not None]


def _figure(rows: list[tuple[Cell, ...]]) -> Figure:
    lines = []
    for group, label in (("dominant", "10 largest"), ("random", "10 random")):
        own = _of_ten(rows, group)
        layers, shares, low, high = (
            [float(row[column] or 0) for row in own] for column in (0, 3, 5, 6)
        )
        lines.append(Line(label, [int(layer) for layer in layers], shares, low, high))
    return Figure(
        "contribution", "Contribution of 10 sub-updates to the FFN update", "share", lines
    )


def _words(rows: list[tuple[Cell, ...]], numbers: list[tuple[Cell, ...]]) -> list[str]:
    own = [float(row[3] or 0) for row in _of_ten(rows, "dominant")]
    random = [float(row[3] or 0) for row in _of_ten(rows, "random")]
    if not own:
        return ["No layer has 10 value vectors and a coefficient that is not 0."]
    undefined = sum(int(row[5] or 0) for row in numbers)
    return [
        f"The 10 largest sub-updates contribute {min(own):.1%} to {max(own):.1%} of the FFN "
        f"update, by layer; 10 random ones {min(random):.1%} to {max(random):.1%}.",
        "",
        f"Readings where every coefficient is 0, which are left out: {undefined}.",
    ]


MEASUREMENT = Measurement(
    name="contribution",
    title="Contribution of dominant sub-updates",
    definition=(
        "s_i = m_i·v_i is the sub-update of value vector v_i with coefficient m_i at the position "
        "read (behind a norm after the FFN, with the norm's gain and scale). The contribution of "
        "the k largest is their share in Σ ‖s_j‖; a cell is the mean of shares over examples. "
        "Random: 10 vectors of the layer drawn for each example, dominant ones not excluded. The "
        "effective number is exp(entropy) of the shares (natural logarithm), the mean over "
        "examples. Intervals: 95%, percentile bootstrap over examples."
    ),
    source="Geva et al. (2022), appendix A.3 and figure 6; the effective number is an addition.",
    columns={
        "contribution": {
            "layer": "layer, counted from 0",
            "group": "dominant (the k largest) or random",
            "k": "number of sub-updates",
            "share": "mean share in Σ ‖s_j‖",
            "median": "median share",
            "low": "lower end of the 95% interval of the mean",
            "high": "its upper end",
            "expected": "k over the number of value vectors",
            "n": "examples with a coefficient that is not 0",
        },
        "effective": {
            "layer": "layer, counted from 0",
            "effective_number": "mean of exp(entropy)",
            "median": "its median",
            "low": "lower end of the 95% interval of the mean",
            "high": "its upper end",
            "undefined": "examples where every coefficient is 0, left out",
            "n": "the other examples",
        },
    },
    needs=("sizes",),
    draws=True,
    compute=compute,
    in_paper=InPaper(
        section="A.3",
        says=(
            "10 sub-updates are 0.24% of a layer's. In every layer of both models the dominant "
            "ones contribute more than random ones, typically about 5% of the FFN update, and over "
            "10% in layers 8 to 16 of WikiLM and in layer 1 of GPT2[^layers][^corpus][^prefix]. "
            "The paper concludes that looking at the 10 dominant ones is enough."
        ),
        tables=[
            Beside(
                "contribution",
                "Share of 10 sub-updates in an FFN update, mean over examples (figure 6)",
                "{layer}",
                [
                    Numbers("share", "dominant", "{:.1%}", {"group": "dominant"}, interval=True),
                    Numbers("share", "random", "{:.1%}", {"group": "random"}),
                    Numbers("expected", "10 of all", "{:.2%}", {"group": "random"}),
                ],
                {"k": DOMINANT},
                {
                    "WikiLM, paper": {(i,): _TYPICAL if i < 7 else _LARGE for i in range(16)},
                    "GPT2, paper": {(i,): _TYPICAL if i else _LARGE for i in range(24)},
                },
            ),
            Beside(
                "effective",
                "Effective number of sub-updates[^effective], mean over examples",
                "{layer}",
                [
                    Numbers("effective_number", "effective number", "{:,.0f}", interval=True),
                    Numbers("undefined", "undefined"),
                ],
            ),
        ],
        footnotes={
            "effective": "An addition to the paper: exp(entropy) of the shares, which so many "
            "sub-updates of equal size have.",
        },
    ),
)
