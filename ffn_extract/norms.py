"""The norm before the unembedding, in each projection mode."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ffn_extract.projection.fixed_order import fixed_order_sum

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Norm:
    """A LayerNorm ("layer") or RMSNorm ("rms"), as it multiplies: a family whose stored gain is
    w for a factor of 1 + w gives 1 + w here.

    `gain` and `bias` have shape (d_model,), as has `gain_after_ffn`: the gain of an RMSNorm between
    the FFN and the residual stream, in families that have one, which is applied first.
    """

    kind: Literal["layer", "rms"]
    gain: Floats
    bias: Floats | None
    epsilon: float
    gain_after_ffn: Floats | None = None

    def folded(self, vectors: Floats) -> Floats:
        """gain ⊙ (v - mean(v)), or gain ⊙ v for RMSNorm; shape (n, d_model) kept."""
        folded: Floats = self.gain * self._centred(vectors)
        return folded

    def normed(self, vectors: Floats) -> Floats:
        """Norm(v) = folded / sqrt(variance + epsilon) + bias; shape (n, d_model) kept."""
        centred = self._centred(vectors)
        variance = fixed_order_sum(centred**2) / vectors.shape[-1]
        normed: Floats = self.gain * centred / np.sqrt(variance + self.epsilon)[:, None]
        if self.bias is not None:
            normed += self.bias
        return normed

    def _centred(self, vectors: Floats) -> Floats:
        if self.gain_after_ffn is not None:
            vectors = self.gain_after_ffn * vectors
        if self.kind == "rms":
            return vectors
        centred: Floats = vectors - (fixed_order_sum(vectors.copy()) / vectors.shape[-1])[:, None]
        return centred
