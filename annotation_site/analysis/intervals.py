"""Intervals: how far a number would move with other lists of the same kinds and layers.

The definitions are in ``docs/measures.md``. All intervals are conditional on the annotators.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Integers = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]

RESAMPLES = 10_000
SEED = 2022
LEVEL = 0.95
FEW_LISTS = 20
FEW_LISTS_WARNING = f"fewer than {FEW_LISTS} lists"

_NUMBERS = 4_000_000  # held at once, 32 MB

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
    values: Floats, strata: Integers, *, resamples: int = RESAMPLES, seed: int = SEED
) -> Iterator[Floats]:
    """Draw lists anew within each stratum and add up their rows.

    Parameters
    ----------
    values
        Additive statistics, one row per list: shape (lists, columns).
    strata
        Each list's stratum, 0, 1, …, shape (lists,).
    resamples, seed
        How many draws in all; the same seed gives the same draws, whatever the values are.

    Yields
    ------
    NDArray
        For a block of resamples the sums, shape (strata, block, columns).

    Notes
    -----
    A resample of n lists is n draws with replacement, so it is known by how often each list was
    drawn; sums are products of these weights with the rows, and nothing is computed twice.
    """
    rows = rows_of(strata)
    parts = [values[inside] for inside in rows]
    block = max(1, _NUMBERS // max(len(rows) * values.shape[1], len(strata), 1))
    for weights in drawn_weights(rows, resamples=resamples, seed=seed, block=block):
        yield stratum_sums(parts, weights)


def rows_of(strata: Integers) -> list[Integers]:
    """The rows of each stratum, 0, 1, …"""
    return [np.flatnonzero(strata == one) for one in range(int(strata.max(initial=-1)) + 1)]


def stratum_sums(parts: Sequence[Floats], weights: Sequence[Floats]) -> Floats:
    """Weighted sums of each stratum's rows, shape (strata, block, columns)."""
    return np.stack([weight @ part for weight, part in zip(weights, parts, strict=True)])


def drawn_weights(
    rows: Sequence[Integers], *, resamples: int, seed: int, block: int
) -> Iterator[list[Floats]]:
    """How often each list is drawn, a block of resamples after the other.

    `rows` are the lists of each stratum, see `rows_of`; a block has an array per stratum, shape
    (resamples of the block, lists). The same seed gives the same draws, however large blocks are.
    Nothing comes where there is no stratum.
    """
    generators = [np.random.default_rng([seed, stratum]) for stratum in range(len(rows))]
    for begin in range(0, resamples if len(rows) else 0, block):
        size = min(block, resamples - begin)
        yield [
            _weights(generator, len(lists), size)
            for generator, lists in zip(generators, rows, strict=True)
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
    by: Sequence[Sequence[str]],
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> list[pd.DataFrame]:
    """Means over lists with their intervals, of coverage above all.

    Parameters
    ----------
    lists
        One row per list with ``model``, ``kind``, ``layer`` and `columns`, as `list_coverage`
        gives it. Lists without a value (NaN) are in no mean and are not resampled.
    columns
        What to average; a list has a value in all of them or in none.
    by
        For each table what makes a group: some of "model", "kind" and "layer".
    resamples, seed
        Of the bootstrap; without resamples there are values and no intervals. All tables share the
        draws.

    Returns
    -------
    list of DataFrame
        One row per group and column, groups ordered as in `lists`: the columns of `by`,
        ``measure`` (the column's name), ``value``, ``low``, ``high`` (95%), ``lists``,
        ``warning``.

    Raises
    ------
    ValueError
        When a grouping is empty or names something else.
    """
    for one in by:
        if not one or not set(one) <= set(STRATA):
            raise ValueError(f"by is {tuple(one)}; it takes some of {', '.join(STRATA)}.")
    used = lists.dropna(subset=list(columns)).reset_index(drop=True)
    values = used[list(columns)].to_numpy(dtype=np.float64)
    strata = used.groupby(list(STRATA), observed=True).ngroup().to_numpy(dtype=np.int64)
    blocks = list(resampled_sums(values, strata, resamples=resamples, seed=seed))
    count = int(strata.max(initial=-1)) + 1
    sums = np.concatenate(blocks, axis=1) if blocks else np.empty((count, 0, len(columns)))
    return [_means(used, values, strata, sums, columns, one) for one in by]


def _means(
    used: pd.DataFrame,
    values: Floats,
    strata: Integers,
    sums: Floats,
    columns: Sequence[str],
    by: Sequence[str],
) -> pd.DataFrame:
    """One table, from the sums of every stratum, resample and column."""
    grouped = used.groupby(list(by), observed=True, sort=False)
    group = grouped.ngroup().to_numpy(dtype=np.int64)
    keys = grouped.size().reset_index()[list(by)]
    in_stratum = np.bincount(strata)
    rows = []
    for one, key in enumerate(keys.to_dict("records")):
        members = np.unique(strata[group == one])
        count = int(in_stratum[members].sum())
        single = int((in_stratum[members] == 1).sum())
        found = sums[members].sum(axis=0) / count
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
            rows.append({**key, **row})
    names = [*by, "measure", "value", "low", "high", "lists", "warning"]
    return pd.DataFrame(rows, columns=names)
