"""Percentile bootstrap of means over examples, for many columns at once."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.projection.fixed_order import fixed_order_sum
from ffn_extract.running import one_thread

Floats = NDArray[np.float64]
_CHUNK, _COLUMNS = 250, 1024  # resamples and columns at a time; they bound memory, not results


@dataclass(frozen=True)
class Summary:
    """Mean, median, the ends of a 95% interval, and the examples it rests on, each (columns,).

    Everything is NaN where no example has a value; the ends are NaN below 2.
    """

    mean: Floats
    median: Floats
    low: Floats
    high: Floats
    n: NDArray[np.int64]


def summaries(values: Floats, *, seed: int, resamples: int) -> Summary:
    """Summaries of columns over examples; NaN marks examples without a value in a column.

    Parameters
    ----------
    values
        Shape (examples, columns).
    seed, resamples
        All columns share the resamples of `seed`: examples drawn with replacement, as many as
        there are.

    Examples
    --------
    >>> found = summaries(np.array([[1.0], [1.0], [np.nan]]), seed=0, resamples=100)
    >>> [float(x[0]) for x in (found.mean, found.median, found.low, found.high)], int(found.n[0])
    ([1.0, 1.0, 1.0, 1.0], 2)
    """
    known = ~np.isnan(values)
    n: NDArray[np.int64] = known.sum(axis=0)
    filled = np.where(known, values, 0.0)
    with np.errstate(invalid="ignore"):
        mean = fixed_order_sum(filled.copy(), axis=0) / np.where(n > 0, n, np.nan)
    columns = zip(values.T, known.T, strict=True)
    median = np.array([np.median(c[k]) if k.any() else np.nan for c, k in columns])
    low, high = (np.full(values.shape[1], np.nan) for _ in range(2))
    for start in range(0, values.shape[1] if len(values) > 1 else 0, _COLUMNS):
        part = slice(start, start + _COLUMNS)
        means = _resampled(filled[:, part], known[:, part], seed, resamples)
        enough = n[part] > 1
        ends = _percentiles(means[:, enough])
        low[part][enough], high[part][enough] = ends
    return Summary(mean, median, low, high, n)


def _resampled(filled: Floats, known: NDArray[np.bool_], seed: int, resamples: int) -> Floats:
    """Means of every resample, shape (resamples, columns); NaN where none has a value."""
    n = len(filled)
    random = np.random.Generator(np.random.PCG64(seed))
    sums, counts = torch.from_numpy(filled), torch.from_numpy(known.astype(np.float64))
    complete = bool(known.all())
    means = np.empty((resamples, filled.shape[1]))
    with one_thread():
        for start in range(0, resamples, _CHUNK):
            rows = min(_CHUNK, resamples - start)
            drawn = random.integers(0, n, (rows, n)) + n * np.arange(rows)[:, None]
            weights = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
            weighed = torch.from_numpy(weights.astype(np.float64))
            total = torch.full((1, 1), float(n)) if complete else weighed @ counts
            means[start : start + rows] = ((weighed @ sums) / total).numpy()
    return means


def _percentiles(means: Floats) -> Floats:
    """2.5th and 97.5th percentiles of each column, resamples without a value left out."""
    if np.isnan(means).any():
        return np.asarray(np.nanpercentile(means, (2.5, 97.5), axis=0))
    return np.asarray(np.percentile(means, (2.5, 97.5), axis=0))
