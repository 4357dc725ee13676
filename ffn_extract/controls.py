"""Controls beyond the random baseline: random-covariance and permuted vectors, shuffled lists."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from ffn_extract.architectures import ModelWeights
from ffn_extract.bundle import VectorRow
from ffn_extract.options import ExtractOptions
from ffn_extract.projection.fixed_order import fixed_order_sum
from ffn_extract.sampling import generator, moments_of
from ffn_extract.vectors import Vector, value_chunks

Floats = NDArray[np.float64]


def covariance_vectors(
    weights: ModelWeights,
    options: ExtractOptions,
    layers: Sequence[int],
    report: Callable[[int], None] = lambda layers: None,
) -> Iterator[Vector]:
    """Draws from a normal distribution with the mean and the covariance of a layer's value vectors.

    A draw is mean + Σᵢ zᵢ (vᵢ − mean) / √n over the n value vectors vᵢ, with independent standard
    normal zᵢ. Its covariance is that of the vᵢ (divided by n, as the baseline's deviation is), also
    where it has no full rank, and no matrix of d_model × d_model is formed.
    """
    for layer in layers:
        draws = draw_with_covariance(
            lambda layer=layer: value_chunks(weights, layer),  # type: ignore[misc]
            weights.n_values(layer),
            options.drawn_count,
            generator(options.seed, "random-covariance", layer),
        )
        for index, values in enumerate(draws):
            yield Vector("random-covariance", layer, index, values)
        report(layer + 1)


def draw_with_covariance(
    chunks: Callable[[], Iterable[Floats]], n: int, count: int, random: np.random.Generator
) -> Floats:
    """`count` draws with the mean and covariance of n vectors, shape (count, d).

    `chunks` gives the vectors in pieces of fixed sizes, twice: their mean is taken first. A larger
    count only adds draws to those of a smaller one.
    """
    mean = moments_of(chunks()).mean
    coefficients = random.standard_normal((count, n))
    sums, start = np.zeros((count, len(mean))), 0
    for chunk in chunks():
        centred = chunk - mean
        own = coefficients[:, start : start + len(chunk), None]
        for draw in range(count):
            sums[draw] += fixed_order_sum(own[draw] * centred, axis=0)
        start += len(chunk)
    draws: Floats = mean + sums / np.sqrt(n)
    return draws


def permuted_vectors(
    weights: ModelWeights,
    options: ExtractOptions,
    layers: Sequence[int],
    report: Callable[[int], None] = lambda layers: None,
) -> Iterator[Vector]:
    """Value vectors of a layer, each drawn independently, with their coordinates permuted.

    The vectors are drawn from the whole layer with replacement; each draw has its own permutation.
    """
    for layer in layers:
        random = generator(options.seed, "permuted", layer)
        for index in range(options.drawn_count):
            row = int(random.integers(weights.n_values(layer)))
            (values,) = value_chunks(weights, layer, row, row + 1)
            yield Vector("permuted", layer, index, random.permutation(values[0]))
        report(layer + 1)


def with_shuffled(rows: Iterable[VectorRow], options: ExtractOptions) -> Iterator[VectorRow]:
    """Rows in a bundle's order and, after each layer's, the shuffled lists that it gets.

    They need the top lists of the layer's value vectors, which are among the rows.
    """
    if "shuffled" not in options.kinds:
        yield from rows
        return
    for layer, of_layer in groupby(rows, key=lambda row: row.layer):
        pool: Counter[int] = Counter()
        for row in of_layer:
            if row.kind == "value":
                pool.update(row.token_ids)
            yield row
        lists = shuffled_lists(
            pool, options.top_k, options.drawn_count, generator(options.seed, "shuffled", layer)
        )
        for index, token_ids in enumerate(lists):
            yield VectorRow("shuffled", layer, index, None, token_ids, None)


def shuffled_lists(
    pool: Counter[int], top_k: int, count: int, random: np.random.Generator
) -> Iterator[list[int]]:
    """`count` lists of `top_k` different tokens of a pool, in the order of the draw.

    A token's chance is proportional to its number of occurrences in the pool; drawn ones are left
    out of the rest of the list. Where exponential waiting times with these rates are sorted, the
    first k have exactly this distribution (Efraimidis and Spirakis, 2006).
    """
    ids = np.array(sorted(pool), dtype=np.int64)
    occurrences = np.array([pool[token_id] for token_id in ids.tolist()], dtype=np.float64)
    for _ in range(count):
        waiting = random.standard_exponential(len(ids)) / occurrences
        yield ids[np.argsort(waiting, kind="stable")[:top_k]].tolist()
