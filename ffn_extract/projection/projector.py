"""Projection of vectors onto the vocabulary, with exact top tokens.

A first pass in low precision finds candidates, float64 in a fixed order decides among them, and an
error bound proves that no other token can belong to the list; where it cannot, a pass in float32
tries, and what that leaves open is searched in float64. So the lists depend neither on threads nor
on blocks nor on the device.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.errors import FFNExtractError
from ffn_extract.projection.arithmetic import Arithmetic, arithmetics_for
from ffn_extract.projection.exact_search import search_exactly
from ffn_extract.projection.found import Found, Search
from ffn_extract.projection.native.library import chosen_path, possible_paths
from ffn_extract.projection.native.search import NativeSearch
from ffn_extract.projection.torch_search import TorchSearch
from ffn_extract.projection.working_rows import RowReader

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class TopTokens:
    """Lists of n vectors: `token_ids` (n, k), best first, and their `scores` (n, k), float64."""

    token_ids: Ids
    scores: Floats


@dataclass(frozen=True)
class Projection:
    """Lists of the highest scores and, if requested, of the lowest.

    `unproved` counts the lists that each pass could not prove; those of the last pass were searched
    in float64.
    """

    top: TopTokens
    bottom: TopTokens | None
    unproved: tuple[int, ...]

    @property
    def fallbacks(self) -> int:
        """Number of lists that needed a search in float64."""
        return self.unproved[-1]


class Projector:
    """Projects any number of vectors onto one unembedding.

    Parameters
    ----------
    unembedding
        E, shape (vocab, d_model), read in blocks.
    allowed
        Shape (vocab,): rows of E that may appear in a list.
    top_k
        Length of a list, at most the number of allowed rows.
    both_sides
        Whether to give the lowest scores too, lowest first.
    device
        Where the first pass runs; the final scores are always computed on the CPU.
    keep
        Whether to hold E in the first pass's precision between calls: for those who call often.
    block_rows
        Rows of E taken at once: a matter of speed and memory only.
    arithmetics
        The passes, in PyTorch; by default those of the native kernel where it is compiled and the
        device is the CPU, else bfloat16 then float32 where the device has native bfloat16, and
        float32 alone elsewhere. They make no difference to the lists.

    Raises
    ------
    FFNExtractError
        When the vocabulary is smaller than a list.
    """

    def __init__(
        self,
        unembedding: RowReader,
        allowed: NDArray[np.bool_],
        top_k: int,
        *,
        both_sides: bool,
        device: torch.device = _CPU,
        keep: bool = False,
        block_rows: int | None = None,
        arithmetics: Sequence[Arithmetic] = (),
    ) -> None:
        if int(allowed.sum()) < top_k:
            raise FFNExtractError(
                f"The vocabulary has {int(allowed.sum())} tokens that may appear in a list; lists "
                f"of {top_k} cannot be made (top_k)."
            )
        self._unembedding = unembedding
        self._allowed = allowed
        self._top_k = top_k
        self._signs = (1, -1) if both_sides else (1,)
        self._passes = _searches(
            unembedding, allowed, device, tuple(arithmetics), block_rows=block_rows, keep=keep
        )

    def project(
        self, vectors: Floats, report: Callable[[int], None] = lambda rows: None
    ) -> Projection:
        """The `top_k` tokens with the highest score e·v for each vector, and with the lowest.

        Ids and order are those of float64 scores; equal scores are ordered by the lower token id.

        Parameters
        ----------
        vectors
            v, shape (n, d_model), float64.
        report
            Called with the number of rows of E that the first pass has done.

        Raises
        ------
        FFNExtractError
            When the vectors are not finite, or a score is beyond float32, in which scores are
            stored.

        References
        ----------
        Geva, Caciularu, Wang and Goldberg (2022), Transformer Feed-Forward Layers Build Predictions
        by Promoting Concepts in the Vocabulary Space, section 3.
        """
        if not np.isfinite(vectors).all():
            raise FFNExtractError("A vector holds values that are not finite numbers.")
        scaled, exponents = _scaled(vectors)
        lists = _Lists(len(vectors), self._top_k, self._signs)
        unproved: list[int] = []
        for number, search in enumerate(self._passes):
            self._try(search, scaled, lists, report if number == 0 else _silently)
            unproved.append(int((~lists.proved).sum()))
            if not unproved[-1]:
                break
        self._search(scaled, lists)
        sides = [TopTokens(ids, _unscaled(s, exponents)) for ids, s in lists.sides()]
        return Projection(sides[0], sides[1] if len(sides) > 1 else None, tuple(unproved))

    def _try(
        self, search: Search, scaled: Floats, lists: "_Lists", report: Callable[[int], None]
    ) -> None:
        """One pass over the vectors with a list still to be proved."""
        which = np.flatnonzero(~lists.proved.all(axis=0))
        found = search.find(scaled[which], self._top_k, self._signs, report)
        for side, of_side in enumerate(found):
            lists.set(side, which, of_side)

    def _search(self, scaled: Floats, lists: "_Lists") -> None:
        """Every list that no pass proved, in one search of the whole vocabulary."""
        side, which = np.nonzero(~lists.proved)
        if which.size:
            signs = np.array(self._signs)[side]
            found = search_exactly(
                scaled[which], signs, self._unembedding, self._allowed, self._top_k
            )
            lists.token_ids[side, which], lists.scores[side, which] = found


def project(
    vectors: Floats,
    unembedding: RowReader,
    allowed: NDArray[np.bool_],
    top_k: int,
    *,
    both_sides: bool,
    device: torch.device = _CPU,
    block_rows: int | None = None,
    arithmetics: Sequence[Arithmetic] = (),
    report: Callable[[int], None] = lambda rows: None,
) -> Projection:
    """Project one batch of vectors, shape (n, d_model); see `Projector` for the parameters.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from ffn_extract import HeldRows, project
    >>> unembedding = HeldRows(torch.eye(3))  # 3 tokens, d_model 3
    >>> allowed = np.array([True, True, True])
    >>> vectors = np.array([[0.5, 2.0, 1.0]])
    >>> found = project(vectors, unembedding, allowed, 2, both_sides=False)
    >>> found.top.token_ids.tolist(), found.top.scores.tolist()
    ([[1, 2]], [[2.0, 1.0]])
    """
    projector = Projector(
        unembedding,
        allowed,
        top_k,
        both_sides=both_sides,
        device=device,
        block_rows=block_rows,
        arithmetics=arithmetics,
    )
    return projector.project(vectors, report)


class _Lists:
    """The lists of n vectors on each side, and which of them are proved."""

    def __init__(self, n: int, top_k: int, signs: tuple[int, ...]) -> None:
        self.token_ids: Ids = np.zeros((len(signs), n, top_k), dtype=np.int64)
        self.scores: Floats = np.zeros((len(signs), n, top_k))
        self.proved = np.zeros((len(signs), n), dtype=np.bool_)

    def set(self, side: int, which: Ids, found: Found) -> None:
        self.token_ids[side, which] = found.token_ids
        self.scores[side, which] = found.scores
        self.proved[side, which] = found.proved

    def sides(self) -> list[tuple[Ids, Floats]]:
        return list(zip(self.token_ids, self.scores, strict=True))


def _searches(
    unembedding: RowReader,
    allowed: NDArray[np.bool_],
    device: torch.device,
    arithmetics: tuple[Arithmetic, ...],
    *,
    block_rows: int | None,
    keep: bool,
) -> list[Search]:
    """The passes, fastest first; only the first keeps its rows, for the others are rare."""
    path = chosen_path() if device.type == "cpu" and not arithmetics else None
    if path is None:
        return [
            TorchSearch(
                unembedding, allowed, one, device, block_rows=block_rows, keep=keep and number == 0
            )
            for number, one in enumerate(arithmetics or arithmetics_for(device))
        ]
    paths = [path]
    if path.rounds:
        paths += [one for one in possible_paths() if not one.rounds][:1]
    return [
        NativeSearch(unembedding, allowed, one, keep=keep and number == 0, block_rows=block_rows)
        for number, one in enumerate(paths)
    ]


def _silently(_: int) -> None:
    """Later passes are short and report nothing."""


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
