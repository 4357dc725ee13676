"""Linear maps between d_model and the width of the unembedding's rows, in float64."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.architectures.stored import StoredVectors
from ffn_extract.norms import Norm
from ffn_extract.projection.fixed_order import fixed_order_sum

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LinearMap:
    """x to M·x, the vectors of `stored` being the rows of M, shape (width, d_model)."""

    stored: StoredVectors

    @property
    def names(self) -> list[str]:
        return [self.stored.name]

    def __call__(self, vectors: Floats) -> Floats:
        """Shape (n, d_model) to (n, width), summed in a fixed order whatever the threads."""
        matrix = self.stored.read(0, self.stored.n).to(torch.float64).contiguous().numpy()
        with ThreadPoolExecutor(torch.get_num_threads()) as threads:
            mapped = threads.map(lambda vector: fixed_order_sum(matrix * vector), vectors)
            return np.stack(list(mapped))


@dataclass(frozen=True)
class Rescaled:
    """x to gain ⊙ (x - mean(x)): the part of a LayerNorm that `fold` keeps."""

    name: str
    gain: Floats

    @property
    def names(self) -> list[str]:
        return [self.name]

    def __call__(self, vectors: Floats) -> Floats:
        """Shape (n, width) kept."""
        return Norm("layer", self.gain, bias=None, epsilon=0.0).folded(vectors)


@dataclass(frozen=True)
class SideBySide:
    """x to M_1·x, M_2·x, … concatenated; None stands for x itself."""

    maps: tuple[LinearMap | None, ...]

    @property
    def names(self) -> list[str]:
        return [name for one in self.maps if one is not None for name in one.names]

    def __call__(self, vectors: Floats) -> Floats:
        """Shape (n, d_model) to (n, sum of widths)."""
        return np.concatenate([vectors if m is None else m(vectors) for m in self.maps], axis=1)
