"""Exact search over every allowed token, for lists that no set of candidates proves (exact ties,
vectors of zeros, near-ties closer than float32 can tell).
"""

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.projection.arithmetic import FLOAT32, RowBounds, summed_in_float32
from ffn_extract.projection.fixed_order import fixed_order_sum
from ffn_extract.projection.working_rows import RowReader

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]
_LISTS_AT_ONCE = 64
_BLOCK_ELEMENTS = 1 << 22  # of the unembedding, held at once: 16 MB in float32


def search_exactly(
    vectors: Floats,
    signs: Ids,
    unembedding: RowReader,
    allowed: NDArray[np.bool_],
    top_k: int,
) -> tuple[Ids, Floats]:
    """Ids and scores, both (n, top_k), of the best tokens by fixed-order float64 scores.

    A float32 matrix product leaves out what its own error bound rules out; all else, however much
    that is, is scored in the fixed order and ranked by score times the list's sign (`signs`,
    shape (n,)), then by the lower id.
    """
    n_rows, d = unembedding.shape
    block_rows = max(1, _BLOCK_ELEMENTS // d)
    best = [_Best(vector, top_k, int(sign)) for vector, sign in zip(vectors, signs, strict=True)]
    rounded = torch.from_numpy(vectors).to(torch.float32)
    for start in range(0, n_rows, block_rows):
        stop = min(start + block_rows, n_rows)
        ids = np.flatnonzero(allowed[start:stop])
        if not ids.size:
            continue
        stored = unembedding.rows(start, stop)
        block = stored.to(torch.float32)
        bounds = RowBounds()
        bounds.add(stored, block)
        errors = FLOAT32.errors(vectors, rounded.to(torch.float64).numpy(), bounds)
        rows = (stored if stored.dtype == torch.float64 else block).numpy()
        for first in range(0, len(best), _LISTS_AT_ONCE):
            group = slice(first, first + _LISTS_AT_ONCE)
            with summed_in_float32():
                rough = (rounded[group] @ block.T).numpy()[:, ids]
            signed = signs[group, None] * rough.astype(np.float64)
            for one, row, error in zip(best[group], signed, errors[group].tolist(), strict=True):
                one.add(rows, ids, row, start, error)
    scores: Floats = np.stack([one.scores for one in best])
    return np.stack([one.ids for one in best]), signs[:, None] * scores


class _Best:
    """The running best tokens of one vector, by exact score times sign."""

    def __init__(self, vector: Floats, top_k: int, sign: int) -> None:
        self.ids: Ids = np.empty(0, dtype=np.int64)
        self.scores: Floats = np.empty(0)
        self._vector = vector
        self._top_k = top_k
        self._sign = sign

    def add(
        self, rows: NDArray[np.floating], ids: Ids, rough: Floats, start: int, error: float
    ) -> None:
        """Take in a block: its rows, the allowed places in it and their rough signed scores."""
        # Not "at least the floor": a sum that overflowed to NaN is ruled out by nothing.
        possible = ids[~(rough < self._floor(rough, error) - error)]
        exact = self._sign * fixed_order_sum(rows[possible] * self._vector)
        ids = np.concatenate([self.ids, possible + start])
        scores = np.concatenate([self.scores, exact])
        order = np.lexsort((ids, -scores))[: self._top_k]
        self.ids, self.scores = ids[order], scores[order]

    def _floor(self, rough: Floats, error: float) -> float:
        """A score that the list's last entry is sure to reach."""
        floors = [-np.inf]
        if len(self.scores) == self._top_k:
            floors.append(float(self.scores[-1]))
        if len(rough) >= self._top_k and error < np.inf:
            floors.append(float(np.partition(rough, -self._top_k)[-self._top_k]) - error)
        return max(floors)
