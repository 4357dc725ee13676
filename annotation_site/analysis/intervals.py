"""Intervals: how far a number would move with other lists of the same kinds and layers.

The definitions are in ``docs/measures.md``. All intervals are conditional on the annotators.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

Integers = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]

RESAMPLES = 10_000
SEED = 2022
LEVEL = 0.95
FEW_LISTS = 20
FEW_LISTS_WARNING = f"fewer than {FEW_LISTS} lists"

_SPARSE = 0.1  # share of cells in use above which a dense product is faster
_WIDE = 64  # columns below which it is faster anyway
_NUMBERS = 16_000_000  # held at once, 128 MB

STRATA = ("model", "kind", "layer")
"""Lists are resampled within these groups, the way they were sampled."""


@dataclass(frozen=True)
class Interval:
    """A percentile interval, and what weakens it.

    `low` and `high` are NaN where there is none. `undefined` counts resamples without a value;
    `single` of the `strata` hold one list, which is drawn again and again.
    """

    low: float
    high: float
    resamples: int
    undefined: int
    strata: int
    single: int

    def warnings(self) -> list[str]:
        """What a reader must know about it."""
        if self.single == self.strata:
            return ["no interval: no kind has two lists in one layer"]
        said = []
        if self.undefined:
            said.append(
                f"undefined in {self.undefined:,} of {self.resamples:,} resamples, which the "
                "interval leaves out"
            )
        if self.single:
            said.append(
                f"{self.single} of {self.strata} groups of kind and layer have one list, which "
                "adds no spread"
            )
        return said


def percentile_interval(
    values: Floats, *, strata: int, single: int, level: float = LEVEL
) -> Interval:
    """The middle `level` of resampled values.

    Parameters
    ----------
    values
        One per resample, NaN where the number is undefined; these are counted and not used.
    strata, single
        How many groups of lists were resampled, and how many of them hold one list. Where all
        do, every resample is the sample itself and there is no interval.
    level
        Between 0 and 1.
    """
    defined = values[~np.isnan(values)]
    undefined = len(values) - len(defined)
    low, high = np.nan, np.nan
    if len(defined) and single < strata:
        low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), len(values), undefined, strata, single)


def resampled_sums(
    parts: Sequence[Floats | sparse.csr_array],
    strata: Integers,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Iterator[list[Floats]]:
    """Draw lists anew within each stratum and add up their rows.

    Parameters
    ----------
    parts
        Additive statistics, one row per list: shape (lists,) or (lists, columns).
    strata
        Each list's stratum, 0, 1, …, shape (lists,).
    resamples, seed
        How many draws in all; the same seed gives the same draws, whatever the parts are.

    Yields
    ------
    list of NDArray
        For a block of resamples the sums of every part, shape (strata, block) or (strata, block,
        columns).

    Notes
    -----
    A resample of n lists is n draws with replacement, so it is known by how often each list was
    drawn; sums are products of these weights with the rows, and nothing is computed twice.
    """
    count = int(strata.max(initial=-1)) + 1
    rows = [np.flatnonzero(strata == stratum) for stratum in range(count)]
    products = [_Products([part[inside] for part in parts]) for inside in rows]
    columns = sum(1 if part.ndim == 1 else part.shape[1] for part in parts)
    block = max(1, min(resamples, _NUMBERS // max(count * columns, len(strata), 1)))
    sizes = [len(inside) for inside in rows]
    for weights in drawn_weights(sizes, resamples=resamples, seed=seed, block=block):
        sums = [product.sums(weight) for product, weight in zip(products, weights, strict=True)]
        size = len(weights[0]) if weights else block
        yield [
            np.stack([one[index] for one in sums]) if sums else np.zeros((0, size, *part.shape[1:]))
            for index, part in enumerate(parts)
        ]


def drawn_weights(
    sizes: Sequence[int], *, resamples: int, seed: int, block: int
) -> Iterator[list[Floats]]:
    """How often each list is drawn, a block of resamples after the other.

    `sizes` is the number of lists of each stratum; a block has an array per stratum, shape
    (resamples of the block, lists). The same seed gives the same draws, however large blocks are.
    """
    generators = [np.random.default_rng([seed, stratum]) for stratum in range(len(sizes))]
    for begin in range(0, resamples, block):
        size = min(block, resamples - begin)
        yield [
            _weights(generator, lists, size)
            for generator, lists in zip(generators, sizes, strict=True)
        ]


def _weights(generator: np.random.Generator, lists: int, size: int) -> Floats:
    """How often each list is drawn in each of `size` resamples, shape (size, lists)."""
    drawn = generator.integers(0, lists, size=(size, lists))
    drawn += lists * np.arange(size)[:, None]
    weights = np.bincount(drawn.ravel(), minlength=size * lists)
    return weights.reshape(size, lists).astype(np.float64)


def mean_intervals(
    lists: pd.DataFrame,
    *,
    columns: Sequence[str],
    by: Sequence[str],
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> pd.DataFrame:
    """Means over lists with their intervals, of coverage above all.

    Parameters
    ----------
    lists
        One row per list with ``model``, ``kind``, ``layer`` and `columns`, as `list_coverage`
        gives it. Lists without a value (NaN) are in no mean and are not resampled.
    columns
        What to average; a list has a value in all of them or in none.
    by
        What makes a group: some of "model", "kind" and "layer".
    resamples, seed
        Of the bootstrap; without resamples there are values and no intervals.

    Returns
    -------
    DataFrame
        One row per group and column, groups ordered as in `lists`: the columns of `by`,
        ``measure`` (the column's name), ``value``, ``low``, ``high`` (95%), ``lists``,
        ``warning``.

    Raises
    ------
    ValueError
        When `by` is empty or names something else.
    """
    if not by or not set(by) <= set(STRATA):
        raise ValueError(f"by is {tuple(by)}; it takes some of {', '.join(STRATA)}.")
    used = lists.dropna(subset=list(columns)).reset_index(drop=True)
    values = used[list(columns)].to_numpy(dtype=np.float64)
    grouped = used.groupby(list(by), observed=True, sort=False)
    group = grouped.ngroup().to_numpy(dtype=np.int64)
    strata = used.groupby(list(STRATA), observed=True).ngroup().to_numpy(dtype=np.int64)
    keys = grouped.size().reset_index()[list(by)]
    inside = [np.unique(strata[group == one]) for one in range(len(keys))]
    in_stratum = np.bincount(strata)
    drawn: list[list[Floats]] = [[] for _ in inside]
    for (sums,) in resampled_sums([values], strata, resamples=resamples, seed=seed):
        for one, members in enumerate(inside):
            drawn[one].append(sums[members].sum(axis=0) / in_stratum[members].sum())
    rows = []
    for one, members in enumerate(inside):
        found = np.concatenate(drawn[one] or [np.empty((0, len(columns)))])
        count = int(in_stratum[members].sum())
        single = int((in_stratum[members] == 1).sum())
        for index, column in enumerate(columns):
            interval = percentile_interval(found[:, index], strata=len(members), single=single)
            few = [FEW_LISTS_WARNING] if count < FEW_LISTS else []
            row: dict[Hashable, object] = {
                "measure": column,
                "value": values[group == one, index].mean(),
                "low": interval.low,
                "high": interval.high,
                "lists": count,
                "warning": "; ".join([*few, *interval.warnings()]),
            }
            rows.append({**keys.iloc[one].to_dict(), **row})
    names = [*by, "measure", "value", "low", "high", "lists", "warning"]
    return pd.DataFrame(rows, columns=names)


class _Products:
    """Rows of one stratum, ready to be multiplied with weights: few large products are fast."""

    def __init__(self, parts: Sequence[Floats | sparse.csr_array]) -> None:
        self.shapes = [part.shape[1:] for part in parts]
        self.thin = [not isinstance(part, np.ndarray) and _is_thin(part) for part in parts]
        thin, dense = [], []
        for part, is_thin in zip(parts, self.thin, strict=True):
            if is_thin:
                thin.append(part)
            else:
                values = part if isinstance(part, np.ndarray) else part.toarray()
                dense.append(np.asarray(values).reshape(len(values), -1))
        self.thin_cuts = np.cumsum([part.shape[1] for part in thin])[:-1]
        self.dense_cuts = np.cumsum([part.shape[1] for part in dense])[:-1]
        self.thin_rows = sparse.hstack(thin).T.tocsr() if thin else None
        self.dense_rows = np.concatenate(dense, axis=1) if dense else None

    def sums(self, weights: Floats) -> list[Floats]:
        """Weighted sums of every part, shape (resamples, …)."""
        thin: list[Floats] = []
        dense: list[Floats] = []
        if self.thin_rows is not None:
            product = np.ascontiguousarray((self.thin_rows @ np.ascontiguousarray(weights.T)).T)
            thin = np.split(product, self.thin_cuts, axis=1)
        if self.dense_rows is not None:
            dense = np.split(weights @ self.dense_rows, self.dense_cuts, axis=1)
        found = [(thin if is_thin else dense).pop(0) for is_thin in self.thin]
        return [one.reshape(-1, *shape) for one, shape in zip(found, self.shapes, strict=True)]


def _is_thin(part: sparse.csr_array) -> bool:
    rows, columns = part.shape
    return bool(columns > _WIDE and part.nnz < _SPARSE * rows * columns)
