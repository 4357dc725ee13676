"""Codes times the scales of their blocks."""

from dataclasses import dataclass

import torch

from ffn_extract.quantised_formats.matrices import enclosing


@dataclass(frozen=True)
class Blocks:
    """Blocks of `height` × `width` numbers that share a scale, in a matrix of rows × columns.

    The last blocks of a row or column may be smaller.
    """

    height: int
    width: int
    rows: int
    columns: int

    @property
    def grid(self) -> tuple[int, int]:
        """How many blocks there are, along rows and along columns."""
        return -(-self.rows // self.height), -(-self.columns // self.width)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes that a tensor of scales can have; one scale alone is also stored as such."""
        return (self.grid, (), (1,)) if self.grid == (1, 1) else (self.grid,)

    @property
    def title(self) -> str:
        """The blocks in words."""
        if self.grid == (1, 1):
            return "per tensor"
        if self.width >= self.columns and self.height == 1:
            return "per channel"
        return f"in blocks of {self.height} × {self.width}"


def spread(scales: torch.Tensor, blocks: Blocks, rows: slice, columns: slice) -> torch.Tensor:
    """The scale, or zero point, of each number in rows and columns."""
    grid = scales.reshape(blocks.grid)
    down, own_rows = enclosing(rows, blocks.height)
    across, own_columns = enclosing(columns, blocks.width)
    tall = grid[down, across].repeat_interleave(blocks.height, 0)[own_rows]
    return tall.repeat_interleave(blocks.width, 1)[:, own_columns]


def scaled(
    codes: torch.Tensor, scales: torch.Tensor, blocks: Blocks, rows: slice, columns: slice
) -> torch.Tensor:
    """The numbers in rows and columns, of which `codes` are the codes in float32."""
    return codes * spread(scales.to(torch.float32), blocks, rows, columns)
