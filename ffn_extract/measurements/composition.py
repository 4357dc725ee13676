"""Composition: whether an FFN update's top token is that of one of its values (2021, 4.1)."""

import numpy as np

from ffn_extract.measurements.bootstrap import Floats, Summary, summaries
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

COLUMNS = ("layer", "active_share", "composed_share", "n")


def compute(readings: Readings) -> Result:
    """Shares of active values, and of updates whose top token is none of theirs, per layer."""
    shares, composed = _of_examples(readings)
    options = readings.options
    found = [
        summaries(some, seed=options.seed, resamples=options.resamples)
        for some in (shares, composed)
    ]
    rows: list[tuple[Cell, ...]] = [
        (layer, *(rounded(float(one.mean[layer])) for one in found), int(found[1].n[layer]))
        for layer in range(readings.n_layers)
    ]
    figures = [
        Figure(name, title, "share", [_line(label, one)])
        for (name, title, label), one in zip(_FIGURES, found, strict=True)
        if one.n.any()
    ]
    return Result([Table("composition", COLUMNS, rows)], figures, _words(rows))


_FIGURES = (
    ("active_share", "Value vectors that are active", "of a layer's value vectors"),
    ("composed_share", "FFN updates whose top token is of none of their values", "of examples"),
)


def _of_examples(readings: Readings) -> tuple[Floats, Floats]:
    """Share of active values, and 1 where an update is composed, both (examples, layers).

    The second one is NaN where nothing is active.
    """
    bits = np.asarray(readings.arrays["active"])
    tops = np.asarray(readings.arrays["top_update"])
    of_values = readings.value_tops()
    shares, composed = np.empty(tops.shape), np.empty(tops.shape)
    for layer, (n, own) in enumerate(zip(readings.n_values, of_values, strict=True)):
        for example, packed in enumerate(bits[:, layer]):
            active = np.unpackbits(packed, count=n).astype(np.bool_)
            shares[example, layer] = active.mean()
            same = bool((active & (own == tops[example, layer])).any())
            composed[example, layer] = not same if active.any() else np.nan
    return shares, composed


def _line(label: str, found: Summary) -> Line:
    layers = np.flatnonzero(~np.isnan(found.mean))
    ends = [np.where(np.isnan(end), found.mean, end) for end in (found.low, found.high)]
    values, low, high = (part[layers].tolist() for part in (found.mean, *ends))
    return Line(label, layers.tolist(), values, low, high)


def _words(rows: list[tuple[Cell, ...]]) -> list[str]:
    active = [float(row[1] or 0) for row in rows]
    composed = [float(row[2]) for row in rows if row[2] is not None]
    if not composed:
        return ["No value vector is active in any example."]
    return [
        f"Of a layer's value vectors, {min(active):.1%} to {max(active):.1%} are active, by layer. "
        f"In {min(composed):.1%} to {max(composed):.1%} of examples, the top token of the FFN "
        "update is the top token of none of its active values.",
    ]


MEASUREMENT = Measurement(
    name="composition",
    title="Composition of FFN updates",
    definition=(
        "A value vector is active in an example if its coefficient m at the position read is above "
        "0. The active share of a layer is the mean over examples. The top token of the FFN update "
        "o is the one with the highest E·o, and that of a value vector v the one with the highest "
        "E·v, E the unembedding, without the norm and without a bias; behind a norm after the FFN, "
        "v has the norm's gain. An update is composed if its top token is the top token of none of "
        "the layer's active values. Equal scores: the lower token id. Coefficients below 0, which "
        "FFNs without ReLU have, do not make a value active."
    ),
    source="Geva et al. (2021), section 4.1, figures 7 and 8.",
    columns={
        "composition": {
            "layer": "layer, counted from 0",
            "active_share": "share of the layer's value vectors that are active, mean of examples",
            "composed_share": "share of examples whose top token is that of no active value",
            "n": "examples with an active value, of which composed_share is a share",
        }
    },
    needs=("active",),
    compute=compute,
)
