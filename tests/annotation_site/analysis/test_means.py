"""Stratified t intervals of means, beside a second implementation that shares nothing with it."""

import math
from collections.abc import Sequence
from statistics import mean, variance

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from annotation_site.analysis.means import mean_intervals
from annotation_site.analysis.strata import (
    ALL_VECTORS,
    CHOSEN_VECTORS,
    NO_SPREAD,
    WHOLE_RANGE,
    Populations,
)
from annotation_site.analysis.stratified import cut_bounds

Layers = dict[int, list[float]]


def frame(layers: Layers, kind: str = "value") -> pd.DataFrame:
    rows = [("toy", kind, layer, value) for layer, values in layers.items() for value in values]
    return pd.DataFrame(rows, columns=["model", "kind", "layer", "coverage"])


def row(
    layers: Layers,
    *,
    by: Sequence[str] = ("model", "kind"),
    sizes: dict[int, int] | None = None,
    **options: object,
) -> pd.Series:
    known = {("toy", "value", layer): size for layer, size in (sizes or {}).items()}
    options.setdefault("populations", Populations(known))
    found = mean_intervals(frame(layers), columns=["coverage"], by=[by], **options)[0]  # type: ignore[arg-type]
    assert len(found) == 1
    return found.iloc[0]


def pooled(layers: Layers, sizes: dict[int, int]) -> list[tuple[list[float], float]]:
    """Values and population of what varies as one, by following each single list's neighbour."""
    varying = [layer for layer in sorted(layers) if len(layers[layer]) < sizes.get(layer, math.inf)]
    links: dict[int, set[int]] = {layer: {layer} for layer in varying}
    for layer in varying:
        others = [one for one in varying if one != layer]
        if len(layers[layer]) == 1 and others:
            nearest = min(others, key=lambda one: (abs(one - layer), one))
            together = links[layer] | links[nearest]
            for one in together:
                links[one] = together
    groups = {tuple(sorted(group)) for group in links.values()}
    return [
        (
            [value for layer in group for value in layers[layer]],
            sum(sizes.get(layer, math.inf) for layer in group),
        )
        for group in sorted(groups)
    ]


def half_width(layers: Layers, sizes: dict[int, int]) -> float:
    n = sum(map(len, layers.values()))
    parts = [
        ((len(v) / n) ** 2 * variance(v) / len(v) * (1 - len(v) / size), len(v) - 1)
        for v, size in pooled(layers, sizes)
    ]
    total = sum(part for part, _ in parts)
    if total == 0:
        return 0.0
    freedom = total**2 / sum(part**2 / df for part, df in parts)
    return float(stats.t.ppf(0.975, freedom) * math.sqrt(total))


SHARES = st.integers(0, 30).map(lambda tokens: tokens / 30)


@st.composite
def studies(draw: st.DrawFn) -> tuple[Layers, dict[int, int]]:
    """Two layers or more, some with one list, some taken whole, some far from the next."""
    numbers = draw(st.lists(st.integers(0, 40), min_size=2, max_size=7, unique=True))
    layers = {layer: draw(st.lists(SHARES, min_size=1, max_size=6)) for layer in numbers}
    sizes = {
        layer: len(values) + draw(st.sampled_from([0, 1, 5, 3000]))
        for layer, values in layers.items()
        if draw(st.booleans())
    }
    return layers, sizes


@settings(max_examples=150, deadline=None)
@given(study=studies())
def test_the_interval_of_a_mean_is_the_formula_s(study: tuple[Layers, dict[int, int]]) -> None:
    layers, sizes = study
    found = row(layers, sizes=sizes)
    everything = [value for values in layers.values() for value in values]
    assert found["value"] == pytest.approx(mean(everything))
    assert found["lists"] == len(everything)
    groups = pooled(layers, sizes)
    varying = [layer for layer in layers if len(layers[layer]) < sizes.get(layer, math.inf)]
    if not varying:
        assert found["warning"] == ALL_VECTORS
    elif len(varying) == 1 or any(len(values) == 1 for values, _ in groups):
        assert found["warning"].startswith("no interval: ")
    else:
        half = half_width(layers, sizes)
        bounds = max(found["value"] - half, 0), min(found["value"] + half, 1)
        assert (found["low"], found["high"]) == pytest.approx(bounds)
        assert (WHOLE_RANGE in found["warning"]) == (bounds == (0, 1))
        assert 0 <= found["low"] <= found["high"] <= 1
        assert (NO_SPREAD in found["warning"]) == (half == 0)
        single = sum(len(layers[layer]) == 1 for layer in varying)
        assert (f"{single} of {len(varying)} groups" in found["warning"]) == (single > 0)
        assert found["low"] <= found["value"] <= found["high"]
        return
    assert np.isnan([found["low"], found["high"]]).all()


@settings(max_examples=60, deadline=None)
@given(values=st.lists(SHARES, min_size=1, max_size=45), data=st.data())
def test_one_layer_has_an_interval_from_20_lists_on_away_from_both_ends(
    values: list[float], data: st.DataObject
) -> None:
    layer = data.draw(st.integers(0, 50))
    found = row({layer: values}, by=("model", "kind", "layer"))
    together = row({layer: values})  # all layers there are
    assert found[["low", "high", "warning"]].equals(together[["low", "high", "warning"]])
    enough = len(values) >= 20
    away = sum(v > 0 for v in values) >= 5 and sum(v < 1 for v in values) >= 5
    assert np.isnan(found["low"]) == (not (enough and away))
    if not enough:
        assert found["warning"] == "no interval: fewer than 20 lists of one layer"
    elif not away:
        assert found["warning"].startswith("no interval: fewer than 5 lists of one layer are ")
    else:
        few = len(values) < 30
        assert ("fewer than 30 lists of one layer" in found["warning"]) == few
        low, high = stats.t.interval(
            0.95, len(values) - 1, loc=mean(values), scale=stats.sem(values) or 1e-300
        )
        assert (found["low"], found["high"]) == pytest.approx((max(low, 0), min(high, 1)))


def test_a_count_has_no_upper_end_to_be_near_to() -> None:
    concepts = {3: [1.0, 2.0] * 15}
    assert np.isnan(row(concepts)["low"])
    assert row(concepts, counts=["coverage"])["low"] < 1.5


def test_bounds_of_counts_are_cut_at_0_alone() -> None:
    concepts = row({0: [0.0, 9.0], 1: [0.0, 7.0]}, counts=["coverage"])
    assert concepts["low"] == 0
    assert concepts["high"] == pytest.approx(4 + half_width({0: [0, 9], 1: [0, 7]}, {}))
    assert WHOLE_RANGE not in concepts["warning"]


def test_a_mean_that_rounding_carries_above_1_is_held_by_its_bounds() -> None:
    above = 1 + 2**-52
    assert cut_bounds(above, 0.1, least=0.0, most=1.0) == (above - 0.1, above)
    assert cut_bounds(-(2**-60), 0.0, least=0.0, most=1.0) == (-(2**-60), -(2**-60))


@settings(max_examples=40, deadline=None)
@given(value=SHARES, annotators=st.integers(1, 7), lists=st.integers(20, 40))
def test_equal_lists_give_an_interval_that_holds_its_value_and_says_so(
    value: float, annotators: int, lists: int
) -> None:
    layers = {layer: [value * annotators / annotators] * lists for layer in range(3)}
    found = row(layers)
    assert found["low"] == found["value"] == found["high"]
    assert NO_SPREAD in found["warning"]


def test_lists_that_were_chosen_are_no_sample() -> None:
    layers = {0: [0.1, 0.4, 0.5], 1: [0.2, 0.3, 0.9]}
    populations = Populations({("toy", "value", 0): 100}, frozenset({("toy", "value")}))
    found = row(layers, populations=populations)
    assert found["warning"] == CHOSEN_VECTORS
    assert np.isnan(found["low"])


def test_layers_of_which_few_lists_were_judged_are_said() -> None:
    warning = row({layer: [0.1, 0.5] if layer < 2 else [0.1, 0.2, 0.3] for layer in range(8)})[
        "warning"
    ]
    assert warning == "fewer than 3 lists in 2 of 8 groups of kind and layer"
    assert row({layer: [0.1, 0.2, 0.3] for layer in range(8)})["warning"] == ""


def test_a_list_without_a_value_is_in_no_mean() -> None:
    layers = {0: [0.2, 0.4, np.nan], 1: [0.6, 0.1, np.nan]}
    without = {layer: values[:2] for layer, values in layers.items()}
    pd.testing.assert_series_equal(row(layers), row(without))


@pytest.mark.parametrize("by", [[], ["list_id"]])
def test_means_are_for_groups_that_lists_were_sampled_in(by: list[str]) -> None:
    with pytest.raises(ValueError, match="it takes some of model, kind, layer"):
        row({0: [0.1]}, by=by)


def test_without_intervals_there_are_values_alone() -> None:
    found = row({0: [0.25, 0.75]}, intervals=False)
    assert found["value"] == 0.5
    assert np.isnan(found["low"])
    assert found["warning"] == ""
