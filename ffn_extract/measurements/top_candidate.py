"""Scores of the top candidate by sub-updates, layer by layer (section 5.2, figure 3)."""

import numpy as np

from ffn_extract.measurements.bootstrap import summaries
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
from ffn_extract.measurements.promotion import GROUPS, STATISTICS, of_ten

COLUMNS = (
    "layer", "group", "extreme", "statistic", "score", "median", "low", "high", "n",
)  # fmt: skip
PERCENTILE = 99.9


def extreme_thresholds(readings: Readings) -> tuple[float, float]:
    """Scores above and below which a sub-update is extreme."""
    above, below = readings.options.extreme_above, readings.options.extreme_below
    if above is None or below is None:
        dominant = np.asarray(readings.arrays["dominant_top"], dtype=np.float64)
        above = float(np.nanpercentile(np.abs(dominant), PERCENTILE))
        below = -above
    return above, below


def compute(readings: Readings) -> Result:
    """Maximum, mean and minimum over the 10, with and without extreme sub-updates."""
    options, arrays = readings.options, readings.arrays
    dominant = np.asarray(arrays["dominant_top"], dtype=np.float64)
    above, below = extreme_thresholds(readings)
    rows: list[tuple[Cell, ...]] = []
    n = len(dominant)
    found = {}
    for group in GROUPS:
        scores = np.asarray(arrays[f"{group}_top"], dtype=np.float64)
        within = np.where((scores > above) | (scores < below), np.nan, scores)
        for extreme, some in (("with", scores), ("without", within)):
            values = of_ten(some).reshape(n, -1)
            found[group, extreme] = summaries(
                values, seed=options.seed, resamples=options.resamples
            )
    for layer in range(readings.n_layers):
        for (group, extreme), one in found.items():
            for i, statistic in enumerate(STATISTICS):
                place = layer * len(STATISTICS) + i
                numbers = (one.mean, one.median, one.low, one.high)
                own = (rounded(float(part[place])) for part in numbers)
                rows.append((layer, group, extreme, statistic, *own, int(one.n[place])))
    extremes = int(((dominant > above) | (dominant < below)).sum())
    return Result(
        [Table("top_candidate", COLUMNS, rows)],
        [_figure(rows, extreme) for extreme in ("with", "without")],
        [
            f"A dominant sub-update is extreme with a score above {above:.3g} or below "
            f"{below:.3g}; {extremes:,} of {int((~np.isnan(dominant)).sum()):,} are.",
        ],
        {"extreme_above": rounded(above), "extreme_below": rounded(below)},
    )


def _figure(rows: list[tuple[Cell, ...]], extreme: str) -> Figure:
    lines = []
    for group in GROUPS:
        for statistic in STATISTICS:
            own = [
                row
                for row in rows
                if row[1:4] == (group, extreme, statistic) and row[4] is not None
            ]
            layers, scores = ([float(row[column] or 0) for row in own] for column in (0, 4))
            ends = [[_end(row[c], row[4]) for row in own] for c in (6, 7)]
            lines.append(Line(f"{group}, {statistic}", [int(one) for one in layers], scores, *ends))
    return Figure(
        f"top_candidate_{extreme}",
        f"Score of the top candidate, {extreme} extreme sub-updates",
        "score",
        lines,
    )


def _end(end: Cell, value: Cell) -> float:
    """The end of an interval; the value itself where there is none."""
    return float(value or 0) if end is None else float(end)


MEASUREMENT = Measurement(
    name="top-candidate",
    title="The top candidate across layers",
    definition=(
        "The reference token of a layer is the top token of x, before the FFN update. Its score by "
        "a sub-update is e_w·s_i, without the norm; maximum, mean and minimum over the 10 dominant "
        "or 10 random sub-updates, then the mean over examples. A sub-update is extreme with a "
        "score beyond two thresholds, by default minus and plus the 99.9th percentile of |score| "
        "over all dominant ones, which the manifest names. The rows `without` leave extreme ones "
        "out, and examples where none remains; n counts the others. Intervals: 95%, percentile "
        "bootstrap over examples."
    ),
    source="Geva et al. (2022), section 5.2 and figure 3.",
    columns={
        "top_candidate": {
            "layer": "layer, counted from 0",
            "group": "dominant or random sub-updates",
            "extreme": "with or without extreme ones",
            "statistic": "max, mean or min over the 10",
            "score": "mean over examples",
            "median": "median over examples",
            "low": "lower end of the 95% interval of the mean",
            "high": "its upper end",
            "n": "examples with a sub-update",
        }
    },
    needs=("candidates", "pushes"),
    draws=True,
    compute=compute,
    in_paper=InPaper(
        section="5.2",
        says=(
            "Until the last few layers (14 to 16 of WikiLM, 23 and 24 of GPT2) maximum and minimum "
            "scores lie around mean scores that are not negative, with peaks of the maximum in "
            "layers 4 to 11 of WikiLM and 3 to 5 of GPT2. In the last layers minimum scores are "
            "strongly negative.[^layers][^corpus][^prefix]"
        ),
        tables=[
            Beside(
                "top_candidate",
                f"Score of the top candidate by 10 dominant sub-updates, mean over examples, "
                f"{extreme} extreme ones[^threshold] (figure 3)",
                "{layer}",
                [
                    Numbers("score", heading, "{:.2f}", {"statistic": statistic})
                    for statistic, heading in zip(
                        STATISTICS, ("maximum", "mean", "minimum"), strict=True
                    )
                ],
                {"group": "dominant", "extreme": extreme},
            )
            for extreme in ("with", "without")
        ],
        footnotes={
            "threshold": "The paper chose a threshold for each of its models. By default it is "
            f"the {PERCENTILE}th percentile of |score| here (--extreme-below, --extreme-above).",
        },
    ),
)
