"""Float64 sums whose order of additions is fixed by their length alone.

Library reductions add in an order that depends on the number of threads, the block and the kind
of processor. These are made of element-wise additions, which IEEE 754 defines bit by bit, so the
same numbers give the same sum everywhere.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def fixed_order_sum(terms: Floats, axis: int = -1) -> Floats:
    """The sum of `terms` along an axis, by folding the upper half onto the lower.

    Shape (..., n, ...) to (..., ...); n = 0 gives 0. `terms` is used as working space. The error
    is at most about log2(n) units in the last place of the sum of magnitudes.
    """
    folded = np.moveaxis(terms, axis, -1)
    width = folded.shape[-1]
    if width == 0:
        return np.zeros(folded.shape[:-1])
    while width > 1:
        half = width // 2
        np.add(folded[..., :half], folded[..., width - half : width], out=folded[..., :half])
        width -= half
    total: Floats = folded[..., 0].copy()
    return total


def fixed_order_norm(vectors: Floats) -> Floats:
    """Euclidean norms along the last axis, shape (n, d) to (n,), safe from overflow."""
    scale = np.max(np.abs(vectors), axis=-1, initial=0.0)
    divisor = np.where(scale > 0, scale, 1.0)
    norms: Floats = scale * np.sqrt(fixed_order_sum((vectors / divisor[..., None]) ** 2))
    return norms
