"""Promotion and elimination: who pushes a token up or down (section 5.1, tables 3 and 4)."""

import numpy as np
from numpy.typing import NDArray

from ffn_extract.measurements.bootstrap import summaries
from ffn_extract.measurements.events import (
    elimination_layers,
    induced_by_ffn,
    saturation_layers,
)
from ffn_extract.measurements.in_paper import Beside, InPaper, Numbers
from ffn_extract.measurements.measurement import (
    Cell,
    Measurement,
    Readings,
    Result,
    Table,
    rounded,
)

COLUMNS = (
    "event", "layers", "group", "statistic", "score", "median", "low", "high", "events",
)  # fmt: skip
GROUPS = ("dominant", "random")
STATISTICS = ("max", "mean", "min")
Floats = NDArray[np.float64]


PAPER_EVENTS = {"WikiLM": (1_184, 1_909), "GPT2": (1_579, 1_996)}
"""Saturation and elimination events by the text of the paper, of 2,000 examples."""
_SCORES = [
    Numbers("score", heading, "{:.2f}", {"statistic": statistic}, interval=True)
    for statistic, heading in zip(STATISTICS, ("maximum", "mean", "minimum"), strict=True)
]


def of_ten(scores: Floats) -> Floats:
    """Maximum, mean and minimum over the last axis, NaN left out: (…, 10) to (…, 3)."""
    known = ~np.isnan(scores)
    count = known.sum(axis=-1)
    some = count > 0
    largest = np.where(known, scores, -np.inf).max(axis=-1)
    smallest = np.where(known, scores, np.inf).min(axis=-1)
    total = np.zeros(scores.shape[:-1])
    for place in range(scores.shape[-1]):  # one after the other: a fixed order of sums
        total += np.where(known[..., place], scores[..., place], 0.0)
    mean = total / np.where(some, count, 1)
    three = np.stack([largest, mean, smallest], axis=-1)
    return np.where(some[..., None], three, np.nan)


def compute(readings: Readings) -> Result:
    """Scores of the token of each event by the sub-updates of the event's layer."""
    arrays, options = readings.arrays, readings.options
    rows: list[tuple[Cell, ...]] = []
    for event in ("saturation", "elimination"):
        for first, layers in ((0, "all"), (1, "from_1")):
            places = _events(readings, event, first)
            of = "final" if event == "saturation" else "top"
            found = np.flatnonzero(places >= 0)
            for group in GROUPS:
                scores = np.asarray(arrays[f"{group}_{of}"], dtype=np.float64)
                values = of_ten(scores[found, places[found]])
                one = summaries(values, seed=options.seed, resamples=options.resamples)
                for i, statistic in enumerate(STATISTICS):
                    numbers = (one.mean, one.median, one.low, one.high)
                    own = (rounded(float(part[i])) for part in numbers)
                    rows.append((event, layers, group, statistic, *own, len(found)))
    table = _eliminations(readings)
    return Result([Table("promotion", COLUMNS, rows), table], [], _words(rows, table, readings))


def _events(readings: Readings, event: str, first: int) -> NDArray[np.int64]:
    """The layer of the event in each example, −1 without one."""
    if event == "elimination":
        return elimination_layers(readings.arrays, first)
    layers = saturation_layers(readings.arrays)
    return np.where(induced_by_ffn(readings.arrays) & (layers >= first), layers, -1)


def _eliminations(readings: Readings) -> Table:
    layers = elimination_layers(readings.arrays)
    found = np.flatnonzero(layers >= 0)
    gone = np.asarray(readings.arrays["top_before"])[found, layers[found]]
    is_input = gone == np.asarray(readings.input_ids)[found]
    counts = np.bincount(layers[found], minlength=readings.n_layers)
    inputs = np.bincount(layers[found][is_input], minlength=readings.n_layers)
    return Table(
        "elimination",
        ("layer", "events", "input_token"),
        [(layer, int(counts[layer]), int(inputs[layer])) for layer in range(readings.n_layers)],
    )


def _words(rows: list[tuple[Cell, ...]], table: Table, readings: Readings) -> list[str]:
    words = []
    for event in ("saturation", "elimination"):
        own = {row[3]: row for row in rows if row[:3] == (event, "all", "dominant")}
        n = int(own["max"][8] or 0)
        if not n:
            words += [f"There is no {event} event.", ""]
            continue
        largest, mean, smallest = (own[s][4] for s in STATISTICS)
        words += [
            f"In {n:,} {event} events, the 10 dominant sub-updates score the token with a maximum "
            f"of {largest:.2f}, a mean of {mean:.2f} and a minimum of {smallest:.2f}, each the "
            "mean over events.",
            "",
        ]
    first = table.rows[0]
    words.append(
        f"{first[1]:,} eliminations are in layer 0, and in {first[2]:,} of them the token is the "
        "input token."
    )
    return words


MEASUREMENT = Measurement(
    name="promotion",
    title="Promotion and elimination",
    definition=(
        "Saturation events: those induced by an FFN update before the last layer; the reference "
        "token is w, which the update brings to the top for good. Elimination events: one per "
        "example, the update with the largest rise in the rank of the token that was top before "
        "it (ties: the lower layer; no rise, no event); that token is the reference token. Its "
        "score by a sub-update is e_w·s_i, without the norm; maximum, mean and minimum over the 10 "
        "dominant or 10 random sub-updates of that layer, then the mean over events. In a model "
        "with tied embeddings many eliminations evict the input token in layer 0: "
        "`elimination.csv` counts them, and the rows `from_1` leave layer 0 out. Intervals: 95%, "
        "percentile bootstrap over events, none below 2 events."
    ),
    source="Geva et al. (2022), section 5.1, tables 3 and 4.",
    columns={
        "promotion": {
            "event": "saturation or elimination",
            "layers": "all, or from_1: without layer 0",
            "group": "dominant or random sub-updates",
            "statistic": "max, mean or min over the 10",
            "score": "mean over events",
            "median": "median over events",
            "low": "lower end of the 95% interval of the mean",
            "high": "its upper end",
            "events": "number of events",
        },
        "elimination": {
            "layer": "layer, counted from 0",
            "events": "elimination events there",
            "input_token": "those of the token at the position read",
        },
    },
    needs=("candidates", "pushes"),
    draws=True,
    compute=compute,
    in_paper=InPaper(
        section="5.1",
        says=(
            "Tokens that are promoted to the top get high maximum scores from a few dominant "
            "sub-updates; tokens that leave the top get mean scores near 0, and maximum and "
            "minimum scores of similar size. So the paper concludes that FFN updates promote "
            "tokens, and eliminate them only indirectly. Random sub-updates[^random] have much "
            "smaller scores.[^corpus][^prefix]"
        ),
        tables=[
            Beside(
                "promotion",
                "Events",
                "{event}",
                [Numbers("events", "this model")],
                {"layers": "all", "group": "dominant", "statistic": "max"},
                {
                    f"{name}, paper": {
                        ("saturation",): f"{saturation:,}[^swapped]",
                        ("elimination",): f"{elimination:,}",
                    }
                    for name, (saturation, elimination) in PAPER_EVENTS.items()
                },
            ),
            Beside(
                "promotion",
                "Score of the event's token by 10 sub-updates of its layer, mean over events "
                "(table 4[^scores])",
                "{event}, {group}",
                _SCORES,
                {"layers": "all"},
            ),
            Beside(
                "promotion",
                "The same of events from layer 1 on[^first-layer]",
                "{event}, {group}",
                _SCORES,
                {"layers": "from_1"},
            ),
            Beside(
                "elimination",
                "Eliminations by layer, and those of the input token[^first-layer]",
                "{layer}",
                [Numbers("events", "events"), Numbers("input_token", "of the input token")],
            ),
        ],
        footnotes={
            "swapped": "These two counts contradict the paper's tables 9 and 10, by which 84.78% "
            "of examples in WikiLM and 65.85% in GPT2 saturate before the last layer: at most "
            "1,696 and 1,317 of 2,000. 1,579 events do not fit into 1,317. Swapped, both fit: "
            "1,579 for WikiLM and 1,184 for GPT2.",
            "scores": "Table 4 of the paper has these scores for its models. A score depends on "
            "the scale of a model's vectors, so compare signs and proportions, not sizes.",
            "first-layer": "An addition to the paper. Where embeddings are tied, the token on top "
            "before the first FFN update is mostly the input token itself, and its elimination in "
            "layer 0 tells little.",
            "random": "Drawn among all vectors of the layer, dominant ones not excluded, as in the "
            "released code.",
        },
    ),
)
