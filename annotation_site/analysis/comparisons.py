"""Real against random: the difference of two kinds of vector, and whether chance explains it.

The definitions are in ``docs/measures.md``.
"""

from collections.abc import Iterator

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
)

PERMUTATIONS = 10_000

_NUMBERS = 4_000_000  # shuffled at once
_ROUNDING = 1e-12  # sums in another order differ by less; equal differences count as equal


def kind_comparison(
    lists: pd.DataFrame,
    *,
    column: str,
    first: str = "value",
    second: str = "random",
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
    seed: int = SEED,
) -> pd.DataFrame:
    """Compare a number of two kinds of vector, per model: over all layers, and in each layer.

    Parameters
    ----------
    lists
        One row per list with ``model``, ``kind``, ``layer`` and `column`, as `list_coverage`
        gives it. Lists without a value (NaN) do not enter.
    column
        What to compare, for example "coverage".
    first, second
        The two kinds; the difference is the first's mean minus the second's.
    resamples, permutations, seed
        Of the bootstrap and of the permutation test.

    Returns
    -------
    DataFrame
        One row per model for all layers (``layer`` missing), then one per layer that has a list
        of both kinds: ``model``, ``layer``, ``lists_first``, ``lists_second``, ``mean_first``,
        ``mean_second``, ``difference``, ``low``, ``high`` (95%), ``cliffs_delta``, ``p``,
        ``p_adjusted`` (Holm over the model's layers; missing in the row for all layers),
        ``warning``.
    """
    used = lists[lists["kind"].isin([first, second])].dropna(subset=[column])
    rows: list[dict[str, object]] = []
    for model, of_model in used.groupby("model"):
        parts = [(pd.NA, of_model), *of_model.groupby("layer")]
        found = [
            {"model": model, "layer": layer, **row}
            for layer, part in parts
            for row in _compared(part, column, first, second, resamples, permutations, seed)
        ]
        layers = [row for row in found if row["layer"] is not pd.NA]
        adjusted = holm(np.array([row["p"] for row in layers], dtype=np.float64))
        for row, value in zip(layers, adjusted, strict=True):
            row["p_adjusted"] = float(value)
        rows += found
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    return table.astype({"layer": "Int64", "p_adjusted": "float64"})


_COLUMNS = (
    *("model", "layer", "lists_first", "lists_second", "mean_first", "mean_second"),
    *("difference", "low", "high", "cliffs_delta", "p", "p_adjusted", "warning"),
)


def _compared(
    lists: pd.DataFrame,
    column: str,
    first: str,
    second: str,
    resamples: int,
    permutations: int,
    seed: int,
) -> Iterator[dict[str, object]]:
    """The row of one group; none where a kind has no list."""
    values = lists[column].to_numpy(dtype=np.float64)
    is_first = (lists["kind"] == first).to_numpy()
    layer = lists.groupby("layer").ngroup().to_numpy(dtype=np.int64)
    one, other = values[is_first], values[~is_first]
    if not len(one) or not len(other):
        return
    # Kind within layer: even strata are the first kind's.
    _, strata = np.unique(2 * layer + ~is_first, return_inverse=True)
    sizes = np.bincount(strata)
    of_first = np.unique(strata[is_first])
    means = [
        sums[of_first].sum(axis=0) / len(one)
        - np.delete(sums, of_first, axis=0).sum(axis=0) / len(other)
        for (sums,) in resampled_sums([values], strata, resamples=resamples, seed=seed)
    ]
    single = int((sizes == 1).sum())
    interval = percentile_interval(np.concatenate(means), strata=len(sizes), single=single)
    few = [FEW_LISTS_WARNING] if min(len(one), len(other)) < FEW_LISTS else []
    yield {
        "lists_first": len(one),
        "lists_second": len(other),
        "mean_first": float(one.mean()),
        "mean_second": float(other.mean()),
        "difference": float(one.mean() - other.mean()),
        "low": interval.low,
        "high": interval.high,
        "cliffs_delta": cliffs_delta(one, other),
        "p": permutation_p(values, is_first, layer, permutations=permutations, seed=seed),
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
    firsts = int(is_first.sum())
    seconds = len(values) - firsts
    generator = np.random.default_rng(seed)
    parts = [
        (values[strata == one], int(is_first[strata == one].sum())) for one in np.unique(strata)
    ]
    total = values.sum()
    observed = abs(values[is_first].mean() - values[~is_first].mean())
    limit = observed - _ROUNDING * max(1.0, observed)
    extreme, step = 0, max(1, _NUMBERS // len(values))
    for begin in range(0, permutations, step):
        size = min(step, permutations - begin)
        summed = np.zeros(size)
        for part, chosen in parts:
            rows = np.broadcast_to(part, (size, len(part)))
            summed += generator.permuted(rows, axis=1)[:, :chosen].sum(axis=1)
        difference = summed / firsts - (total - summed) / seconds
        extreme += int((np.abs(difference) >= limit).sum())
    return (extreme + 1) / (permutations + 1)


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
