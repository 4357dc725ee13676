"""Complete-linkage clustering of vectors by 1 − cos, in float64.

The distance of two clusters is that of their two members that are farthest apart; the two nearest
clusters are joined until the wanted number is left. As in Geva et al. (2022), section 5.2.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.projection.fixed_order import fixed_order_norm
from ffn_extract.running import one_thread

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
BLOCK = 512
"""Rows of distances computed at once; another number changes last bits."""
_FLOAT = 8


def linkage_bytes(n: int, d: int) -> int:
    """Memory for clustering n vectors of d coordinates: distances, vectors and a block of work."""
    return _FLOAT * (n * (n - 1) // 2 + 2 * n * d + 3 * BLOCK * n + 8 * n)


def directions(vectors: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Vectors of length 1, and which were zero and stay so: (n, d) to (n, d) and (n,)."""
    norms = fixed_order_norm(vectors)
    zero = norms == 0
    return vectors / np.where(zero, 1.0, norms)[:, None], zero


def cluster(
    units: Floats, number: int, told: Callable[[int, int], None] = lambda done, total: None
) -> Labels:
    """Clusters of vectors of length 1, shape (n, d) to (n,), 0 … number − 1 by their first member.

    Of joins at the same distance, the order of the vectors decides. `told` is called with rows of
    distances done, and all.
    """
    n = len(units)
    if number >= n:
        return np.arange(n)
    distances = condensed(units, told)
    merges = complete_linkage(distances)
    return cut(merges, n, number)


def condensed(units: Floats, told: Callable[[int, int], None] = lambda done, total: None) -> Floats:
    """1 − cos of every two vectors, d(0, 1), d(0, 2), …, d(n − 2, n − 1), shape (n(n − 1)/2,)."""
    n, place = len(units), 0
    found = np.empty(n * (n - 1) // 2)
    for start in range(0, n, BLOCK):
        block = _distances(units[start : start + BLOCK], units[start:])
        for row, of_row in enumerate(block):
            stop = place + len(of_row) - row - 1
            found[place:stop] = of_row[row + 1 :]
            place = stop
        told(min(start + BLOCK, n), n)
    return found


def complete_linkage(distances: Floats) -> Floats:
    """Joins of a condensed matrix in order, as SciPy's `linkage` gives them, shape (n − 1, 4).

    The distances are overwritten.
    """
    import fastcluster

    merges: Floats = fastcluster.linkage(
        _GivenAway(distances), method="complete", preserve_input=False
    )
    return merges


def cut(merges: Floats, n: int, number: int) -> Labels:
    """Clusters after the first n − number joins, numbered by their first member, shape (n,)."""
    parent = list(range(2 * n - 1))
    for step, (one, other) in enumerate(merges[: n - number, :2].astype(np.int64).tolist()):
        parent[one] = parent[other] = n + step
    for node in range(n + (n - number) - 1, -1, -1):  # parents have higher numbers
        parent[node] = parent[parent[node]]
    return numbered(parent[:n])


def join(units: Floats, members: Floats, labels: Labels) -> Labels:
    """The cluster whose farthest member is nearest, for vectors that were not clustered, (n,).

    `members` and their `labels` are those that were. Ties: the lower cluster.
    """
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    found = np.empty(len(units), dtype=np.int64)
    ordered = members[order]
    for start in range(0, len(units), BLOCK):
        distances = _distances(units[start : start + BLOCK], ordered)
        farthest = np.maximum.reduceat(distances, starts, axis=1)
        found[start : start + BLOCK] = labels[order][starts][farthest.argmin(axis=1)]
    return found


def numbered(labels: Any) -> Labels:
    """Labels as 0, 1, … in the order in which they first appear, shape (n,)."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    numbers = np.empty(len(first), dtype=np.int64)
    numbers[np.argsort(first)] = np.arange(len(first))
    found: Labels = numbers[inverse]
    return found


def _distances(some: Floats, others: Floats) -> Floats:
    """1 − cos of vectors of length 1, kept within 0 and 2: (n, d), (m, d) to (n, m)."""
    with one_thread():
        product = torch.from_numpy(some) @ torch.from_numpy(others).T
        found: Floats = product.neg_().add_(1.0).clamp_(0.0, 2.0).numpy()
    return found


class _GivenAway:
    """An array that its owner no longer needs.

    fastcluster first copies what it is given, even where it may overwrite it; this hands over the
    array itself, and halves the memory.
    """

    def __init__(self, array: Floats) -> None:
        self._array = array

    def __array__(self, dtype: object = None, copy: object = None) -> Floats:
        return self._array
