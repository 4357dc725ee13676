"""Skew and kurtosis of vectors' scores over the vocabulary, whatever the threads and blocks.

Coordinates are rounded to whole numbers of so few bits that float64 holds every sum of their
products exactly. A matrix product then gives the same scores in any order of additions, so on any
number of threads and on any device. The sums of their powers have a fixed order.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.projection.working_rows import RowReader

Floats = NDArray[np.float64]
_EXACT_BITS = 53  # whole numbers up to 2**53 are exact in float64
_TOKENS_AT_ONCE = 4096  # another size changes last bits
_VECTORS_AT_ONCE = 256
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Shapes:
    """Skew and excess kurtosis of n vectors' scores, each (n,); NaN where all scores are equal."""

    skew: Floats
    kurtosis: Floats


class ScoreMoments:
    """Moments of scores e·v over the rows of an unembedding that are `allowed`, shape (vocab,)."""

    def __init__(
        self, unembedding: RowReader, allowed: NDArray[np.bool_], device: torch.device = _CPU
    ) -> None:
        self._unembedding, self._allowed, self._device = unembedding, allowed, device
        d = unembedding.shape[1]
        bits = _EXACT_BITS - math.ceil(math.log2(d))  # for a product, so that d of them fit
        self._row_bits, self._vector_bits = bits // 2, bits - bits // 2

    def shapes(self, vectors: Floats, report: Callable[[int], None] = lambda rows: None) -> Shapes:
        """Skew and kurtosis of each vector's scores; `vectors` has the shape (n, d).

        `report` gets the number of rows of the unembedding that are done.

        Notes
        -----
        Vectors and rows are rounded to (53 − log₂ d) / 2 bits of their largest coordinates, 22 and
        21 bits for 768 dimensions. Scores are shifted by their mean over the first tokens; they and
        their second to fourth powers are summed, and the central moments follow from the sums.
        """
        n, count = len(vectors), 0
        largest = np.max(np.abs(vectors), axis=1, initial=0.0)
        factors = np.ldexp(1.0, self._vector_bits - np.frexp(largest)[1])
        whole = torch.from_numpy(np.rint(vectors * factors[:, None])).to(self._device)
        sums = torch.zeros((4, n), dtype=torch.float64, device=self._device)
        centre = torch.zeros(n, dtype=torch.float64, device=self._device)
        low, high = torch.full_like(centre, torch.inf), torch.full_like(centre, -torch.inf)
        for rows, scales, stop in self._blocks():
            for start in range(0, n, _VECTORS_AT_ONCE):
                part = slice(start, min(start + _VECTORS_AT_ONCE, n))
                scores = (whole[part] @ rows.T) * scales
                least, most = torch.aminmax(scores, dim=1)
                low[part] = torch.minimum(low[part], least)
                high[part] = torch.maximum(high[part], most)
                if not count:
                    centre[part] = _folded(scores.clone()) / len(scales)
                powers = torch.empty((4, *scores.shape), dtype=torch.float64, device=self._device)
                torch.sub(scores, centre[part, None], out=powers[0])
                for power, (one, other) in enumerate(((0, 0), (0, 1), (1, 1)), start=1):
                    torch.mul(powers[one], powers[other], out=powers[power])
                sums[:, part] += _folded(powers)
            count += len(scales)
            report(stop)
        return _shapes(sums.cpu().numpy() / count, (low == high).cpu().numpy())

    def _blocks(self) -> Iterator[tuple[torch.Tensor, torch.Tensor, int]]:
        """Allowed rows as whole numbers, the power of two that each was divided by, and the end."""
        n_rows = self._unembedding.shape[0]
        for start in range(0, n_rows, _TOKENS_AT_ONCE):
            stop = min(start + _TOKENS_AT_ONCE, n_rows)
            ids = np.flatnonzero(self._allowed[start:stop])
            if not ids.size:
                continue
            stored = self._unembedding.rows(start, stop)[torch.from_numpy(ids)]
            rows = stored.to(self._device, torch.float64)
            exponents = np.frexp(rows.abs().amax(1).cpu().numpy())[1]
            factors, scales = (
                torch.from_numpy(np.ldexp(1.0, sign * (self._row_bits - exponents))).to(
                    self._device
                )
                for sign in (1, -1)
            )
            yield torch.round(rows * factors[:, None]), scales, stop


def _folded(terms: torch.Tensor) -> torch.Tensor:
    """As `fixed_order_sum` along the last axis, on any device."""
    width = terms.shape[-1]
    while width > 1:
        half = width // 2
        terms[..., :half] += terms[..., width - half : width]
        width -= half
    return terms[..., 0]


def _shapes(means: Floats, are_equal: NDArray[np.bool_]) -> Shapes:
    """From the means of the first four powers of shifted scores, shape (4, n)."""
    m, second, third, fourth = means
    square = m * m
    variance = np.where(are_equal, np.nan, second - square)
    variance[~(variance > 0)] = np.nan
    third_central = third - 3 * m * second + 2 * m * square
    fourth_central = fourth - 4 * m * third + 6 * square * second - 3 * square * square
    return Shapes(
        third_central / (variance * np.sqrt(variance)),
        np.maximum(fourth_central / (variance * variance) - 3, -2),
    )
