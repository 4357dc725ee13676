"""The unembedding in the precision of the first pass: allowed rows, rounded, block by block."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.projection.arithmetic import Arithmetic, RowBounds

GROUP = 64
"""Neighbouring scores of which the first pass takes the maximum; blocks are padded to whole ones.

The work per vector is about vocab / GROUP + candidates·GROUP, least at sqrt(vocab / candidates),
which is 40 to 60; torch reduces rows of 64 and more at the speed of memory."""
_BLOCK_BYTES = 64 << 20
_LEAST_ROWS = 4096


class RowReader(Protocol):
    """A matrix whose rows can be read in pieces: the unembedding E, shape (vocab, d_model)."""

    @property
    def shape(self) -> tuple[int, int]: ...

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """Rows start..stop, all finite, in any floating-point type."""
        ...


@dataclass(frozen=True)
class HeldRows:
    """A matrix in memory, in stored precision."""

    tensor: torch.Tensor

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.tensor.shape
        return rows, columns

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """Rows start..stop, without a copy."""
        return self.tensor[start:stop]


@dataclass(frozen=True)
class Block:
    """Some allowed rows of E: `count` of them, filled up to whole groups.

    `rows` (padded, d) ends in zeros and `ids` (padded,) in -1. `stop` is the row of E up to which
    all have been seen.
    """

    ids: torch.Tensor
    rows: torch.Tensor
    count: int
    stop: int


class WorkingRows:
    """The allowed rows of an unembedding in an arithmetic's precision.

    Read anew in every pass, or kept on the device after the first where `keep` says so. `bounds`
    covers every row after a pass.
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
        self.arithmetic = arithmetic
        self.device = device
        self.bounds = RowBounds()
        self.count = int(allowed.sum())
        self._unembedding = unembedding
        self._allowed = allowed
        self._block_rows = block_rows or _rows_per_block(unembedding.shape[1], arithmetic)
        self._kept: list[Block] | None = [] if keep else None
        self._complete = False

    def blocks(self, report: Callable[[int], None]) -> Iterator[Block]:
        """Every block in the order of ids; `report` gets the number of rows of E behind it."""
        for block in self._kept if self._complete and self._kept else self._read():
            yield block
            report(block.stop)

    def _read(self) -> Iterator[Block]:
        kept: list[Block] = []
        n_rows = self._unembedding.shape[0]
        for start in range(0, n_rows, self._block_rows):
            block = self._block(start, min(start + self._block_rows, n_rows))
            if self._kept is not None:
                kept.append(block)
            yield block
        if self._kept is not None:
            self._kept, self._complete = kept, True

    def _block(self, start: int, stop: int) -> Block:
        stored = self._unembedding.rows(start, stop)
        ids = torch.from_numpy(np.flatnonzero(self._allowed[start:stop]))
        if len(ids) < stop - start:
            stored = stored[ids]
        stored = stored.to(self.device)
        rounded = stored.to(self.arithmetic.dtype)
        if not self._complete:
            self.bounds.add(stored, rounded)
        missing = -len(ids) % GROUP
        if missing:
            rounded = torch.nn.functional.pad(rounded, (0, 0, 0, missing))
        padded = torch.nn.functional.pad(ids + start, (0, missing), value=-1)
        return Block(padded.to(self.device), rounded, len(ids), stop)


def _rows_per_block(d: int, arithmetic: Arithmetic) -> int:
    size = d * arithmetic.dtype.itemsize
    return max(_LEAST_ROWS, _BLOCK_BYTES // size // GROUP * GROUP)
