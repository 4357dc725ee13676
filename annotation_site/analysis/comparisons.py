"""Real against random: the difference of two kinds of vector, and whether chance explains it.

The definitions are in ``docs/measures.md``.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from annotation_site.analysis.intervals import (
    FEW_LISTS,
    FEW_LISTS_WARNING,
    RESAMPLES,
    SEED,
    Floats,
    Integers,
    percentile_interval,
    resampled_sums,
    rows_of,
)

PERMUTATIONS = 10_000

_NUMBERS = 1_000_000  # shuffled at once
_ROUNDING = 1e-12  # sums in another order differ by less; equal differences count as equal


def kind_comparison(
    lists: pd.DataFrame,
    *,
    columns: Sequence[str],
    first: str = "value",
    second: str = "random",
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
    seed: int = SEED,
) -> pd.DataFrame:
    """Compare numbers of two kinds of vector, per model: over all layers, and in each layer.

    Parameters
    ----------
    lists
        One row per list with ``model``, ``kind``, ``layer`` and `columns`, as `list_coverage`
        gives it. Lists without a value (NaN) do not enter.
    columns
        What to compare, for example "coverage"; a list has a value in all of them or in none.
    first, second
        The two kinds; the difference is the first's mean minus the second's.
    resamples, permutations, seed
        Of the bootstrap and of the permutation test; all rows of a model share the draws.

    Returns
    -------
    DataFrame
        By column and model a row for all layers (``layer`` missing), then one per layer that has
        a list of both kinds: ``measure`` (the column), ``model``, ``layer``, ``lists_first``,
        ``lists_second``, ``mean_first``, ``mean_second``, ``difference``, ``low``, ``high`` (95%),
        ``cliffs_delta``, ``p``, ``p_adjusted`` (Holm over the model's layers; missing in the row
        for all layers), ``warning``.
    """
    used = lists[lists["kind"].isin([first, second])].dropna(subset=list(columns))
    models = [
        _Model(
            name=str(model),
            values=of_model[list(columns)].to_numpy(dtype=np.float64),
            is_first=(of_model["kind"] == first).to_numpy(),
            layer=of_model["layer"].to_numpy(dtype=np.int64),
            draws=(resamples, permutations, seed),
        )
        for model, of_model in used.groupby("model")
    ]
    rows = [
        {"measure": column, **row}
        for index, column in enumerate(columns)
        for model in models
        for row in model.rows(index)
    ]
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    return table.astype({"layer": "Int64", "p_adjusted": "float64"})


_COLUMNS = (
    *("measure", "model", "layer", "lists_first", "lists_second", "mean_first", "mean_second"),
    *("difference", "low", "high", "cliffs_delta", "p", "p_adjusted", "warning"),
)


class _Model:
    """One model's lists, drawn anew and shuffled once for all of its rows."""

    def __init__(
        self,
        *,
        name: str,
        values: Floats,
        is_first: NDArray[np.bool_],
        layer: Integers,
        draws: tuple[int, int, int],
    ) -> None:
        self.name = name
        self.values = values
        self.is_first = is_first
        self.layers, self.layer = np.unique(layer, return_inverse=True)
        # Kind within layer: even numbers are the first kind's.
        self.numbers, self.strata = np.unique(2 * self.layer + ~is_first, return_inverse=True)
        resamples, permutations, seed = draws
        sums = resampled_sums(values, self.strata, resamples=resamples, seed=seed)
        self.drawn = np.concatenate([np.empty((len(self.numbers), 0, values.shape[1])), *sums], 1)
        self.shuffled = shuffled_sums(
            values, is_first, self.layer, permutations=permutations, seed=seed
        )

    def rows(self, column: int) -> list[dict[str, object]]:
        """All layers, where both kinds have a list, and every layer where they have."""
        found = [
            self._row(column, chosen)
            for chosen in (np.arange(len(self.layers)), *np.arange(len(self.layers))[:, None])
            if len(set(self.is_first[np.isin(self.layer, chosen)])) == 2
        ]
        if not found:
            return []
        whole, *layers = found
        adjusted = holm(np.array([row["p"] for row in layers], dtype=np.float64))
        return [
            {**whole, "layer": pd.NA},
            *({**row, "p_adjusted": float(p)} for row, p in zip(layers, adjusted, strict=True)),
        ]

    def _row(self, column: int, layers: Integers) -> dict[str, object]:
        inside = np.isin(self.layer, layers)
        values, is_first = self.values[inside, column], self.is_first[inside]
        one, other = values[is_first], values[~is_first]
        strata = np.isin(self.numbers // 2, layers)
        of_first = strata & (self.numbers % 2 == 0)
        drawn = self.drawn[..., column]
        means = drawn[of_first].sum(axis=0) / len(one)
        means -= drawn[strata & ~of_first].sum(axis=0) / len(other)
        sizes = np.bincount(self.strata)[strata]
        interval = percentile_interval(means, strata=len(sizes), single=int((sizes == 1).sum()))
        few = [FEW_LISTS_WARNING] if min(len(one), len(other)) < FEW_LISTS else []
        return {
            "model": self.name,
            "layer": int(self.layers[layers[0]]),
            "lists_first": len(one),
            "lists_second": len(other),
            "mean_first": float(one.mean()),
            "mean_second": float(other.mean()),
            "difference": float(one.mean() - other.mean()),
            "low": interval.low,
            "high": interval.high,
            "cliffs_delta": cliffs_delta(one, other),
            "p": share_as_far(values, is_first, self.shuffled[layers, :, column].sum(axis=0)),
            "warning": "; ".join([*few, *interval.warnings()]),
        }


def cliffs_delta(first: Floats, second: Floats) -> float:
    r"""Cliff's delta: how much more often the first is above the second than below it.

    Parameters
    ----------
    first, second
        Two samples, not empty, in any order.

    Returns
    -------
    float
        (#(x > y) − #(x < y)) / (n · m) over all x of the first and y of the second; −1 to 1.

    References
    ----------
    Cliff (1993), Dominance statistics: ordinal analyses to answer ordinal questions,
    https://doi.org/10.1037/0033-2909.114.3.494

    Examples
    --------
    >>> cliffs_delta(np.array([1.0, 3.0]), np.array([0.0, 1.0]))
    0.75
    """
    ordered = np.sort(second)
    below = np.searchsorted(ordered, first, side="left").sum()
    above = (len(ordered) - np.searchsorted(ordered, first, side="right")).sum()
    return float(below - above) / (len(first) * len(second))


def permutation_p(
    values: Floats,
    is_first: NDArray[np.bool_],
    strata: Integers,
    *,
    permutations: int = PERMUTATIONS,
    seed: int = SEED,
) -> float:
    """Two-sided p of a difference of means, shuffling who is first within each stratum.

    Parameters
    ----------
    values, is_first, strata
        One entry per list: its value, whether it is of the first kind, its layer (0, 1, …).
        Both kinds have a list.
    permutations, seed
        How many shuffles.

    Returns
    -------
    float
        (b + 1) / (permutations + 1), b the number of shuffles whose difference is at least as far
        from 0 as the observed one.

    References
    ----------
    Phipson and Smyth (2010), Permutation p-values should never be zero,
    https://doi.org/10.2202/1544-6115.1585
    """
    shuffled = shuffled_sums(
        values[:, None], is_first, strata, permutations=permutations, seed=seed
    )
    return share_as_far(values, is_first, shuffled[..., 0].sum(axis=0))


def shuffled_sums(
    values: Floats,
    is_first: NDArray[np.bool_],
    strata: Integers,
    *,
    permutations: int,
    seed: int,
) -> Floats:
    """Shuffle who is first within each stratum and add up the values of those who are.

    `values` has shape (lists, columns), strata are 0, 1, …; gives shape (strata, permutations,
    columns). The same seed gives the same shuffles, however many are done at once.
    """
    inside = rows_of(strata)
    sums = np.empty((len(inside), permutations, values.shape[1]))
    for stratum, rows in enumerate(inside):
        generator = np.random.default_rng([seed, stratum])
        marks = is_first[rows].astype(np.uint8)
        if marks.min() == marks.max():  # nothing to shuffle
            sums[stratum] = marks @ values[rows]
            continue
        step = max(1, _NUMBERS // len(rows))
        for begin in range(0, permutations, step):
            size = min(step, permutations - begin)
            shuffled = generator.permuted(np.broadcast_to(marks, (size, len(rows))), axis=1)
            sums[stratum, begin : begin + size] = shuffled.astype(np.float64) @ values[rows]
    return sums


def share_as_far(values: Floats, is_first: NDArray[np.bool_], summed: Floats) -> float:
    """p of `permutation_p` from the first kind's sum in every shuffle, shape (permutations,)."""
    firsts = int(is_first.sum())
    seconds = len(values) - firsts
    observed = abs(values[is_first].mean() - values[~is_first].mean())
    limit = observed - _ROUNDING * max(1.0, observed)
    difference = summed / firsts - (values.sum() - summed) / seconds
    return float((np.abs(difference) >= limit).sum() + 1) / (len(summed) + 1)


def holm(p: Floats) -> Floats:
    """Adjust p-values for their number by Holm's step-down method; same order as given.

    References
    ----------
    Holm (1979), A simple sequentially rejective multiple test procedure,
    https://www.jstor.org/stable/4615733

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, 0.03])).round(6).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(raised, 1.0)
    return adjusted
