"""The vectors of one extraction: every layer's values, random baseline and updates."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.architectures import ModelWeights
from ffn_extract.options import KINDS, ExtractOptions
from ffn_extract.sampling import (
    Moments,
    draw_random,
    generator,
    merged,
    moments_of,
    sample_rows,
)
from ffn_extract.updates import Update, UpdateReader

Floats = NDArray[np.float64]
CHUNK_ROWS = 1024  # of the moments' single pass; another size changes their last bits


@dataclass(frozen=True)
class Vector:
    """A vector, shape (d_model,), and its place; `update` tells where an update was read."""

    kind: str
    layer: int
    index: int
    values: Floats
    update: Update | None = None

    @property
    def place(self) -> tuple[int, int, int]:
        """The order of a bundle: layer, kind, index."""
        return self.layer, KINDS.index(self.kind), self.index


def value_vectors(weights: ModelWeights, layer: int, options: ExtractOptions) -> list[Vector]:
    """The sampled value vectors of a layer."""
    random = generator(options.seed, "value", layer)
    rows = sample_rows(weights.n_values(layer), options.per_layer, random)
    return [
        Vector("value", layer, row, _float64(weights.value_rows(layer, row, row + 1))[0])
        for row in rows
    ]


def random_vectors(
    weights: ModelWeights,
    options: ExtractOptions,
    report: Callable[[int], None] = lambda layers: None,
) -> Iterator[Vector]:
    """The random baseline of every layer, from the moments that `options.random_grain` names."""
    n_layers = weights.dimensions.n_layers
    layers: list[Moments] = []
    for layer in range(n_layers):
        layers.append(moments_of(_chunks(weights, layer)))
        report(layer + 1)
    if options.random_grain == "layer":
        layers = [moments.pooled() for moments in layers]
    elif options.random_grain == "model":
        layers = [merged(layers).pooled()] * n_layers
    for layer, moments in enumerate(layers):
        random = generator(options.seed, "random", layer)
        for index, values in enumerate(draw_random(moments, options.per_layer, random)):
            yield Vector("random", layer, index, values)


def update_vectors(
    reader: UpdateReader,
    n_layers: int,
    options: ExtractOptions,
    report: Callable[[int], None] = lambda updates: None,
) -> Iterator[Vector]:
    """The FFN updates of every layer."""
    drawn = 0

    def one_more(_: int) -> None:
        nonlocal drawn
        drawn += 1
        report(drawn)

    for layer in range(n_layers):
        random = generator(options.seed, "update", layer)
        updates = reader.draw(layer, options.per_layer, random, one_more)
        for index, update in enumerate(updates):
            yield Vector("update", layer, index, update.vector, update)


def _chunks(weights: ModelWeights, layer: int) -> Iterator[Floats]:
    n_values = weights.n_values(layer)
    for start in range(0, n_values, CHUNK_ROWS):
        yield _float64(weights.value_rows(layer, start, min(start + CHUNK_ROWS, n_values)))


def _float64(rows: torch.Tensor) -> Floats:
    return np.ascontiguousarray(rows.to(torch.float64).numpy())
