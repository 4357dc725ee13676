"""The ten tokens on one side of value vectors, as lists have them, remembered between traces."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.architectures import ModelWeights
from ffn_extract.projection.projector import Projector
from ffn_extract.projection.working_rows import HeldRows, RowReader
from ffn_extract.traces.request import ENTRIES
from ffn_extract.tracing.reader import Reader

MOST_KEPT = 100_000
_AT_ONCE = 512
Side = tuple[int, int, int]
"""A layer, an index in it, and 1 for the highest-scoring tokens or −1 for the lowest."""


class VectorTokens:
    """Top tokens of E·v, or of −E·v, over the rows of E that may appear in a list.

    E is the model's own head, unless an option names another. The order is that of float64 scores;
    ties: the lower id. The gain of a norm after the FFN is left out, as in raw lists.
    """

    def __init__(
        self,
        reader: Reader,
        weights: ModelWeights,
        allowed: NDArray[np.bool_],
        *,
        head_is_given: bool,
    ) -> None:
        self._reader, self._weights = reader, weights
        head = reader.model.get_output_embeddings().weight.detach()
        rows: RowReader = HeldRows(head.cpu())
        if head_is_given:
            rows = HeldRows(weights.unembedding.rows(0, weights.dimensions.vocab_size))
        self._projector = Projector(
            rows,
            allowed,
            min(ENTRIES, int(allowed.sum())),
            both_sides=False,
            device=reader.device,
            keep=True,
        )
        self._known: dict[Side, list[int]] = {}

    def find(self, sides: Iterable[Side]) -> dict[Side, list[int]]:
        """The tokens of sides of vectors, best first."""
        wanted = list(dict.fromkeys(sides))
        if len(self._known) + len(wanted) > MOST_KEPT:
            self._known.clear()
        new = [side for side in wanted if side not in self._known]
        for start in range(0, len(new), _AT_ONCE):
            some = new[start : start + _AT_ONCE]
            found = self._projector.project(self._vectors(some)).top.token_ids
            self._known.update(zip(some, found.tolist(), strict=True))
        return {side: self._known[side] for side in wanted}

    def _vectors(self, sides: list[Side]) -> NDArray[np.float64]:
        rows = []
        for layer, index, sign in sides:
            values = self._reader.values[layer]
            one = values.stored(torch.tensor([index], device=values.device))
            rows.append(sign * one.to(torch.float64).cpu())
        return self._weights.before_unembedding(torch.cat(rows).numpy())
