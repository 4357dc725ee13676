"""Fixed batches: which texts a model reads together depends on the texts and the plan alone.

float32 products differ in their last bits between the shapes of batches. So texts are ordered by
length and then by number, cut into batches of one size and padded to a multiple of one length; the
last batch is filled with rows that count for nothing. Neither threads nor memory nor the number of
workers enters, and no batch has a single row, for which libraries choose another product.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from ffn_extract.errors import OptionError


@dataclass(frozen=True)
class BatchPlan:
    """Rows of a batch, and the number of which its length is a multiple.

    Raises OptionError.
    """

    rows: int = 32
    multiple: int = 8

    def __post_init__(self) -> None:
        if self.rows < 2:
            raise OptionError(
                f"A batch of {self.rows} rows gives other numbers than larger ones. Give 2 or more."
            )
        if self.multiple < 1:
            raise OptionError("The padded lengths must be multiples of 1 or more.")

    def batches(self, lengths: Sequence[int]) -> list[list[int]]:
        """The numbers of the texts in each batch, shorter texts first."""
        order = sorted(range(len(lengths)), key=lambda number: (lengths[number], number))
        return [order[start : start + self.rows] for start in range(0, len(order), self.rows)]

    def padded(self, longest: int, limit: int | None) -> int:
        """The length of a batch whose longest text has `longest` tokens."""
        length = -(-longest // self.multiple) * self.multiple
        return length if limit is None else max(longest, min(length, limit))

    def to_json(self) -> dict[str, Any]:
        """The plan as a manifest has it."""
        return asdict(self)


@dataclass(frozen=True)
class Batch:
    """Token ids and mask, both of shape (rows, length), and the places that are read.

    Place i is the token at `columns[i]` of row `rows[i]`, both counted from 0, shape (places,).
    """

    ids: torch.Tensor
    mask: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor


def batch_of(
    texts: Sequence[Sequence[int]],
    positions: Sequence[int],
    plan: BatchPlan,
    *,
    padding: int = 0,
    limit: int | None = None,
) -> Batch:
    """A full batch of at most `plan.rows` texts, each read at one position.

    Missing rows repeat the last text and are read too, so that what follows has one shape; its
    caller takes the first `len(texts)` places.
    """
    fill = plan.rows - len(texts)
    rows = [*texts, *[texts[-1]] * fill]
    length = plan.padded(max(map(len, texts)), limit)
    return Batch(
        ids=torch.tensor([[*row, *[padding] * (length - len(row))] for row in rows]),
        mask=torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows]),
        rows=torch.arange(plan.rows),
        columns=torch.tensor([*positions, *[positions[-1]] * fill]),
    )
