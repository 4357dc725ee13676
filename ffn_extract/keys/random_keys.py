"""Random keys, the control: rows with the moments of a layer's keys.

Each dimension of the keys has a mean and a standard deviation, and a random key is drawn from the
normal distribution with these; in gated FFNs its partner is drawn from the partners' likewise, and
where keys have a bias, that is one more dimension.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import linear
from transformers.activations import ACT2FN

from ffn_extract.architectures import Architecture, ModelWeights
from ffn_extract.errors import ArchitectureError, OptionError
from ffn_extract.options import VECTOR_KINDS
from ffn_extract.sampling import draw_random, generator, moments_of
from ffn_extract.tracing.ffn_modules import DenseFFN, FFNModules

Floats = NDArray[np.float64]
CHUNK_ROWS = 1024  # of the moments' single pass; another size changes their last bits
_BIASES = 1  # a spawn key: rows do not depend on whether there are biases


@dataclass(frozen=True)
class RandomRows:
    """Random keys of a layer and their partners in a gated FFN, each of shape (count, d_model)."""

    keys: Floats
    ups: Floats | None


def draw_random_keys(weights: ModelWeights, layer: int, count: int, seed: int) -> RandomRows:
    """`count` random keys of a layer; a larger count changes those of a smaller one in gated FFNs.

    Raises OptionError for a layer with experts.
    """
    if weights.has_experts(layer):
        raise OptionError(
            f"Layer {layer} has experts, and a random key has no router that chooses it. Leave the "
            "kind random-key out of --kinds."
        )
    random = generator(seed, "random-key", layer)
    n = weights.n_values(layer)
    keys = draw_random(moments_of(_chunks(weights.key_rows, layer, n)), count, random)
    if not weights.is_gated(layer):
        return RandomRows(keys, None)
    ups = draw_random(moments_of(_chunks(weights.up_rows, layer, n)), count, random)
    return RandomRows(keys, ups)


def _chunks(read: Callable[[int, int, int], torch.Tensor], layer: int, n: int) -> Iterator[Floats]:
    for start in range(0, n, CHUNK_ROWS):
        rows = read(layer, start, min(start + CHUNK_ROWS, n))
        yield np.ascontiguousarray(rows.to(torch.float64).numpy())


class RandomKeys:
    """Coefficients of a layer's random keys while the model runs."""

    def __init__(
        self, rows: RandomRows, ffn: FFNModules, activation: Any, layer: int, seed: int
    ) -> None:
        if not isinstance(ffn, DenseFFN):
            raise ArchitectureError(f"Layer {layer} has experts, and random keys have none.")
        self._ffn, self._activation = ffn, activation
        device = ffn.value_parts()[0].device
        sequence = np.random.SeedSequence(
            seed, spawn_key=(VECTOR_KINDS.index("random-key"), layer, _BIASES)
        )
        random = np.random.Generator(np.random.PCG64(sequence))
        self._key = _tensor(rows.keys, device)
        self._up = None if rows.ups is None else _tensor(rows.ups, device)
        key, up = ffn.biases()
        count = len(rows.keys)
        self.set_biases(_drawn(key, count, random, device), _drawn(up, count, random, device))

    def set_biases(self, key: torch.Tensor | None, up: torch.Tensor | None) -> None:
        """Add these to the products, shape (keys,), in place of drawn ones."""
        self._biases = key, up

    def __call__(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """m at some tokens, shape (tokens, keys); and whether its second factor is above 0."""
        x = self._ffn.key_input(tokens)
        first = self._activation(linear(x, self._key, self._biases[0]))
        if self._up is None:
            return first, None
        up = linear(x, self._up, self._biases[1])
        return first * up, up > 0


def activation_of(architecture: Architecture, config: Any) -> Any:
    """The activation of a running model's FFNs. Raises ArchitectureError where it is not known."""
    name = getattr(config, architecture.activation_key, None) or architecture.default_activation
    if name not in ACT2FN:
        raise ArchitectureError(
            f"The activation of this {architecture.model_type} model is not known, so random keys "
            "have no coefficients. Leave the kind random-key out of --kinds."
        )
    return ACT2FN[name]


def _tensor(rows: Floats, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(rows).to(device, torch.float32)


def _drawn(
    bias: torch.Tensor | None, count: int, random: np.random.Generator, device: torch.device
) -> torch.Tensor | None:
    if bias is None:
        return None
    column = bias.to("cpu", torch.float64).numpy()[:, None]
    return _tensor(draw_random(moments_of([column]), count, random)[:, 0], device)
