"""Precision of the projection's first pass, and error bounds of its scores."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_UNIT = 2.0**-24  # half a unit in the last place of float32, in which products are summed up
_SMALLEST = 2.0**-126  # smaller numbers may be flushed to zero
_LARGEST = 2.0**100  # beyond, sums might overflow
_SAFE_TO_SQUARE = (2.0**-50, 2.0**50)  # float32 squares between these neither vanish nor overflow
_ROOM = 1 + 2.0**-20  # for the rounding of the norms in the bound itself
_CAPABILITIES = ("avx512_bf16", "amx_bf16", "bf16")
"""What processors that multiply bfloat16 natively say of themselves: x86 twice, then Arm."""


@dataclass(frozen=True)
class Arithmetic:
    """Matrix products of factors rounded to `dtype`, summed up in float32, stored as `dtype`.

    Attributes
    ----------
    output_unit
        Largest relative rounding error of a stored score; 0 where sums are stored as they are.
    summation
        How much worse than float32's own the error of a sum may be; above 1 for units that
        truncate, such as tensor cores.
    spare, spare_by_width
        How many candidates to take beyond a list of k tokens: k·(spare + spare_by_width·d/1024),
        so that a list that cannot be proved is rare. Errors grow with d, against the distances
        between neighbouring scores.
    """

    dtype: torch.dtype
    output_unit: float
    summation: float
    spare: float
    spare_by_width: float

    def candidates(self, top_k: int, d: int) -> int:
        """Number of candidates to take for a list of `top_k` by vectors of d dimensions."""
        return math.ceil(top_k * (1 + self.spare + self.spare_by_width * d / 1024))

    def errors(self, vectors: Floats, rounded: Floats, rows: "RowBounds") -> Floats:
        """Largest error of a score against e·v before it is stored, shape (n,).

        Parameters
        ----------
        vectors, rounded
            v and its rounded v̂, shape (n, d_model), magnitudes at most 1.
        rows
            Bounds over all rows e that can be scored.

        Notes
        -----
        With ê and v̂ the rounded factors and s the sum of their products in float32,

            |e·v - s| <= |e - ê|·|v| + |ê|·|v - v̂| + c·g·|ê|·|v̂|,   g = n·u / (1 - n·u),

        u = 2^-24, n = d + 4, c = `summation`: the last term holds for any order of summation [1]_.
        A term for numbers flushed to zero is added. Rounding on storing is left to `limit`.

        References
        ----------
        .. [1] Higham (2002), Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1.
        """
        if not rows.largest <= _LARGEST:
            return np.full(len(vectors), np.inf)
        n, d = vectors.shape[1] + 4, vectors.shape[1]
        growth = self.summation * n * _UNIT / (1 - n * _UNIT)
        errors: Floats = (
            rows.rounding * np.linalg.norm(vectors, axis=1)
            + rows.largest * np.linalg.norm(vectors - rounded, axis=1)
            + growth * rows.largest * np.linalg.norm(rounded, axis=1)
        )
        errors = errors * _ROOM + 2 * d * _SMALLEST * (1 + rows.largest)
        return errors

    def limit(self, scores: Floats, errors: Floats) -> Floats:
        """The largest true score behind a stored score of at most `scores`, both of shape (n,).

        A stored score t is s·(1 + δ), |δ| <= u, so |s - t| <= u / (1 - u)·|t|; the bound rises
        with t, so it holds for all lower scores too.
        """
        relative = self.output_unit / (1 - self.output_unit)
        limit: Floats = scores + relative * np.abs(scores) + errors
        return limit


@dataclass
class RowBounds:
    """Largest norm of a rounded row |ê| and largest rounding |e - ê|, over the rows seen."""

    largest: float = 0.0
    rounding: float = 0.0

    def add(self, stored: torch.Tensor, rounded: torch.Tensor) -> None:
        """Take in rows as they are stored and as they are multiplied, shape (rows, d)."""
        self.largest = max(self.largest, _largest_norm(rounded))
        wide = torch.promote_types(stored.dtype, rounded.dtype)
        if wide != rounded.dtype:  # the difference of a number and its rounding is exact
            self.rounding = max(self.rounding, _largest_norm(stored.to(wide) - rounded.to(wide)))


def _largest_norm(rows: torch.Tensor) -> float:
    """At least the largest norm of a row, and hardly more."""
    if not rows.shape[0]:
        return 0.0
    dtype = torch.promote_types(rows.dtype, torch.float32)
    norm = float(torch.linalg.vector_norm(rows, dim=1, dtype=dtype).max())
    if _SAFE_TO_SQUARE[0] <= norm <= _SAFE_TO_SQUARE[1]:
        return norm * (1 + rows.shape[1] * 2 * _UNIT)
    return float(torch.linalg.vector_norm(rows, dim=1, dtype=torch.float64).max())


FLOAT32 = Arithmetic(torch.float32, 0.0, summation=1.01, spare=0.2, spare_by_width=0.15)
BFLOAT16 = Arithmetic(torch.bfloat16, 2.0**-8, summation=4.0, spare=1.0, spare_by_width=0.8)


def arithmetics_for(device: torch.device) -> tuple[Arithmetic, ...]:
    """The passes on a device, fastest first; each takes what the one before left open."""
    return (BFLOAT16, FLOAT32) if _has_bfloat16(device) else (FLOAT32,)


def _has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 natively; emulated, it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    said = torch.cpu.get_capabilities()
    return any(said.get(name, False) for name in _CAPABILITIES)


@contextmanager
def summed_in_float32() -> Iterator[None]:
    """Forbid products with fewer bits than the bound counts on: TF32, and sums in bfloat16."""
    precision = torch.get_float32_matmul_precision()
    matmul = torch.backends.cuda.matmul
    reduced = matmul.allow_bf16_reduced_precision_reduction
    torch.set_float32_matmul_precision("highest")
    matmul.allow_bf16_reduced_precision_reduction = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        matmul.allow_bf16_reduced_precision_reduction = reduced
