"""Scores of vectors over the vocabulary and their exact top tokens.

A first pass in float32 finds candidates, float64 in a fixed order decides among them, and an error
bound proves that no other token can belong to the list; where it cannot, everything is searched
in float64. So the lists depend neither on threads nor on blocks nor on the device.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.candidates import Candidates, RowReader, find_candidates
from ffn_extract.errors import FFNExtractError
from ffn_extract.exact_search import search_exactly
from ffn_extract.fixed_order import fixed_order_sum

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]
EXTRA_CANDIDATES = 18
BLOCK_ROWS = 8192
_PAIR_ELEMENTS = 1 << 18  # products held at once while rescoring: 2 MB, about a core's cache
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class TopTokens:
    """Lists of n vectors: `token_ids` (n, k), best first, and their `scores` (n, k), float64."""

    token_ids: Ids
    scores: Floats


@dataclass(frozen=True)
class Projection:
    """Lists of the highest scores and, where asked for, of the lowest.

    `fallbacks` counts the lists that the error bound could not prove.
    """

    top: TopTokens
    bottom: TopTokens | None
    fallbacks: int


def project(
    vectors: Floats,
    unembedding: RowReader,
    allowed: NDArray[np.bool_],
    top_k: int,
    *,
    both_sides: bool,
    device: torch.device = _CPU,
    block_rows: int = BLOCK_ROWS,
    report: Callable[[int], None] = lambda rows: None,
) -> Projection:
    """The `top_k` tokens with the highest score e·v for each vector, and with the lowest.

    Ids and order are those of float64 scores; equal scores are ordered by the lower token id.

    Parameters
    ----------
    vectors
        v, shape (n, d_model), float64.
    unembedding
        E, shape (vocab, d_model), read in blocks and never held as a whole.
    allowed
        Shape (vocab,): rows of E that may appear in a list.
    top_k
        Length of a list, at most the number of allowed rows.
    both_sides
        Whether to give the lowest scores too, lowest first.
    device
        Where the float32 pass runs; the final scores are always computed on the CPU.
    block_rows
        Rows of E taken at once: a matter of speed and memory only.
    report
        Called with the number of rows of E that the first pass has done.

    Returns
    -------
    Projection

    Raises
    ------
    FFNExtractError
        When the vocabulary is smaller than a list, the vectors are not finite, or a score is
        beyond float32, in which scores are stored.

    References
    ----------
    Geva, Caciularu, Wang and Goldberg (2022), Transformer Feed-Forward Layers Build Predictions by
    Promoting Concepts in the Vocabulary Space, section 3.
    """
    _require(vectors, allowed, top_k)
    signs = (1, -1) if both_sides else (1,)
    scaled, exponents = _scaled(vectors)
    found = find_candidates(
        scaled,
        unembedding,
        allowed,
        min(top_k + EXTRA_CANDIDATES, int(allowed.sum())),
        signs,
        device=device,
        block_rows=block_rows,
        report=report,
    )
    scores = _rescore(scaled, np.stack([side.ids for side in found]), unembedding, block_rows)
    lists: list[TopTokens] = []
    fallbacks = 0
    for sign, side, side_scores in zip(signs, found, scores, strict=True):
        best, proved = _decide(side, side_scores, sign, top_k)
        unproved = np.flatnonzero(~proved)
        if unproved.size:
            best.token_ids[unproved], best.scores[unproved] = search_exactly(
                scaled[unproved], unembedding, allowed, top_k, sign, block_rows
            )
        fallbacks += unproved.size
        lists.append(TopTokens(best.token_ids, _unscaled(best.scores, exponents)))
    return Projection(lists[0], lists[1] if both_sides else None, fallbacks)


def _require(vectors: Floats, allowed: NDArray[np.bool_], top_k: int) -> None:
    if not np.isfinite(vectors).all():
        raise FFNExtractError("A vector holds values that are not finite numbers.")
    if int(allowed.sum()) < top_k:
        raise FFNExtractError(
            f"The vocabulary has {int(allowed.sum())} tokens that may appear in a list; lists of "
            f"{top_k} cannot be made (top_k)."
        )


def _scaled(vectors: Floats) -> tuple[Floats, NDArray[np.int32]]:
    """Vectors brought to a largest magnitude in [0.5, 1) by powers of two, which is exact."""
    largest = np.max(np.abs(vectors), axis=1, initial=0.0)
    _, exponents = np.frexp(largest)
    return np.ldexp(vectors, -exponents[:, None]), exponents


def _unscaled(scores: Floats, exponents: NDArray[np.int32]) -> Floats:
    with np.errstate(over="ignore"):
        unscaled = np.ldexp(scores, exponents[:, None])
    if (np.abs(unscaled) > np.finfo(np.float32).max).any():
        raise FFNExtractError("A score is too large to be stored in single precision.")
    return unscaled


def _rescore(scaled: Floats, ids: Ids, unembedding: RowReader, block_rows: int) -> Floats:
    """Float64 scores of the candidates, shape of `ids`: (sides, n, c); 0 where there is none."""
    scores = np.zeros(ids.shape)
    vector_of = np.broadcast_to(np.arange(len(scaled))[None, :, None], ids.shape).ravel()
    order = np.argsort(ids, axis=None, kind="stable")
    in_order = ids.ravel()[order]
    n_rows, d = unembedding.shape
    size = max(1, _PAIR_ELEMENTS // d)
    for start in range(0, n_rows, block_rows):
        stop = min(start + block_rows, n_rows)
        first, last = np.searchsorted(in_order, [start, stop])
        if first == last:
            continue
        block = unembedding.rows(start, stop)
        for begin in range(first, last, size):
            pairs = slice(begin, min(begin + size, last))
            rows = block[torch.from_numpy(in_order[pairs] - start)].to(torch.float64).numpy()
            products = rows * scaled[vector_of[order[pairs]]]
            scores.ravel()[order[pairs]] = fixed_order_sum(products)
    return scores


def _decide(
    side: Candidates, scores: Floats, sign: int, top_k: int
) -> tuple[TopTokens, NDArray[np.bool_]]:
    """The best candidates of each list, and whether nothing outside them can be better."""
    signed = np.where(side.ids >= 0, sign * scores, -np.inf)
    order = np.lexsort((side.ids, -signed), axis=1)[:, :top_k]
    worst_kept = np.take_along_axis(signed, order[:, -1:], axis=1)[:, 0]
    best = TopTokens(
        np.take_along_axis(side.ids, order, axis=1), np.take_along_axis(scores, order, axis=1)
    )
    return best, worst_kept > side.limits
