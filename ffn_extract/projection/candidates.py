"""First pass of the projection: candidates in low precision, with a bound on all other tokens."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.projection.arithmetic import Arithmetic, summed_in_float32
from ffn_extract.projection.products import product
from ffn_extract.projection.working_rows import GROUP, Block, WorkingRows

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]
VECTORS_AT_ONCE = 512


@dataclass(frozen=True)
class Candidates:
    """Candidates of n lists: `ids` (n, c), -1 where there is none, and `limits` (n,): no token
    outside the candidates has a score (times the side's sign) above the limit."""

    ids: Ids
    limits: Floats


def find_candidates(
    vectors: Floats,
    rows: WorkingRows,
    top_k: int,
    signs: tuple[int, ...],
    report: Callable[[int], None] = lambda rows: None,
) -> list[Candidates]:
    """The best tokens by low-precision score, per sign, with a proven limit on all others.

    Parameters
    ----------
    vectors
        Shape (n, d_model), the largest magnitude of each row at most 1.
    rows
        The unembedding in the precision in which this pass multiplies.
    top_k
        Length of the lists to come; more candidates than that are taken.
    signs
        1 for the highest scores, -1 for the lowest.

    Notes
    -----
    All candidates come from the groups of neighbouring tokens with the highest maxima: c groups
    hold the c best scores, because a score outside them is below c maxima.
    """
    arithmetic = rows.arithmetic
    count = min(arithmetic.candidates(top_k, vectors.shape[1]), rows.count)
    rounded = torch.from_numpy(vectors).to(arithmetic.dtype)
    sides = [_Side(sign, len(vectors), count, arithmetic, rows.device) for sign in signs]
    lower = rounded.to(rows.device)
    with summed_in_float32():
        for block in rows.blocks(report):
            for part in _slices(len(vectors), VECTORS_AT_ONCE):
                scores = product(lower[part], block.rows)
                for side in sides:
                    side.add(part, scores, block)
    errors = arithmetic.errors(vectors, rounded.to(torch.float64).numpy(), rows.bounds)
    return [side.finish(errors, complete=count == rows.count) for side in sides]


class _Side:
    """The running candidates of one side: sign 1 for the highest scores, -1 for the lowest."""

    def __init__(
        self, sign: int, n: int, count: int, arithmetic: Arithmetic, device: torch.device
    ) -> None:
        self._sign = sign
        self._arithmetic = arithmetic
        worst = -sign * torch.inf
        self._scores = torch.full((n, count), worst, dtype=arithmetic.dtype, device=device)
        self._ids = torch.full((n, count), -1, dtype=torch.int64, device=device)

    def add(self, part: slice, scores: torch.Tensor, block: Block) -> None:
        """Merge a block's scores, shape (len(part), block); those of padding are overwritten."""
        scores[:, block.count :] = -self._sign * torch.inf
        count = min(self._scores.shape[1], block.count)
        best, places = _best(scores, count, self._sign)
        merged = torch.cat([self._scores[part], best], dim=1)
        ids = torch.cat([self._ids[part], block.ids[places]], dim=1)
        self._scores[part], kept = merged.topk(
            self._scores.shape[1], dim=1, largest=self._sign > 0, sorted=False
        )
        self._ids[part] = ids.gather(1, kept)

    def finish(self, errors: Floats, *, complete: bool) -> Candidates:
        """The candidates with their limits; `complete` says that every allowed row is one."""
        ids = self._ids.cpu().numpy()
        if complete:  # unless scores that overflowed to NaN have given way to padding
            return Candidates(ids, np.where((ids >= 0).all(axis=1), -np.inf, np.inf))
        signed = self._sign * self._scores.to(torch.float64)
        lowest: Floats = signed.min(dim=1).values.cpu().numpy()
        return Candidates(ids, self._arithmetic.limit(lowest, errors))


def _best(scores: torch.Tensor, count: int, sign: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The `count` best scores of each row and their columns, in any order."""
    n, width = scores.shape
    if width // GROUP <= count:
        values, places = scores.topk(count, dim=1, largest=sign > 0, sorted=False)
        return values, places
    groups = scores.view(n, -1, GROUP)
    heads = groups.amax(dim=2) if sign > 0 else groups.amin(dim=2)
    chosen = heads.topk(count, dim=1, largest=sign > 0, sorted=False).indices
    offsets = torch.arange(n, device=scores.device)[:, None] * heads.shape[1]
    flat = groups.view(-1, GROUP).index_select(0, (chosen + offsets).view(-1)).view(n, -1)
    values, within = flat.topk(count, dim=1, largest=sign > 0, sorted=False)
    places = chosen.gather(1, within // GROUP) * GROUP + within % GROUP
    return values, places


def _slices(n: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, n)) for start in range(0, n, size))
