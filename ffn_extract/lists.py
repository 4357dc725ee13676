"""Rows of a bundle from vectors: projection and lists."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ffn_extract.architectures import ModelWeights
from ffn_extract.bundle import VectorRow
from ffn_extract.projection.fixed_order import fixed_order_norm
from ffn_extract.projection.projector import Projection
from ffn_extract.vectors import Vector
from ffn_extract.vocabulary import Vocabulary

Floats = NDArray[np.float64]


def prepared(vectors: Sequence[Vector], mode: str, weights: ModelWeights) -> Floats:
    """The input of the unembedding in a projection mode, shape (n, its width)."""
    values = np.stack([vector.values for vector in vectors])
    layers = np.array([vector.layer for vector in vectors])
    for layer in np.unique(layers).tolist() if mode != "raw" else ():
        norm, rows = weights.norm(layer), layers == layer
        values[rows] = norm.folded(values[rows]) if mode == "fold" else norm.normed(values[rows])
    return weights.before_unembedding(values)


def rows_of(
    vectors: Sequence[Vector], projection: Projection, vocabulary: Vocabulary
) -> Iterator[VectorRow]:
    """The rows of vectors and their lists, in the given order."""
    norms = fixed_order_norm(np.stack([vector.values for vector in vectors])).tolist()
    # Whole arrays at once: a call for each list would take longer than the lists.
    sides = [side for side in (projection.top, projection.bottom) if side]
    lists = [column.tolist() for side in sides for column in (side.token_ids, side.scores)]
    for vector, norm, ids, scores, *bottom in zip(vectors, norms, *lists, strict=True):
        update = vector.update
        yield VectorRow(
            kind=vector.kind,
            layer=vector.layer,
            index=vector.index,
            norm=norm,
            token_ids=ids,
            scores=scores,
            bottom_token_ids=bottom[0] if bottom else None,
            bottom_scores=bottom[1] if bottom else None,
            context=update.text if update else None,
            context_position=update.position if update else None,
            context_token=vocabulary.form(update.token_id).display if update else None,
        )


def token_ids_of(projection: Projection) -> list[int]:
    """The ids in all lists, ascending."""
    sides = [side for side in (projection.top, projection.bottom) if side]
    ids: list[int] = np.unique(np.concatenate([side.token_ids.ravel() for side in sides])).tolist()
    return ids
