"""Float64 scores of chosen pairs of vector and token, in a fixed order of additions."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.projection.fixed_order import fixed_order_sum
from ffn_extract.projection.working_rows import RowReader

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]
_PAIR_ELEMENTS = 1 << 18  # products held by a thread at once: 2 MB
_BLOCK_ELEMENTS = 1 << 24  # of the unembedding, read at once


def rescore(vectors: Floats, ids: Ids, unembedding: RowReader) -> Floats:
    """Scores e·v of candidates, shape of `ids`: (sides, n, c); 0 where the id is -1.

    Pairs are dealt out to as many threads as torch uses; each pair is summed by one of them alone,
    so their number makes no difference. Threads of our own wait for each other once per block,
    torch's would in every one of the many short operations.
    """
    n_rows, d = unembedding.shape
    lists = np.broadcast_to(np.arange(len(vectors))[None, :, None], ids.shape).ravel()
    order = np.argsort(ids, axis=None, kind="stable")
    in_order, of_vector = ids.ravel()[order], lists[order]
    sums = np.zeros(len(order))
    size, block_rows = max(1, _PAIR_ELEMENTS // d), max(1, _BLOCK_ELEMENTS // d)
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        for start in range(0, n_rows, block_rows):
            stop = min(start + block_rows, n_rows)
            first, last = np.searchsorted(in_order, [start, stop]).tolist()
            if first == last:
                continue
            block = unembedding.rows(start, stop)

            def score(begin: int, block: torch.Tensor = block, start: int = start) -> None:
                pairs = slice(begin, min(begin + size, last))  # noqa: B023 (used in this turn only)
                rows = _take(block, in_order[pairs] - start)
                sums[pairs] = fixed_order_sum(rows * vectors.take(of_vector[pairs], axis=0))

            list(threads.map(score, range(first, last, size)))
    scores = np.zeros(ids.shape)
    scores.ravel()[order] = sums
    return scores


def _take(block: torch.Tensor, places: Ids) -> "NDArray[np.floating]":
    """Rows of a block, as the same numbers in a type that numpy has."""
    if block.dtype == torch.bfloat16:  # the upper half of a float32
        upper = block.view(torch.int16).numpy().take(places, axis=0)
        rows: NDArray[np.floating] = np.left_shift(upper, 16, dtype=np.int32).view(np.float32)
    else:
        rows = block.numpy().take(places, axis=0)
    return rows
