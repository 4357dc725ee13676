"""Statistics of every value vector of a layer: norm, shape of its scores, cosine with its key."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from ffn_extract.architectures import ModelWeights
from ffn_extract.bundle import ValueStatisticsRow
from ffn_extract.lists import prepared
from ffn_extract.projection.fixed_order import fixed_order_norm, fixed_order_sum
from ffn_extract.projection.score_moments import ScoreMoments
from ffn_extract.vectors import all_value_vectors, key_vectors

Floats = NDArray[np.float64]


def layer_statistics(
    weights: ModelWeights,
    layer: int,
    projection: str,
    moments: ScoreMoments,
    report: Callable[[int], None] = lambda vectors: None,
) -> Iterator[ValueStatisticsRow]:
    """The statistics of each value vector of a layer, by index; `report` gets how many are done."""
    done, n_rows = 0, weights.dimensions.vocab_size
    for vectors in all_value_vectors(weights, layer):

        def within(rows: int, before: int = done, batch: int = len(vectors)) -> None:
            report(before + batch * rows // n_rows)

        shapes = moments.shapes(prepared(vectors, projection, weights), within)
        values = np.stack([vector.values for vector in vectors])
        norms = fixed_order_norm(values)
        cosines = _key_cosines(weights, layer, done, values, norms)
        for i, (vector, norm) in enumerate(zip(vectors, norms.tolist(), strict=True)):
            yield ValueStatisticsRow(
                layer,
                vector.index,
                norm,
                _number(shapes.kurtosis[i]),
                _number(shapes.skew[i]),
                _number(cosines[i]),
            )
        done += len(vectors)
        report(done)


def _key_cosines(
    weights: ModelWeights, layer: int, start: int, values: Floats, norms: Floats
) -> Floats:
    """Cosines of values start… with their keys; NaN where one is zero or keys are not known."""
    if not weights.has_keys(layer):
        return np.full(len(values), np.nan)
    (batch,) = key_vectors(weights, layer, range(start, start + len(values)))
    keys = np.stack([vector.values for vector in batch])
    key_norms = fixed_order_norm(keys)
    nonzero = (norms > 0) & (key_norms > 0)
    unit, unit_key = (
        vectors / np.where(nonzero, lengths, 1.0)[:, None]
        for vectors, lengths in ((values, norms), (keys, key_norms))
    )
    cosines: Floats = np.where(nonzero, fixed_order_sum(unit * unit_key), np.nan)
    return np.clip(cosines, -1, 1)


def _number(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)
