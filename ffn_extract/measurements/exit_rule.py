"""Early exit by the overlap of clusters with those of earlier examples (section 6.2).

At layer l, A are the training examples that saturate there and B_s those that saturate at s > l.
An example exits where both the mean and the maximum of its overlaps with the members of A are
above those with the members of every B_s. A layer without A, or without any B_s, lets none exit.
"""

import numpy as np
from numpy.typing import NDArray

from ffn_extract.measurements.linkage import Labels

Overlaps = NDArray[np.int64]


def set_overlaps(some: Labels, others: Labels, signs: Labels, other_signs: Labels) -> Overlaps:
    """Σ of minimal multiplicities of clusters with the sign of m: (n, 10), (m, 10) to (n, m).

    A sub-update of sign 0, whose size is 0, is in no set.
    """
    # The second occurrence of a cluster in an example is another item than the first: then the
    # multiplicities in common are the items in common.
    both = np.concatenate([_items(some, signs), _items(others, other_signs)])
    _, numbers = np.unique(both.reshape(-1, 3), axis=0, return_inverse=True)
    numbers = np.where(both[..., 1] == 0, -1, numbers.reshape(both.shape[:2]))
    here, there = numbers[: len(some)], numbers[len(some) :]
    found = np.zeros((len(some), len(others)), dtype=np.int64)
    width = int(numbers.max(initial=-1)) + 1
    present = np.zeros((len(others), width), dtype=np.bool_)
    for column in there.T:
        known = column >= 0
        present[np.flatnonzero(known), column[known]] = True
    for column in here.T:
        known = column >= 0
        found[known] += present[:, column[known]].T
    return found


def _items(clusters: Labels, signs: Labels) -> Labels:
    """Cluster, sign, and number of the occurrence within the row: (n, 10) to (n, 10, 3)."""
    same = (clusters[:, :, None] == clusters[:, None, :]) & (signs[:, :, None] == signs[:, None, :])
    occurrence = np.tril(same, -1).sum(axis=2)
    return np.stack([clusters, signs, occurrence], axis=2).astype(np.int64)


def ordered_overlaps(some: Labels, others: Labels) -> Overlaps:
    """Ranks with the same cluster, whatever the signs: (n, 10), (m, 10) to (n, m).

    This is what the paper's released code counts. −1 stands for no sub-update of that rank.
    """
    found = np.zeros((len(some), len(others)), dtype=np.int64)
    for here, there in zip(some.T, others.T, strict=True):
        found += (here[:, None] == there) & (here[:, None] >= 0)
    return found


def exits(overlaps: Overlaps, saturated: Labels, layer: int) -> NDArray[np.bool_]:
    """Which examples exit at `layer`, by overlaps with training examples: (n, m) to (n,).

    `saturated` are the training examples' layers of saturation, shape (m,).
    """
    later = [saturated == s for s in np.unique(saturated[saturated > layer]).tolist()]
    here = saturated == layer
    fires = np.full(len(overlaps), bool(here.any()) and bool(later))
    for other in later if here.any() else ():
        a, b = overlaps[:, here], overlaps[:, other]
        # Means are compared in whole numbers.
        above = a.sum(axis=1) * b.shape[1] > b.sum(axis=1) * a.shape[1]
        fires &= above & (a.max(axis=1) > b.max(axis=1))
    return fires
