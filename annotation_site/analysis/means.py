"""Means over lists, such as coverage, with their intervals.

The definitions are in ``docs/measures.md``. All intervals are conditional on the annotators.
"""

from collections.abc import Collection, Hashable, Sequence

import numpy as np
import pandas as pd

from annotation_site.analysis.strata import (
    NO_SPREAD,
    NOTHING_KNOWN,
    STRATA,
    WHOLE_RANGE,
    Floats,
    Integers,
    Marks,
    Populations,
    Strata,
    joined,
    too_near,
)
from annotation_site.analysis.stratified import cut_bounds, stratified_half_widths


def mean_intervals(
    lists: pd.DataFrame,
    *,
    columns: Sequence[str],
    by: Sequence[Sequence[str]],
    populations: Populations = NOTHING_KNOWN,
    counts: Collection[str] = (),
    intervals: bool = True,
) -> list[pd.DataFrame]:
    """Means over lists with their stratified t intervals.

    Parameters
    ----------
    lists
        One row per list with ``model``, ``kind``, ``layer`` and `columns`, as `list_coverage`
        gives it. Lists without a value (NaN) are in no mean and in no interval.
    columns
        What to average; a list has a value in all of them or in none.
    by
        For each table what makes a group: some of "model", "kind" and "layer".
    populations
        What the lists were drawn from.
    counts
        Which columns are no shares, and so have no largest value; all have 0 as the smallest.
    intervals
        Whether intervals are wanted.

    Returns
    -------
    list of DataFrame
        One row per group and column, groups ordered as in `lists`: the columns of `by`,
        ``measure`` (the column's name), ``value``, ``low``, ``high`` (95%; missing where there is
        no interval, and ``warning`` says why), ``lists``, ``warning``. Bounds are cut at 0, and
        at 1 for shares.

    Raises
    ------
    ValueError
        When a grouping is empty or names something else.
    """
    for one in by:
        if not one or not set(one) <= set(STRATA):
            raise ValueError(f"by is {tuple(one)}; it takes some of {', '.join(STRATA)}.")
    used = lists.dropna(subset=list(columns)).reset_index(drop=True)
    grouped = used.groupby(list(STRATA), observed=True)
    keys = grouped.size().reset_index(name="size")
    sample = _Sample(
        values=used[list(columns)].to_numpy(dtype=np.float64),
        stratum=grouped.ngroup().to_numpy(dtype=np.int64),
        strata=Strata.of(keys[list(STRATA)], keys["size"].to_numpy(dtype=np.int64), populations),
        most=np.array([np.inf if column in counts else 1.0 for column in columns]),
    )
    return [_means(used, sample, columns, one, intervals) for one in by]


def _means(
    used: pd.DataFrame, sample: "_Sample", columns: Sequence[str], by: Sequence[str], wanted: bool
) -> pd.DataFrame:
    """One table."""
    grouped = used.groupby(list(by), observed=True, sort=False)
    group = grouped.ngroup().to_numpy(dtype=np.int64)
    keys = grouped.size().reset_index()[list(by)]
    means = grouped[list(columns)].mean().to_numpy(dtype=np.float64)
    rows = []
    for one, key in enumerate(keys.to_dict("records")):
        inside = group == one
        found = sample.half_widths(inside) if wanted else None
        for index, column in enumerate(columns):
            value = means[one, index]
            half, warning = (np.nan, "") if found is None else (found[0][index], found[1][index])
            low, high = cut_bounds(value, half, least=0.0, most=sample.most[index])
            nothing = WHOLE_RANGE if (low, high) == (0.0, 1.0) and half > 0 else ""
            row: dict[Hashable, object] = {
                "measure": column,
                "value": value,
                "low": low,
                "high": high,
                "lists": int(inside.sum()),
                "warning": joined([nothing, warning]),
            }
            rows.append({**key, **row})
    names = [*by, "measure", "value", "low", "high", "lists", "warning"]
    return pd.DataFrame(rows, columns=names)


class _Sample:
    """Lists with their values and strata."""

    def __init__(self, values: Floats, stratum: Integers, strata: Strata, most: Floats) -> None:
        self.values = values
        self.stratum = stratum
        self.strata = strata
        self.most = most

    def half_widths(self, inside: Marks) -> tuple[Floats, list[str]]:
        """Of the mean of each column over some lists, whole strata; and its warning.

        NaN where there is no interval.
        """
        rows = np.zeros(len(self.strata), dtype=np.bool_)
        rows[self.stratum[inside]] = True
        reason, warnings = self.strata.judged(rows)
        half = np.full(len(self.most), np.nan)
        if reason:
            return half, [joined([reason, *warnings])] * len(half)
        varying = rows & ~self.strata.whole
        values = self.values[varying[self.stratum]]
        _, stratum = np.unique(self.stratum[varying[self.stratum]], return_inverse=True)
        half = stratified_half_widths(
            values,
            stratum,
            weights=self.strata.size[varying] / inside.sum(),
            pools=self.strata.pools[varying],
            population=self.strata.population[varying],
        )
        said = []
        for column, (most, width) in enumerate(zip(self.most, half, strict=True)):
            one_layer = varying.sum() == 1
            reason = too_near(values[:, column], most=most) if one_layer else ""
            if reason:
                half[column] = np.nan
            spread = NO_SPREAD if width == 0 and not reason else ""
            said.append(joined([reason, spread, *warnings]))
        return half, said
