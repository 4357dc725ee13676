"""Saturation and elimination events of examples (section 5.1)."""

import numpy as np
from numpy.typing import NDArray

from ffn_extract.measurements.kept import Arrays

Layers = NDArray[np.int64]


def saturation_layers(arrays: Arrays) -> Layers:
    """The smallest l with top(x̃_j) = w for all j ≥ l, of every example, shape (n,)."""
    agrees = arrays["top_after"] == np.asarray(arrays["final"])[:, None]
    lasting = np.logical_and.accumulate(agrees[:, ::-1], axis=1)[:, ::-1]
    layers: Layers = lasting.argmax(axis=1)
    return layers


def induced_by_ffn(arrays: Arrays) -> NDArray[np.bool_]:
    """Whether w was not top of x in the layer of saturation; never in the last one, shape (n,)."""
    layers = saturation_layers(arrays)
    ranks = np.take_along_axis(np.asarray(arrays["rank_before"]), layers[:, None], axis=1)[:, 0]
    last = arrays["top_after"].shape[1] - 1
    induced: NDArray[np.bool_] = (ranks > 1) & (layers < last)
    return induced


def elimination_layers(arrays: Arrays, first: int = 0) -> Layers:
    """The layer, from `first` on, whose update raises the rank of x's top token most.

    Ties: the lower layer. −1 where no update raises it, shape (n,).
    """
    rise = np.asarray(arrays["rank_after"])[:, first:] - 1
    if not rise.shape[1]:
        return np.full(len(rise), -1, dtype=np.int64)
    layers: Layers = np.where(rise.max(axis=1) > 0, rise.argmax(axis=1) + first, -1)
    return layers
