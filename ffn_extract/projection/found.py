"""Lists as one pass of the projection found them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Found:
    """Lists of n vectors on one side: `token_ids` and `scores`, both (n, top_k), best first.

    `proved` (n,) says of which lists no other token can be a part; the others are not to be used.
    """

    token_ids: NDArray[np.int64]
    scores: NDArray[np.float64]
    proved: NDArray[np.bool_]


class Search(Protocol):
    """One pass: a way to find lists fast, and to prove most of them."""

    def find(
        self,
        vectors: NDArray[np.float64],
        top_k: int,
        signs: tuple[int, ...],
        report: Callable[[int], None] = ...,
    ) -> list[Found]:
        """Lists of `vectors`, shape (n, d_model), magnitudes at most 1, for each sign."""
        ...
