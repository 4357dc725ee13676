"""The first pass of the projection: candidates in float32, with a bound on what they miss."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]
VECTORS_AT_ONCE = 1024
_UNIT = 2.0**-24  # half a unit in the last place of float32
_SMALLEST = 2.0**-126  # smaller float32 numbers may be flushed to zero
_LARGEST = 2.0**100  # beyond, float32 sums might overflow


class RowReader(Protocol):
    """A matrix whose rows can be read in pieces: the unembedding E, shape (vocab, d_model)."""

    @property
    def shape(self) -> tuple[int, int]: ...

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """Rows start..stop, all finite, in any floating-point type."""
        ...


@dataclass(frozen=True)
class Candidates:
    """Candidates of n lists: `ids` (n, c), -1 where there is none, and `limits` (n,): no token
    outside the candidates has a score (times the side's sign) above the limit."""

    ids: Ids
    limits: Floats


class _Side:
    """The running candidates of one side: sign 1 for the highest scores, -1 for the lowest."""

    def __init__(self, sign: int, n: int, count: int, device: torch.device) -> None:
        self.sign = sign
        self._scores = torch.full((n, count), -torch.inf, device=device)
        self._ids = torch.full((n, count), -1, dtype=torch.int64, device=device)

    def add(self, rows: slice, scores: torch.Tensor, first_id: int) -> None:
        """Merge a block's signed scores, shape (len(rows), block); masked ones are -inf."""
        count = self._scores.shape[1]
        best, places = scores.topk(min(count, scores.shape[1]), dim=1)
        ids = torch.where(best == -torch.inf, -1, places + first_id)
        both = torch.cat([self._scores[rows], best], dim=1)
        self._scores[rows], kept = both.topk(count, dim=1)
        self._ids[rows] = torch.cat([self._ids[rows], ids], dim=1).gather(1, kept)

    def finish(self, errors: Floats, *, complete: bool) -> Candidates:
        ids = self._ids.cpu().numpy()
        if complete:
            return Candidates(ids, np.full(len(ids), -np.inf))
        lowest = self._scores.min(dim=1).values.cpu().numpy().astype(np.float64)
        return Candidates(ids, lowest + errors)


def find_candidates(
    vectors: Floats,
    unembedding: RowReader,
    allowed: NDArray[np.bool_],
    count: int,
    signs: tuple[int, ...],
    *,
    device: torch.device,
    block_rows: int,
    report: Callable[[int], None],
) -> list[Candidates]:
    """The `count` best tokens by float32 score, per sign, with a proven limit on all others.

    The limit rests on |fl(e·v) - e·v| <= g·|e|·|v| with g = n·u / (1 - n·u), u = 2^-24, which holds
    for any order of summation (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed.,
    section 3.1); n = d + 4 leaves room for rounding both factors to float32 first.

    Parameters
    ----------
    vectors
        Shape (n, d_model), the largest magnitude of each row at most 1.
    allowed
        Shape (vocab,); only these rows of the unembedding can be candidates.
    """
    n_rows, d = unembedding.shape
    lower = torch.from_numpy(vectors.astype(np.float32)).to(device)
    sides = [_Side(sign, len(vectors), count, device) for sign in signs]
    largest = 0.0
    with _full_float32():
        for start in range(0, n_rows, block_rows):
            stop = min(start + block_rows, n_rows)
            block = unembedding.rows(start, stop).to(device, torch.float32)
            norms = torch.linalg.vector_norm(block, dim=1, dtype=torch.float64)
            largest = max(largest, float(norms.max()))
            forbidden = torch.from_numpy(~allowed[start:stop]).to(device)
            for rows in _slices(len(vectors), VECTORS_AT_ONCE):
                scores = lower[rows] @ block.T
                for side in sides:
                    signed = scores if side.sign > 0 else -scores
                    side.add(rows, signed.masked_fill(forbidden, -torch.inf), start)
            report(stop)
    errors = _errors(vectors, d, largest)
    complete = int(allowed.sum()) <= count
    return [side.finish(errors, complete=complete) for side in sides]


def _errors(vectors: Floats, d: int, largest: float) -> Floats:
    """How far a float32 score can be from the true one, per vector, shape (n,)."""
    if largest > _LARGEST:
        return np.full(len(vectors), np.inf)
    n = d + 4
    relative = 1.01 * n * _UNIT / (1 - n * _UNIT)
    norms = np.linalg.norm(vectors, axis=1)
    errors: Floats = relative * norms * largest + 2 * d * _SMALLEST * (1 + largest)
    return errors


def _slices(n: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


@contextmanager
def _full_float32() -> Iterator[None]:
    """Forbid TF32 and bfloat16 inside float32 products: the bound would not hold for them."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
