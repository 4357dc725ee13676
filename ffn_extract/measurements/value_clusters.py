"""Clusters of all value vectors of a model, which several measurements share."""

from collections.abc import Callable, Sequence

import numpy as np

from ffn_extract.architectures import ModelWeights
from ffn_extract.errors import FFNExtractError, OptionError
from ffn_extract.measurements.linkage import (
    Labels,
    cluster,
    directions,
    join,
    linkage_bytes,
    numbered,
)
from ffn_extract.measurements.options import MeasureOptions

_SAMPLE = 3  # spawn key, beside those of examples and draws


def require_clusters(
    name: str, sizes: Sequence[int], d_model: int, options: MeasureOptions, free: int | None
) -> None:
    """Refuse a number of clusters, or of value vectors, with which there is no result.

    `sizes` are the value vectors of each layer, `free` the bytes that processes can have. Raises
    OptionError.
    """
    n = sum(sizes)
    clustered = min(n, options.cluster_sample or n)
    if options.clusters >= clustered:
        raise OptionError(
            f"{name} has {n:,} value vectors, of which {clustered:,} are clustered; "
            f"{options.clusters:,} clusters are not fewer. Give a smaller --clusters."
        )
    held = 8 * n * d_model if clustered < n else 0
    needed = held + linkage_bytes(clustered, d_model)
    if free is not None and needed > free:
        fits = next((m for m in _ROUND if 8 * n * d_model + linkage_bytes(m, d_model) < free), 0)
        way_out = f"Give --cluster-sample {fits}" if fits else "Close other programs"
        raise OptionError(
            f"Clustering {clustered:,} value vectors of {name} needs about {needed / 1e9:.1f} GB "
            f"of memory, and {free / 1e9:.1f} GB are free. {way_out}, or use a larger machine."
        )


_ROUND = tuple(lead * 10**power for power in (5, 4, 3) for lead in (8, 6, 5, 4, 3, 2, 1))


def value_clusters(
    weights: ModelWeights,
    options: MeasureOptions,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Labels:
    """The cluster of every value vector in the order (layer, index), shape (n,).

    The vectors are those that lists are made of: without the gain of a norm after the FFN. Zero
    vectors are one of the clusters. With `options.cluster_sample`, so many of the others are
    clustered, drawn by the seed, and each that remains joins the cluster whose farthest member is
    nearest. `told` is called with rows of distances done, and all.

    Raises FFNExtractError for numbers that are not finite.
    """
    starts = np.cumsum([0, *(weights.n_values(layer) for layer in weights.layers)])
    units = np.empty((int(starts[-1]), weights.dimensions.d_model))
    zero = np.zeros(len(units), dtype=np.bool_)
    for place, layer in enumerate(weights.layers):
        values = weights.value_rows(layer, 0, weights.n_values(layer)).double().numpy()
        if not np.isfinite(values).all():
            raise FFNExtractError(f"Layer {layer}'s value vectors are not all finite numbers.")
        own = slice(int(starts[place]), int(starts[place + 1]))
        units[own], zero[own] = directions(values)
    number = options.clusters - bool(zero.any())
    labels = np.full(len(units), -1, dtype=np.int64)
    others = np.flatnonzero(~zero)
    chosen = others
    if options.cluster_sample is not None and options.cluster_sample < len(others):
        sequence = np.random.SeedSequence(options.seed, spawn_key=(_SAMPLE,))
        generator = np.random.Generator(np.random.PCG64(sequence))
        chosen = np.sort(generator.choice(others, options.cluster_sample, replace=False))
    members = units if len(chosen) == len(units) else units[chosen]
    labels[chosen] = cluster(members, number, told)
    rest = np.setdiff1d(others, chosen, assume_unique=True)
    if len(rest):
        labels[rest] = join(units[rest], members, labels[chosen])
    return numbered(labels)
