"""Real against random: difference of two kinds of vector, Cliff's delta, permutation test.

The definitions are in ``docs/measures.md``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from annotation_site.analysis.intervals import SEED
from annotation_site.analysis.permutations import (
    PERMUTATIONS,
    LayerTest,
    Numbers,
    WeightedTest,
    common_numerators,
    holm,
)
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

SIGNIFICANT = 0.05


def kind_comparison(
    counts: pd.DataFrame,
    *,
    columns: Sequence[str],
    first: str = "value",
    second: str = "random",
    populations: Populations = NOTHING_KNOWN,
    permutations: int = PERMUTATIONS,
    seed: int = SEED,
    intervals: bool = True,
) -> pd.DataFrame:
    """Compare two kinds of vector per model: over all layers, and in each layer.

    Parameters
    ----------
    counts
        One row per list of the study, judged or not: ``model``, ``kind``, ``layer``, ``labels``
        (tokens times annotations; 0 where nobody has judged it) and `columns`, how many of the
        labels count, as whole numbers: `list_counts` gives it.
    columns
        What to compare, for example "coverage".
    first, second
        The two kinds; the difference is the first's mean minus the second's.
    populations
        What the lists were drawn from.
    permutations, seed
        Of the permutation test; all rows of a model share the shuffles.
    intervals
        Whether intervals are wanted.

    Returns
    -------
    DataFrame
        By column and model a row for all layers (``layer`` missing), then one per layer that has
        a judged list of both kinds: ``measure`` (the column), ``model``, ``layer``, ``layers``
        (that the difference rests on), ``lists_first``, ``lists_second`` (judged),
        ``mean_first``, ``mean_second`` (over these lists), ``difference`` (the mean of the
        layers' differences, weighted by the study's lists of both kinds), ``low``, ``high``
        (95%, cut at −1 and 1), ``cliffs_delta``, ``p``, ``p_adjusted`` (Holm over layers and
        models; for all layers over models, missing where there is one), ``warning``.
    """
    used = counts[counts["kind"].isin([first, second])]
    models = []
    for name, of_model in used.groupby("model"):
        model = _Model(
            name=str(name),
            lists=of_model.reset_index(drop=True),
            columns=columns,
            first=first,
            options=_Options(populations, permutations, seed, intervals),
        )
        if model.has_both:
            models.append(model)
    rows = [
        {"measure": column, **row}
        for index, column in enumerate(columns)
        for row in _adjusted([row for model in models for row in model.rows(index)])
    ]
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    return table.astype({"layer": "Int64", "p_adjusted": "float64"})


_COLUMNS = (
    *("measure", "model", "layer", "layers", "lists_first", "lists_second"),
    *("mean_first", "mean_second", "difference", "low", "high", "cliffs_delta"),
    *("p", "p_adjusted", "warning"),
)


def _adjusted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of one measure with adjusted p-values, and with a warning where none can be small."""
    whole = [row for row in rows if row["layer"] is pd.NA and not np.isnan(row["p"])]
    layers = [row for row in rows if row["layer"] is not pd.NA]
    for family in (whole if len(whole) > 1 else [], layers):
        p, least = (
            holm(np.array([row[name] for row in family], dtype=np.float64))
            for name in ("p", "smallest")
        )
        for row, adjusted, smallest in zip(family, p, least, strict=True):
            row["p_adjusted"], row["smallest_adjusted"] = float(adjusted), float(smallest)
    return [{**row, "warning": joined([row["warning"], _impossible(row)])} for row in rows]


def _impossible(row: dict[str, Any]) -> str:
    least, adjusted = row["smallest"], row.get("smallest_adjusted", 0.0)
    if np.isnan(least) or max(least, adjusted) <= SIGNIFICANT:
        return ""
    said = f"no significance is possible: p cannot be below {least:.2g}"
    return said if least > SIGNIFICANT else f"{said}, adjusted {adjusted:.2g}"


@dataclass(frozen=True)
class _Options:
    populations: Populations
    permutations: int
    seed: int
    intervals: bool


class _Model:
    """One model's lists, shuffled once for all of its rows."""

    def __init__(
        self,
        *,
        name: str,
        lists: pd.DataFrame,
        columns: Sequence[str],
        first: str,
        options: _Options,
    ) -> None:
        self.name, self.options = name, options
        held = lists["layer"].value_counts()
        judged = lists[lists["labels"] > 0].sort_values(list(STRATA), ignore_index=True)
        self.lists = judged
        self.is_first = (judged["kind"] == first).to_numpy()
        self.layer = judged["layer"].to_numpy(dtype=np.int64)
        self.labels = judged["labels"].to_numpy(dtype=np.int64)
        self.counts = judged[list(columns)].to_numpy(dtype=np.int64)
        self.numbers, self.common = common_numerators(self.counts, self.labels)
        both = np.intersect1d(self.layer[self.is_first], self.layer[~self.is_first])
        self.layers = [int(layer) for layer in both]
        self.held = {layer: int(held[layer]) for layer in self.layers}
        self.left_out = len(np.unique(self.layer)) - len(self.layers)

    @property
    def has_both(self) -> bool:
        return bool(self.is_first.any()) and not self.is_first.all()

    @cached_property
    def tests(self) -> dict[int, LayerTest]:
        """By layer."""
        return {
            layer: LayerTest.of(
                self.numbers[self.layer == layer],
                self.is_first[self.layer == layer],
                permutations=self.options.permutations,
                seed=[self.options.seed, number],
            )
            for number, layer in enumerate(self.layers)
        }

    @cached_property
    def strata(self) -> tuple[Strata, Integers]:
        """Of all judged lists, and the number of each list's."""
        grouped = self.lists.groupby(list(STRATA), observed=True)
        keys = grouped.size().reset_index(name="size")
        size = keys["size"].to_numpy(dtype=np.int64)
        strata = Strata.of(keys[list(STRATA)], size, self.options.populations)
        return strata, grouped.ngroup().to_numpy(dtype=np.int64)

    def rows(self, column: int) -> list[dict[str, Any]]:
        """All layers, and every layer where both kinds have a list."""
        everywhere = np.ones(len(self.layer), dtype=np.bool_)
        whole = self._row(column, self.layers, everywhere)
        if self.left_out:
            one = self.left_out == 1
            which = "1 layer has" if one else f"{self.left_out} layers have"
            left = f"{which} judged lists of one kind alone and {'is' if one else 'are'} left out"
            whole["warning"] = joined([left, whole["warning"]])
        each = [self._row(column, [one], self.layer == one) for one in self.layers]
        return [{**whole, "layer": pd.NA}, *each]

    def _row(self, column: int, layers: list[int], inside: Marks) -> dict[str, Any]:
        numbers, is_first = self.numbers[inside, column], self.is_first[inside]
        one, other = numbers[is_first], numbers[~is_first]
        row: dict[str, Any] = {
            "model": self.name,
            "layer": layers[0] if layers else pd.NA,
            "layers": len(layers),
            "lists_first": len(one),
            "lists_second": len(other),
            "mean_first": int(one.sum()) / (len(one) * self.common),
            "mean_second": int(other.sum()) / (len(other) * self.common),
            "cliffs_delta": cliffs_delta(one, other),
        }
        if not layers:
            nothing = dict.fromkeys(("difference", "low", "high", "p", "smallest"), np.nan)
            return {**row, **nothing, "warning": "no difference: no layer has lists of both kinds"}
        test = WeightedTest(
            [self.tests[layer] for layer in layers], [self.held[layer] for layer in layers]
        )
        difference = float(test.difference(column) / self.common)
        half, warning = self._half_width(column, layers)
        low, high = cut_bounds(difference, half, least=-1.0, most=1.0)
        range_warning = WHOLE_RANGE if (low, high) == (-1.0, 1.0) else ""
        return {
            **row,
            "difference": difference,
            "low": low,
            "high": high,
            "p": test.p(column),
            "smallest": test.smallest_p(column),
            "warning": joined([range_warning, warning]),
        }

    def _half_width(self, column: int, layers: list[int]) -> tuple[float, str]:
        """Of the difference's interval; NaN, and why, where there is none."""
        if not self.options.intervals:
            return np.nan, ""
        inside = np.isin(self.layer, layers)
        every, number = self.strata
        strata = every.taking(np.isin(every.layer, layers))
        _, stratum = np.unique(number[inside], return_inverse=True)
        values = self.counts[inside, column] / self.labels[inside]
        reason, warnings = _judged(strata, values, stratum)
        if reason:
            return np.nan, joined([reason, *warnings])
        weights = np.array([self.held[int(layer)] for layer in strata.layer], dtype=np.float64)
        # Each layer stands once for either kind.
        weights /= sum(self.held[layer] for layer in layers)
        half = _spread(strata, values, stratum, weights)
        return half, joined([*([NO_SPREAD] if half == 0 else []), *warnings])


def _judged(strata: Strata, values: Floats, stratum: Integers) -> tuple[str, list[str]]:
    """Why a difference has no interval, else its warnings: what either kind's mean would say."""
    if strata.whole.all() or strata.chosen.any():
        return strata.judged(np.ones(len(strata), dtype=np.bool_))
    said: list[str] = []
    for group in np.unique(strata.group):
        rows = strata.group == group
        varying = rows & ~strata.whole
        if not varying.any():
            continue  # the other kind alone varies
        reason, warnings = strata.judged(rows)
        if not reason and len(np.unique(strata.layer[varying])) == 1:
            reason = too_near(values[varying[stratum]])
        if reason:
            return reason, []
        said += warnings
    return "", said


def _spread(strata: Strata, values: Floats, stratum: Integers, weights: Floats) -> float:
    varying = ~strata.whole
    kept = varying[stratum]
    _, compact = np.unique(stratum[kept], return_inverse=True)
    half = stratified_half_widths(
        values[kept, None],
        compact,
        weights=weights[varying],
        pools=strata.pools[varying],
        population=strata.population[varying],
    )
    return float(half[0])


def cliffs_delta(first: Numbers, second: Numbers) -> float:
    r"""Cliff's delta: how much more often the first is above the second than below it.

    Parameters
    ----------
    first, second
        Two samples, not empty, in any order: whole numbers, so that equal ones are equal.

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
    >>> cliffs_delta(np.array([1, 3]), np.array([0, 1]))
    0.75
    """
    ordered = np.sort(second)
    below = int(np.searchsorted(ordered, first, side="left").sum())
    above = int((len(ordered) - np.searchsorted(ordered, first, side="right")).sum())
    return (below - above) / (len(first) * len(second))
