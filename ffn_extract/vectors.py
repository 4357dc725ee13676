"""Vectors of an extraction: every layer's values, random baseline and updates."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.architectures import ModelWeights
from ffn_extract.chosen_vectors import Place
from ffn_extract.keys.random_keys import draw_random_keys
from ffn_extract.options import ALL, VECTOR_KINDS, ExtractOptions
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
BATCH_ELEMENTS = 1 << 22  # of vectors in float64, projected at once: 32 MB
CHUNK_ROWS = 1024  # of the moments' single pass; another size changes their last bits


@dataclass(frozen=True)
class Vector:
    """A vector, shape (d_model,), with its layer, kind and index; `update` is the place of an
    update.
    """

    kind: str
    layer: int
    index: int
    values: Floats
    update: Update | None = None

    @property
    def place(self) -> tuple[int, int, int]:
        """The order of a bundle: layer, kind, index."""
        return self.layer, VECTOR_KINDS.index(self.kind), self.index


def value_indices(weights: ModelWeights, options: ExtractOptions, layer: int) -> list[int]:
    """The value vectors of a layer that are taken, ascending."""
    if options.vectors is not None:
        return [index for own, index in options.vectors if own == layer]
    if options.per_layer == ALL:
        return list(range(weights.n_values(layer)))
    return _sampled(weights, layer, options.per_layer, options.seed)


def _sampled(weights: ModelWeights, layer: int, count: int, seed: int) -> list[int]:
    return sample_rows(weights.n_values(layer), count, generator(seed, "value", layer))


def value_vectors(weights: ModelWeights, layer: int, count: int, seed: int) -> list[Vector]:
    """`count` sampled value vectors of a layer."""
    rows = _sampled(weights, layer, count, seed)
    return chosen_value_vectors(weights, [(layer, row) for row in rows])


def chosen_value_vectors(weights: ModelWeights, places: Sequence[Place]) -> list[Vector]:
    """The value vectors at these places, in their order."""
    return [
        Vector("value", layer, row, _float64(weights.value_rows(layer, row, row + 1))[0])
        for layer, row in places
    ]


def all_value_vectors(weights: ModelWeights, layer: int) -> Iterator[list[Vector]]:
    """Every value vector of a layer, in batches."""
    n_values = weights.n_values(layer)
    step = max(1, BATCH_ELEMENTS // weights.dimensions.d_model)
    for start in range(0, n_values, step):
        rows = _float64(weights.value_rows(layer, start, min(start + step, n_values)))
        yield [Vector("value", layer, start + i, values) for i, values in enumerate(rows)]


def moments_of_model(
    weights: ModelWeights, report: Callable[[int], None] = lambda layers: None
) -> Moments:
    """The moments of all value vectors of a model taken together."""

    def layers() -> Iterator[Moments]:
        for layer in weights.layers:
            yield moments_of(value_chunks(weights, layer))
            report(layer + 1)

    return merged(layers()).pooled()


def random_vectors(
    weights: ModelWeights,
    options: ExtractOptions,
    layers: Sequence[int],
    report: Callable[[int], None] = lambda layers: None,
    *,
    of_model: Moments | None = None,
) -> Iterator[Vector]:
    """The random baseline of `layers`, from the moments that `options.random_grain` names.

    Who asks more than once gives `of_model` for the grain "model": it is the same for every layer.
    """
    if of_model is None and options.random_grain == "model":
        of_model = moments_of_model(weights, report)
    for layer in layers:
        own = of_model or moments_of(value_chunks(weights, layer))
        moments = own.pooled() if options.random_grain == "layer" else own
        random = generator(options.seed, "random", layer)
        for index, values in enumerate(draw_random(moments, options.drawn_count, random)):
            yield Vector("random", layer, index, values)
        report(layer + 1)


def update_vectors(
    reader: UpdateReader,
    layers: Sequence[int],
    options: ExtractOptions,
    report: Callable[[int], None] = lambda updates: None,
) -> Iterator[Vector]:
    """The FFN updates of `layers`."""
    drawn = 0

    def one_more(_: int) -> None:
        nonlocal drawn
        drawn += 1
        report(drawn)

    for layer in layers:
        random = generator(options.seed, "update", layer)
        updates = reader.draw(layer, options.drawn_count, random, one_more)
        for index, update in enumerate(updates):
            yield Vector("update", layer, index, update.vector, update)


def key_indices(weights: ModelWeights, options: ExtractOptions, layer: int) -> list[int]:
    """The keys of a layer that are taken, ascending, as `options.keys_of` has them."""
    n_keys = weights.n_values(layer)
    if options.keys_of == "sample":
        return sample_rows(n_keys, options.drawn_count, generator(options.seed, "key", layer))
    return list(range(n_keys)) if options.keys_of == ALL else value_indices(weights, options, layer)


def key_vectors(
    weights: ModelWeights, layer: int, indices: Sequence[int]
) -> Iterator[list[Vector]]:
    """Some keys of a layer, in batches. Raises ArchitectureError where keys are not known."""
    step = max(1, BATCH_ELEMENTS // weights.dimensions.d_model)
    for start in range(0, len(indices), step):
        some = indices[start : start + step]
        if len(some) == some[-1] - some[0] + 1:
            rows = _float64(weights.key_rows(layer, some[0], some[-1] + 1))
        else:
            rows = np.stack([_float64(weights.key_rows(layer, i, i + 1))[0] for i in some])
        yield [Vector("key", layer, i, values) for i, values in zip(some, rows, strict=True)]


def random_key_vectors(weights: ModelWeights, options: ExtractOptions, layer: int) -> list[Vector]:
    """The random keys of a layer; of gated ones, the gate's rows."""
    rows = draw_random_keys(weights, layer, options.drawn_count, options.seed)
    return [Vector("random-key", layer, i, values) for i, values in enumerate(rows.keys)]


def value_chunks(
    weights: ModelWeights, layer: int, start: int = 0, stop: int | None = None
) -> Iterator[Floats]:
    """The value vectors start..stop of a layer, by default all, in chunks of a fixed size."""
    stop = weights.n_values(layer) if stop is None else stop
    for first in range(start, stop, CHUNK_ROWS):
        yield _float64(weights.value_rows(layer, first, min(first + CHUNK_ROWS, stop)))


def _float64(rows: torch.Tensor) -> Floats:
    return np.ascontiguousarray(rows.to(torch.float64).numpy())
