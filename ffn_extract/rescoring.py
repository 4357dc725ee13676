"""Float64 scores of chosen pairs of vector and token, in an order of additions that is fixed."""

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.fixed_order import fold
from ffn_extract.working_rows import RowReader

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]
_PAIR_ELEMENTS = 1 << 18  # products held at once: 2 MB, about a core's cache
_BLOCK_ELEMENTS = 1 << 24  # of the unembedding, read at once


def rescore(vectors: Floats, ids: Ids, unembedding: RowReader) -> Floats:
    """Scores e·v of candidates, shape of `ids`: (sides, n, c); 0 where the id is -1.

    Only multiplications and additions element by element, which IEEE 754 defines bit by bit: torch
    may spread them over threads, and the scores are those of `fixed_order_sum`.
    """
    n_rows, d = unembedding.shape
    lists = np.broadcast_to(np.arange(len(vectors))[None, :, None], ids.shape).ravel()
    order = np.argsort(ids, axis=None, kind="stable")
    in_order = torch.from_numpy(ids.ravel()[order])
    of_vector = torch.from_numpy(lists[order])
    factors = torch.from_numpy(vectors)
    sums = torch.zeros(len(order), dtype=torch.float64)
    block_rows = max(1, _BLOCK_ELEMENTS // d)
    for start in range(0, n_rows, block_rows):
        stop = min(start + block_rows, n_rows)
        first, last = np.searchsorted(in_order.numpy(), [start, stop]).tolist()
        if first == last:
            continue
        block = unembedding.rows(start, stop)
        size = max(1, _PAIR_ELEMENTS // d)
        for begin in range(first, last, size):
            pairs = slice(begin, min(begin + size, last))
            products = block.index_select(0, in_order[pairs] - start).to(torch.float64)
            products *= factors.index_select(0, of_vector[pairs])
            sums[pairs] = fold(products)
    scores = np.zeros(ids.shape)
    scores.ravel()[order] = sums.numpy()
    return scores
