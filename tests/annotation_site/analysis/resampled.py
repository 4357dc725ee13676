"""Sums over resamples, from the weights that the measures take."""

from collections.abc import Iterator
from typing import Any

from annotation_site.analysis.intervals import SEED, drawn_weights, rows_of, stratum_sums
from annotation_site.analysis.strata import Floats, Integers


def resampled_sums(
    values: Floats,
    strata: Integers,
    *,
    resamples: int,
    seed: int = SEED,
    block: int = 1000,
    **options: Any,
) -> Iterator[Floats]:
    """For a block of resamples the sums of rows, shape (strata, block, columns)."""
    rows = rows_of(strata)
    parts = [values[inside] for inside in rows]
    for weights in drawn_weights(rows, resamples=resamples, seed=seed, block=block, **options):
        yield stratum_sums(parts, weights)
