"""Lists of the highest and lowest scores by PyTorch's products, on any device."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.projection.arithmetic import Arithmetic
from ffn_extract.projection.candidates import Candidates, find_candidates
from ffn_extract.projection.found import Found
from ffn_extract.projection.rescoring import rescore
from ffn_extract.projection.working_rows import RowReader, WorkingRows

Floats = NDArray[np.float64]


class TorchSearch:
    """Searches an unembedding for lists, with candidates from products in an arithmetic.

    `block_rows` rows of E are taken at once; `keep` holds them rounded between calls.
    """

    def __init__(
        self,
        unembedding: RowReader,
        allowed: NDArray[np.bool_],
        arithmetic: Arithmetic,
        device: torch.device,
        *,
        block_rows: int | None = None,
        keep: bool = False,
    ) -> None:
        self._unembedding = unembedding
        self._rows = WorkingRows(
            unembedding, allowed, arithmetic, device, block_rows=block_rows, keep=keep
        )

    def find(
        self,
        vectors: Floats,
        top_k: int,
        signs: tuple[int, ...],
        report: Callable[[int], None] = lambda rows: None,
    ) -> list[Found]:
        """Lists of `vectors`, shape (n, d_model), magnitudes at most 1, for each sign."""
        found = find_candidates(vectors, self._rows, top_k, signs, report)
        scores = rescore(vectors, np.stack([side.ids for side in found]), self._unembedding)
        return [
            _decide(side, of_side, sign, top_k)
            for side, of_side, sign in zip(found, scores, signs, strict=True)
        ]


def _decide(side: Candidates, scores: Floats, sign: int, top_k: int) -> Found:
    """The best candidates of each list, and whether nothing outside them can be better."""
    signed = np.where(side.ids >= 0, sign * scores, -np.inf)
    order = np.lexsort((side.ids, -signed), axis=1)[:, :top_k]
    worst_kept = np.take_along_axis(signed, order[:, -1:], axis=1)[:, 0]
    return Found(
        np.take_along_axis(side.ids, order, axis=1),
        np.take_along_axis(scores, order, axis=1),
        worst_kept > side.limits,
    )
