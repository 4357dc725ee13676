"""Predicted precision against simulated studies, a formula and exact quantiles."""

from math import isnan, sqrt

import numpy as np
import pandas as pd
import pytest
from scipy.special import stdtrit

from annotation_site.analysis.comparisons import kind_comparison
from annotation_site.analysis.means import mean_intervals
from annotation_site.analysis.power import (
    LISTS,
    PEOPLE,
    Components,
    Plan,
    closed_form,
    precision_curve,
    t_quantiles,
)
from annotation_site.analysis.strata import Populations

STUDIES, LAYERS, LISTS_PER_LAYER, OF_LIST, PEOPLE_IN_ALL = 400, 4, 5, 2, 6
LENGTH, VECTORS = 10_000, 40
VALUE = Components(0.004, 0.002, 0.003)
RANDOM = Components(0.002, 0.001, 0.001)
PLAN = Plan(VALUE, RANDOM, 0.001, LAYERS, PEOPLE_IN_ALL, VECTORS)


def list_means(rng: np.random.Generator, parts: Components, people: np.ndarray) -> np.ndarray:
    """Means of lists, shape (studies, layers, lists): the same people see them in each study.

    The lists of a layer are drawn without replacement from its vectors.
    """
    vectors = rng.normal(0, sqrt(parts.lists), (STUDIES, LAYERS, VECTORS))
    vectors -= vectors.mean(axis=2, keepdims=True)  # what is estimated is the layer's own mean
    chosen = rng.permuted(vectors, axis=2)[:, :, :LISTS_PER_LAYER]
    order = rng.permuted(np.broadcast_to(people, (*chosen.shape, PEOPLE_IN_ALL)), axis=3)
    rest = rng.normal(0, sqrt(parts.disagreement), (*chosen.shape, OF_LIST))
    return chosen + (order[..., :OF_LIST] + rest).mean(axis=3)


def lists_of(kind: str, means: np.ndarray) -> pd.DataFrame:
    study, layer, _ = (index.ravel() for index in np.indices(means.shape))
    return pd.DataFrame(
        {"model": [f"study {n:03}" for n in study], "kind": kind, "layer": layer,
         "coverage": means.ravel()}
    )  # fmt: skip


@pytest.fixture(scope="module")
def simulated() -> pd.DataFrame:
    """Lists of many studies whose true difference is the smallest that 80% detect."""
    rng = np.random.default_rng(7)
    (predicted,) = precision_curve(
        PLAN, lists_per_layer=(LISTS_PER_LAYER,), people_per_list=(OF_LIST,)
    )
    parts = []
    middle = predicted.detectable / 2
    for kind, components, mean in (("value", VALUE, middle), ("random", RANDOM, -middle)):
        people = rng.normal(size=PEOPLE_IN_ALL)  # the components are exactly those of these people
        people = (people - people.mean()) / people.std(ddof=1) * sqrt(components.people or 0)
        parts.append(lists_of(kind, 0.5 + mean + list_means(rng, components, people)))
    return pd.concat(parts, ignore_index=True)


def test_the_width_is_that_of_simulated_studies(simulated):
    """Full studies with the product's own intervals; no bound is cut."""
    (predicted,) = precision_curve(
        PLAN, lists_per_layer=(LISTS_PER_LAYER,), people_per_list=(OF_LIST,)
    )
    models = simulated["model"].unique()
    sizes = {(model, "value", layer): VECTORS for model in models for layer in range(LAYERS)}
    values = simulated[simulated["kind"] == "value"]
    (table,) = mean_intervals(
        values, columns=["coverage"], by=[("model", "kind")], populations=Populations(sizes)
    )
    half = (table["high"] - table["low"]) / 2
    error = half.std() / sqrt(len(half))
    assert predicted.half_width == pytest.approx(half.mean(), abs=4 * error)


def test_80_percent_of_simulated_studies_detect_the_smallest_difference(simulated):
    models = simulated["model"].unique()
    sizes = {(model, "value", layer): VECTORS for model in models for layer in range(LAYERS)}
    counts = simulated.assign(
        list_id=range(len(simulated)),
        labels=LENGTH,
        coverage=np.rint(simulated["coverage"] * LENGTH).astype(int),
    )
    table = kind_comparison(
        counts, columns=["coverage"], populations=Populations(sizes), permutations=1
    )
    detected = (table[table["layer"].isna()]["low"] > 0).to_numpy()
    assert len(detected) == STUDIES
    error = sqrt(0.8 * 0.2 / STUDIES)
    assert detected.mean() == pytest.approx(0.8, abs=4 * error)


@pytest.mark.parametrize("lists", [10, 30])
def test_the_formula_gives_nearly_the_same(lists):
    plan = Plan(VALUE, RANDOM, None, 12, 6, 3072)
    (one,) = precision_curve(plan, lists_per_layer=(lists,), people_per_list=(2,))
    formula = closed_form(plan, lists_per_layer=lists, people_per_list=2)
    assert (one.half_width, one.detectable) == pytest.approx(formula, rel=0.01)


def test_the_worked_case_of_the_page():
    plan = Plan(Components(0.06, 0.0025, 0.03), None, None, 12, 4)
    assert plan.value.of_list_means(people_per_list=2, people=4) == pytest.approx(11 / 160)
    half, nothing = closed_form(plan, lists_per_layer=10, people_per_list=2)
    assert half == pytest.approx(stdtrit(108, 0.975) * sqrt(11 / 19200), rel=1e-9)
    assert round(half, 4) == 0.0474
    assert isnan(nothing)


def test_designs_do_not_depend_on_each_other_and_are_the_same_each_time():
    curve = precision_curve(PLAN)
    assert [(one.lists_per_layer, one.people_per_list) for one in curve] == [
        (lists, people) for lists in LISTS for people in PEOPLE
    ]
    (alone,) = precision_curve.__wrapped__(PLAN, lists_per_layer=(10,), people_per_list=(2,))
    known = next(one for one in curve if (one.lists_per_layer, one.people_per_list) == (10, 2))
    assert alone.half_width == known.half_width
    assert alone.detectable == known.detectable
    assert alone.half_width_people == known.half_width_people


def test_more_lists_and_more_people_per_list_give_narrower_intervals():
    curve = precision_curve(Plan(VALUE, RANDOM, 0.001, 12, 6))
    width = {(one.lists_per_layer, one.people_per_list): one.half_width for one in curve}
    least = {(one.lists_per_layer, one.people_per_list): one.detectable for one in curve}
    for found in (width, least):
        for people in PEOPLE:
            of_lists = [found[n, people] for n in LISTS]
            assert of_lists == sorted(of_lists, reverse=True)
        for n in LISTS:
            of_people = [found[n, people] for people in PEOPLE]
            assert of_people == sorted(of_people, reverse=True)


def test_people_like_these_widen_the_interval_by_their_own_variance():
    """With so many lists that nothing else is left, the interval is that of a mean of people."""
    plan = Plan(Components(1e-9, 0.0, 0.01), Components(1e-9, 0.0, 0.01), 0.004, 12, 8)
    (one,) = precision_curve(plan, lists_per_layer=(50,), people_per_list=(8,), studies=20_000)
    root = 0.9650  # of the mean of the square root of a χ² variable with 7 degrees, divided by 7
    assert one.half_width_people == pytest.approx(
        stdtrit(7, 0.975) * root * sqrt(0.01 / 8), rel=0.01
    )
    assert one.half_width < 1e-4
    for one in precision_curve(Plan(VALUE, RANDOM, 0.001, 2, 5)):  # few degrees of freedom
        assert one.half_width_people >= one.half_width
        assert one.detectable_people >= one.detectable
    fewer = Plan(VALUE, RANDOM, 0.001, 12, 4)
    (one,) = precision_curve(fewer, lists_per_layer=(10,), people_per_list=(2,))
    assert isnan(one.half_width_people)
    assert isnan(one.detectable_people)


@pytest.mark.parametrize(
    ("plan", "lists"),
    [
        (PLAN, 1),
        (PLAN, VECTORS),
        (Plan(VALUE, RANDOM, None, 1, 3), 19),
    ],
)
def test_no_prediction_where_the_results_have_no_interval(plan, lists):
    (one,) = precision_curve(plan, lists_per_layer=(lists,), people_per_list=(2,))
    assert isnan(one.half_width)
    assert isnan(one.detectable)


@pytest.mark.parametrize("level", [0.95, 0.6])
def test_quantiles_of_student_s_t(level):
    degrees = np.array([2.0, 2.5, 3, 4, 5, 7.3, 20, 108, 5000])
    exact = stdtrit(degrees, (1 + level) / 2)
    np.testing.assert_allclose(t_quantiles(degrees, level=level), exact, rtol=2e-3)
    low = np.array([1, 1.2, 1.5, 1.9])
    exact = stdtrit(low, (1 + level) / 2)
    np.testing.assert_allclose(t_quantiles(low, level=level), exact, rtol=0.03)


def test_a_plan_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one layer"):
        precision_curve(Plan(VALUE, None, None, 0, 2))
    with pytest.raises(ValueError, match="at least one list"):
        precision_curve(PLAN, lists_per_layer=(0,))
