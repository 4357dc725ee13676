"""Lists of the highest and lowest scores by the native kernel (kernel.cpp)."""

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.errors import FFNExtractError
from ffn_extract.projection.found import Found
from ffn_extract.projection.native.library import loaded
from ffn_extract.projection.native.processors import Path
from ffn_extract.projection.working_rows import RowReader

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]
_STORED = {torch.float32: 0, torch.bfloat16: 1, torch.float64: 2}
_BLOCK_BYTES = 64 << 20
_LEAST_ROWS = 4096
_pointer, _int, _long = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
_SIGNATURES = {
    "ffn_packed_bytes": (_long, (_int, _long, _long)),
    "ffn_packed_rows": (_long, (_int, _long)),
    "ffn_pack": (
        _int,
        (_int, _int, _pointer, _pointer, _long, _long, _int, _pointer, _pointer, _pointer),
    ),
    "ffn_search_new": (_pointer, (_int, _pointer, _long, _long, _long, _int, _int)),
    "ffn_search_free": (None, (_pointer,)),
    "ffn_search_add": (_int, (_pointer, _pointer, _pointer, _pointer, _pointer, _long)),
    "ffn_search_score": (_int, (_pointer, _int, _pointer, _long, _long)),
    "ffn_search_lists": (_int, (_pointer, _int, _pointer, _pointer, _pointer)),
    "ffn_search_bounds": (_int, (_pointer,) * 4 + (_long, _pointer, _pointer)),
    "ffn_search_candidates": (_long, (_pointer,)),
}


@dataclass(frozen=True)
class Packed:
    """Rows as the kernel reads them: their numbers, bounds of |e − ê| and |ê|, and ids."""

    numbers: NDArray[np.uint8]
    rounding: NDArray[np.float32]
    size: NDArray[np.float32]
    ids: Ids


class NativeSearch:
    """Searches an unembedding for lists; those with too many candidates are not found.

    Parameters
    ----------
    unembedding, allowed
        E, shape (vocab, d_model), and its rows that may appear in a list, shape (vocab,).
    path
        The processor's instructions; they make no difference to the lists.
    keep
        Whether to hold the packed rows between calls.
    block_rows
        Rows of E packed at once.
    """

    def __init__(
        self,
        unembedding: RowReader,
        allowed: NDArray[np.bool_],
        path: Path,
        *,
        keep: bool = False,
        block_rows: int | None = None,
    ) -> None:
        self._unembedding, self._allowed, self._path = unembedding, allowed, path
        self._kernel = _kernel()
        d = unembedding.shape[1]
        self._block_rows = block_rows or max(_LEAST_ROWS, _BLOCK_BYTES // (4 * d))
        self._kept: list[tuple[Packed, int]] | None = None
        self._keep = keep

    def find(
        self,
        vectors: Floats,
        top_k: int,
        signs: tuple[int, ...],
        report: Callable[[int], None] = lambda rows: None,
    ) -> list[Found]:
        """Lists of `vectors`, shape (n, d_model), magnitudes at most 1, for each sign.

        `report` gets the number of rows of E behind each block.

        Raises
        ------
        FFNExtractError
            When memory runs out.
        """
        vectors = np.ascontiguousarray(vectors)
        n, d = vectors.shape
        sides = sum(_side(sign) for sign in signs)
        kernel, threads = self._kernel, torch.get_num_threads()
        search = kernel.ffn_search_new(self._path, _at(vectors), n, d, top_k, sides, threads)
        if not search:
            raise _out_of_memory()
        try:
            for packed, stop in self._packed():
                _check(
                    kernel.ffn_search_add(
                        search,
                        _at(packed.numbers),
                        _at(packed.rounding),
                        _at(packed.size),
                        _at(packed.ids),
                        len(packed.ids),
                    )
                )
                report(stop)
            for start, stop in self._blocks():
                stored, code = _stored(self._unembedding.rows(start, stop))
                _check(kernel.ffn_search_score(search, code, stored.data_ptr(), start, stop))
            return [self._lists(search, n, top_k, sign) for sign in signs]
        finally:
            kernel.ffn_search_free(search)

    def bounds(self, vectors: Floats) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """First scores and bounds of their errors, both (n, allowed rows): for tests."""
        vectors = np.ascontiguousarray(vectors)
        (n, d), kernel = vectors.shape, self._kernel
        search = kernel.ffn_search_new(self._path, _at(vectors), n, d, 1, 1, 1)
        try:
            parts = []
            for packed, _ in self._packed():
                shape = (n, len(packed.ids))
                scores, bounds = np.empty(shape, np.float32), np.empty(shape, np.float32)
                kernel.ffn_search_bounds(
                    search,
                    _at(packed.numbers),
                    _at(packed.rounding),
                    _at(packed.size),
                    shape[1],
                    _at(scores),
                    _at(bounds),
                )
                parts.append((scores, bounds))
            all_scores, all_bounds = zip(*parts, strict=True)
            return np.concatenate(all_scores, axis=1), np.concatenate(all_bounds, axis=1)
        finally:
            kernel.ffn_search_free(search)

    def _lists(self, search: int, n: int, top_k: int, sign: int) -> Found:
        ids, scores = np.zeros((n, top_k), np.int64), np.zeros((n, top_k))
        is_found = np.zeros(n, np.bool_)
        _check(
            self._kernel.ffn_search_lists(search, _side(sign), _at(ids), _at(scores), _at(is_found))
        )
        return Found(ids, scores, is_found)

    def _blocks(self) -> Iterator[tuple[int, int]]:
        n_rows = self._unembedding.shape[0]
        for start in range(0, n_rows, self._block_rows):
            yield start, min(start + self._block_rows, n_rows)

    def _packed(self) -> Iterator[tuple[Packed, int]]:
        """Packed blocks, and the row of E up to which each goes."""
        if self._kept is not None:
            yield from self._kept
            return
        kept = []
        for start, stop in self._blocks():
            packed = self._pack(start, stop)
            if self._keep:
                kept.append((packed, stop))
            yield packed, stop
        if self._keep:
            self._kept = kept

    def _pack(self, start: int, stop: int) -> Packed:
        kernel, path, d = self._kernel, self._path, self._unembedding.shape[1]
        places = np.flatnonzero(self._allowed[start:stop])
        stored, code = _stored(self._unembedding.rows(start, stop))
        rows = kernel.ffn_packed_rows(path, len(places))
        numbers = np.empty(kernel.ffn_packed_bytes(path, len(places), d), np.uint8)
        rounding, size = np.empty(rows, np.float32), np.empty(rows, np.float32)
        _check(
            kernel.ffn_pack(
                path,
                code,
                stored.data_ptr(),
                _at(places),
                len(places),
                d,
                torch.get_num_threads(),
                _at(numbers),
                _at(rounding),
                _at(size),
            )
        )
        return Packed(numbers, rounding, size, places + start)


def _kernel() -> ctypes.CDLL:
    kernel = loaded().library
    if kernel is None:
        raise RuntimeError("There is no native kernel.")
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(kernel, name)
        function.restype, function.argtypes = result, arguments
    return kernel


def _stored(rows: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Rows in a type that the kernel reads, without a loss, and its number."""
    if rows.dtype not in _STORED:
        rows = rows.to(torch.float32)
    return rows.contiguous(), _STORED[rows.dtype]


def _side(sign: int) -> int:
    return 1 if sign > 0 else 2


def _at(array: "NDArray[np.generic]") -> int:
    return int(array.ctypes.data)


def _check(code: int) -> None:
    if code == -2:
        raise _out_of_memory()
    if code:
        raise RuntimeError("The native kernel was asked for sizes that make no sense.")


def _out_of_memory() -> FFNExtractError:
    return FFNExtractError("Memory ran out while vectors were projected. Free some and try again.")
