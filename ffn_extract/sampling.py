"""Sampling of value vectors, and the random baseline; pure, with explicit generators."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ffn_extract.errors import FFNExtractError
from ffn_extract.options import VECTOR_KINDS
from ffn_extract.projection.fixed_order import fixed_order_sum

Floats = NDArray[np.float64]


def generator(seed: int, kind: str, layer: int) -> np.random.Generator:
    """The random generator of one kind in one layer, independent of all others."""
    sequence = np.random.SeedSequence(seed, spawn_key=(VECTOR_KINDS.index(kind), layer))
    return np.random.Generator(np.random.PCG64(sequence))


def sample_rows(n_rows: int, count: int, random: np.random.Generator) -> list[int]:
    """`count` distinct rows out of `n_rows`, uniformly, in ascending order.

    A larger count only adds rows to those of a smaller one. Raises FFNExtractError when there are
    not that many.
    """
    if count > n_rows:
        raise FFNExtractError(
            f"A layer has {n_rows} value vectors; {count} of them cannot be drawn (per_layer)."
        )
    return sorted(random.permutation(n_rows)[:count].tolist())


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations of value vectors, per dimension, shape (d,)."""

    count: int
    mean: Floats
    squares: Floats

    @property
    def std(self) -> Floats:
        """The empirical standard deviation (divided by n), shape (d,)."""
        deviation: Floats = np.sqrt(self.squares / self.count)
        return deviation

    def pooled(self) -> "Moments":
        """The moments of all dimensions taken together, broadcast back to shape (d,)."""
        d = self.mean.shape[0]
        mean = fixed_order_sum(self.mean.copy()) / d
        between = fixed_order_sum((self.mean - mean) ** 2)
        squares = fixed_order_sum(self.squares.copy()) + self.count * between
        return Moments(self.count * d, np.full(d, mean), np.full(d, squares))


def moments_of(chunks: Iterable[Floats]) -> Moments:
    """Moments of vectors that come in chunks of shape (n, d), in one pass.

    Chunks are merged by the pairwise update of Chan, Golub and LeVeque (1979); their sizes are
    part of the result's last bits, so callers keep them fixed.
    """
    return merged(_moments_of_chunk(chunk) for chunk in chunks)


def merged(parts: Iterable[Moments]) -> Moments:
    """The moments of all parts together, merged in the order given."""
    result: Moments | None = None
    for part in parts:
        result = part if result is None else _merge(result, part)
    if result is None:
        raise ValueError("moments of nothing")
    return result


def draw_random(moments: Moments, count: int, random: np.random.Generator) -> Floats:
    """`count` vectors from the normal distribution with these moments, shape (count, d)."""
    draws = random.standard_normal((count, moments.mean.shape[0]))
    return moments.mean + moments.std * draws


def _moments_of_chunk(chunk: Floats) -> Moments:
    mean = fixed_order_sum(chunk.copy(), axis=0) / len(chunk)
    return Moments(len(chunk), mean, fixed_order_sum((chunk - mean) ** 2, axis=0))


def _merge(a: Moments, b: Moments) -> Moments:
    count = a.count + b.count
    delta = b.mean - a.mean
    return Moments(
        count,
        a.mean + delta * (b.count / count),
        a.squares + b.squares + delta**2 * (a.count * b.count / count),
    )
