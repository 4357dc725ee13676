"""Scores E·v of value vectors over the vocabulary, and what measurements keep of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.errors import FFNExtractError
from ffn_extract.tracing.reader import Reader
from ffn_extract.tracing.unembed import Unembed, ranks, top

Ids = NDArray[np.int64]
Rows = Callable[[int, int], torch.Tensor]
"""From the first and the last but one index to vectors, shape (rows, d_model)."""


@dataclass(frozen=True)
class ScoredValues:
    """Of each value vector of a layer, shape (n_values,): the token with the highest score E·v, the
    largest probability of softmax(E·v), and the rank of a given token."""

    top: Ids
    largest: NDArray[np.float64]
    rank: Ids


def scored_values(
    unembed: Unembed, vectors: Rows, tokens: Ids, block: int, layer: int
) -> ScoredValues:
    """Score a layer's value vectors, `block` at a time; `tokens` are those whose rank is wanted.

    Raises FFNExtractError for vectors that are not finite numbers.
    """
    found: list[tuple[Ids, NDArray[np.float64], Ids]] = []
    wanted = torch.from_numpy(tokens)
    for start, scores in _in_blocks(unembed, vectors, len(tokens), block, layer):
        own = wanted[start : start + len(scores)].to(scores.device)
        # The largest probability is 1 / Σ exp(score − largest score).
        largest = scores.max(dim=1, keepdim=True).values
        total = torch.exp((scores - largest).to(torch.float64)).sum(dim=1)
        parts = (top(scores), 1 / total, ranks(scores, own))
        found.append(tuple(part.cpu().numpy() for part in parts))  # type: ignore[arg-type]
    tops, largest_ones, own_ranks = zip(*found, strict=True)
    return ScoredValues(
        np.concatenate(tops), np.concatenate(largest_ones), np.concatenate(own_ranks)
    )


def value_tops(reader: Reader, layer: int, block: int) -> Ids:
    """Top tokens of a layer's value vectors as the layer adds them: with the gain of a norm.

    Shape (n_values,). Raises FFNExtractError for vectors that are not finite numbers.
    """
    values = reader.values[layer]

    def taken(start: int, stop: int) -> torch.Tensor:
        return values.take(torch.arange(start, stop, device=values.device))

    tops = [
        top(scores).cpu().numpy()
        for _, scores in _in_blocks(reader.unembed, taken, len(values), block, layer)
    ]
    return np.concatenate(tops)


def _in_blocks(
    unembed: Unembed, vectors: Rows, n: int, block: int, layer: int
) -> Iterator[tuple[int, torch.Tensor]]:
    """The first index of each block, and its scores, shape (at most `block`, vocab)."""
    for start in range(0, n, block):
        rows = vectors(start, min(start + block, n))
        if not bool(torch.isfinite(rows).all()):
            raise FFNExtractError(f"Layer {layer}'s value vectors are not all finite numbers.")
        for scores in unembed.in_blocks(rows, block, unembed.of_vectors):
            yield start, scores
