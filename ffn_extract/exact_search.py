"""The projection's last resort: every allowed token in float64, for lists that nothing shorter
proves (exact ties, vectors of zeros, near-ties closer than float32 can tell)."""

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.candidates import RowReader
from ffn_extract.fixed_order import fixed_order_sum

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]
_VECTORS_AT_ONCE = 64
_UNIT = 2.0**-53


def search_exactly(
    vectors: Floats,
    unembedding: RowReader,
    allowed: NDArray[np.bool_],
    top_k: int,
    sign: int,
    block_rows: int,
) -> tuple[Ids, Floats]:
    """Ids and scores, both (n, top_k), of the best tokens by fixed-order float64 scores.

    A float64 matrix product leaves out what its own error bound rules out; all else is scored in
    the fixed order and ranked by score times `sign`, then by the lower id.
    """
    n_rows, d = unembedding.shape
    best = [_Best(vector, top_k, sign) for vector in vectors]
    for first in range(0, len(best), _VECTORS_AT_ONCE):
        group = best[first : first + _VECTORS_AT_ONCE]
        stacked = torch.from_numpy(np.stack([one.vector for one in group]))
        for start in range(0, n_rows, block_rows):
            stop = min(start + block_rows, n_rows)
            block = unembedding.rows(start, stop).to(torch.float64)
            ids = np.flatnonzero(allowed[start:stop])
            rough = sign * (stacked @ block.T).numpy()[:, ids]
            rows = block.numpy()
            largest = float(np.linalg.norm(rows, axis=1).max())
            error = 2.02 * (d + 2) * _UNIT * largest
            for one, scores in zip(group, rough, strict=True):
                one.add(rows, ids, scores, start, error * float(np.linalg.norm(one.vector)))
    return np.stack([one.ids for one in best]), sign * np.stack([one.scores for one in best])


class _Best:
    """The running best tokens of one vector, by exact score times sign."""

    def __init__(self, vector: Floats, top_k: int, sign: int) -> None:
        self.vector = vector
        self.ids: Ids = np.empty(0, dtype=np.int64)
        self.scores: Floats = np.empty(0)
        self._top_k = top_k
        self._sign = sign

    def add(self, rows: Floats, ids: Ids, rough: Floats, start: int, error: float) -> None:
        """Take in a block: its rows, the allowed places in it and their rough signed scores."""
        possible = ids[rough >= self._floor(rough, error) - error]
        exact = self._sign * fixed_order_sum(rows[possible] * self.vector)
        ids = np.concatenate([self.ids, possible + start])
        scores = np.concatenate([self.scores, exact])
        order = np.lexsort((ids, -scores))[: self._top_k]
        self.ids, self.scores = ids[order], scores[order]

    def _floor(self, rough: Floats, error: float) -> float:
        """A score that the list's last entry is sure to reach."""
        floors = [-np.inf]
        if len(self.scores) == self._top_k:
            floors.append(float(self.scores[-1]))
        if len(rough) >= self._top_k:
            floors.append(float(np.partition(rough, -self._top_k)[-self._top_k]) - error)
        return max(floors)
