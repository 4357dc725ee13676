"""Real against random beside a second implementation, in fractions, that shares nothing with it."""

import math
from fractions import Fraction
from itertools import combinations, permutations, product
from statistics import mean, variance

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from annotation_site.analysis.comparisons import cliffs_delta, kind_comparison
from annotation_site.analysis.permutations import (
    LayerTest,
    WeightedTest,
    common_numerators,
    holm,
)
from annotation_site.analysis.strata import ALL_VECTORS, CHOSEN_VECTORS, Populations

List = tuple[int, int]  # tokens in a concept, of how many labels; none where nobody judged it
Study = dict[tuple[str, int], list[List]]


def frame(study: Study, model: str = "toy") -> pd.DataFrame:
    rows = [
        (model, kind, layer, labels, tokens)
        for (kind, layer), lists in study.items()
        for tokens, labels in lists
    ]
    return pd.DataFrame(rows, columns=["model", "kind", "layer", "labels", "coverage"])


def compared(study: Study, **options: object) -> pd.DataFrame:
    options.setdefault("permutations", 99)
    return kind_comparison(frame(study), columns=["coverage"], **options)  # type: ignore[arg-type]


def judged(study: Study, kind: str, layer: int) -> list[Fraction]:
    return [Fraction(tokens, labels) for tokens, labels in study.get((kind, layer), []) if labels]


def weighted(study: Study) -> tuple[list[int], dict[int, int]]:
    """Layers with judged lists of both kinds, and how many lists of both each holds."""
    layers = sorted({layer for _, layer in study})
    both = [one for one in layers if judged(study, "value", one) and judged(study, "random", one)]
    held = {one: len(study["value", one]) + len(study["random", one]) for one in both}
    return both, held


@st.composite
def judgements(draw: st.DrawFn) -> List:
    labels = draw(st.sampled_from([0, 30, 60, 90, 150, 210]))
    return draw(st.integers(0, labels)), labels


@st.composite
def studies(draw: st.DrawFn, most: int = 5) -> Study:
    layers = draw(st.lists(st.integers(0, 30), min_size=1, max_size=4, unique=True))
    one = st.lists(judgements(), min_size=0, max_size=most)
    return {(kind, layer): draw(one) for kind in ("value", "random") for layer in layers}


@settings(max_examples=120, deadline=None)
@given(study=studies())
def test_the_difference_is_that_within_layers_weighted_by_the_study_s_lists(study: Study) -> None:
    layers, held = weighted(study)
    table = compared(study, intervals=False)
    every = [
        [value for layer in {layer for _, layer in study} for value in judged(study, kind, layer)]
        for kind in ("value", "random")
    ]
    if not all(every):
        assert table.empty
        return
    whole = table.iloc[0]
    assert whole["layers"] == len(layers)
    assert (whole["lists_first"], whole["lists_second"]) == tuple(map(len, every))
    assert whole["mean_first"] == float(mean(every[0]))
    pairs = [(x > y) - (x < y) for x, y in product(*every)]
    assert whole["cliffs_delta"] == float(Fraction(sum(pairs), len(pairs)))
    assert table["layer"].iloc[1:].tolist() == layers
    if not layers:
        assert np.isnan(whole["difference"])
        assert "no layer has lists of both kinds" in whole["warning"]
        return
    differences = {
        layer: mean(judged(study, "value", layer)) - mean(judged(study, "random", layer))
        for layer in layers
    }
    together = sum(held[one] * differences[one] for one in layers) / sum(held.values())
    assert whole["difference"] == float(together)
    assert table["difference"].iloc[1:].tolist() == [float(differences[one]) for one in layers]


@settings(max_examples=80, deadline=None)
@given(study=studies(most=6), data=st.data())
def test_the_interval_of_a_difference_is_the_formula_s(study: Study, data: st.DataObject) -> None:
    layers, held = weighted(study)
    sizes = {
        ("toy", "value", layer): len(judged(study, "value", layer)) + data.draw(st.integers(1, 9))
        for layer in layers
    }
    # Single lists, and their neighbours, are tried with means.
    single = any(
        len(judged(study, kind, one)) == 1 for kind in ("value", "random") for one in layers
    )
    if single or len(layers) < 2:
        return
    row = compared(study, populations=Populations(sizes)).iloc[0]
    parts = []
    for kind, layer in product(("value", "random"), layers):
        values = [float(value) for value in judged(study, kind, layer)]
        n, weight = len(values), held[layer] / sum(held.values())
        left = 1 - n / sizes["toy", kind, layer] if kind == "value" else 1
        parts.append((weight**2 * variance(values) / n * left, n - 1))
    total = sum(part for part, _ in parts)
    half = 0.0
    if total > 1e-20:
        freedom = total**2 / sum(part**2 / df for part, df in parts)
        half = stats.t.ppf(0.975, freedom) * math.sqrt(total)
    assert row["high"] - row["difference"] == pytest.approx(half, abs=1e-9)
    assert row["difference"] - row["low"] == pytest.approx(half, abs=1e-9)


def every_assignment(study: Study) -> list[Fraction]:
    """The difference within layers under every assignment of kinds to lists."""
    layers, held = weighted(study)
    by_layer = []
    for layer in layers:
        one, other = judged(study, "value", layer), judged(study, "random", layer)
        lists, found = [*one, *other], []
        for chosen in combinations(range(len(lists)), len(one)):
            firsts = [lists[place] for place in chosen]
            seconds = [value for place, value in enumerate(lists) if place not in chosen]
            found.append(held[layer] * (mean(firsts) - mean(seconds)))
        by_layer.append(found)
    return [sum(parts) / sum(held.values()) for parts in product(*by_layer)]


@settings(max_examples=60, deadline=None)
@given(study=studies(most=3))
def test_the_smallest_p_is_that_of_all_assignments(study: Study) -> None:
    layers, _ = weighted(study)
    if not layers or len(layers) > 2:
        return
    differences = [abs(one) for one in every_assignment(study)]
    least = Fraction(differences.count(max(differences)), len(differences))
    warning = compared(study).iloc[0]["warning"]
    assert ("no significance is possible" in warning) == (least > Fraction(1, 20))
    if least > Fraction(1, 20):
        assert f"p cannot be below {float(least):.2g}" in warning


@settings(max_examples=25, deadline=None)
@given(study=studies(most=3))
def test_the_permutation_test_counts_assignments_that_are_as_far(study: Study) -> None:
    layers, _ = weighted(study)
    if not layers or len(layers) > 2:
        return
    row = compared(study, permutations=2_000, intervals=False).iloc[0]
    differences = [abs(one) for one in every_assignment(study)]
    _, held = weighted(study)
    parts = [
        held[one] * (mean(judged(study, "value", one)) - mean(judged(study, "random", one)))
        for one in layers
    ]
    observed = abs(sum(parts) / sum(held.values()))
    as_far = sum(one >= observed for one in differences) / len(differences)
    assert row["p"] == pytest.approx(as_far, abs=0.06)


@settings(max_examples=60, deadline=None)
@given(
    tokens=st.lists(st.integers(0, 30), min_size=2, max_size=6),
    kinds=st.lists(st.sampled_from(["value", "random"]), min_size=4, max_size=12),
)
def test_equal_means_are_equal_however_they_were_summed(
    tokens: list[int], kinds: list[str]
) -> None:
    """A list's mean over its annotators does not depend on who says what; nor does the test."""
    total, labels = sum(tokens), 30 * len(tokens)
    study: Study = {("value", 0): [], ("random", 0): []}
    for place, kind in enumerate(kinds):
        # The same mean as another fraction: of as many annotators, or of twice as many.
        study[kind, 0].append((total * (1 + place % 2), labels * (1 + place % 2)))
    if not all(study.values()):
        return
    row = compared(study).iloc[0]
    assert (row["difference"], row["cliffs_delta"], row["p"]) == (0, 0, 1)


def test_means_that_floats_tell_apart_though_they_are_equal_have_no_dominance() -> None:
    assert len({sum(x / 30 for x in order) / 3 for order in permutations((1, 2, 7))}) > 1
    one, common = common_numerators(np.array([[10], [10]]), np.array([90, 90]))
    assert common == 90
    assert cliffs_delta(one[:1, 0], one[1:, 0]) == 0


def test_numbers_too_large_for_the_processor_are_compared_all_the_same() -> None:
    primes = [30 * p for p in (101, 103, 107, 109, 113, 127, 131, 137, 139, 149)]
    counts = np.array([[p // 3] for p in primes])
    numbers, common = common_numerators(counts, np.array(primes))
    assert numbers.dtype == object
    assert common > 2**63
    is_first = np.arange(10) % 2 == 0
    test = WeightedTest([LayerTest.of(numbers, is_first, permutations=50, seed=[1])], [10])
    shares = counts[:, 0] / np.array(primes)
    expected = shares[is_first].mean() - shares[~is_first].mean()
    assert float(test.difference(0) / common) == pytest.approx(expected, abs=1e-15)
    assert 1 / 51 <= test.p(0) <= 1


def test_cliffs_delta_counts_pairs() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 6, 40), rng.integers(1, 7, 25)
    pairs = np.sign(one[:, None] - other)
    assert cliffs_delta(one, other) == pytest.approx(pairs.mean(), abs=1e-15)
    assert cliffs_delta(other, one) == -cliffs_delta(one, other)
    u = stats.mannwhitneyu(one, other).statistic
    assert cliffs_delta(one, other) == pytest.approx(2 * u / (40 * 25) - 1, abs=1e-12)


def test_holm_is_statsmodels() -> None:
    p = np.random.default_rng(3).random(12) ** 3
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-15)
    assert len(holm(np.array([]))) == 0


def sampled(layers: int, lists: int, *, shift: int = 9, seed: int = 0) -> Study:
    rng = np.random.default_rng(seed)
    return {
        (kind, layer): [
            (min(60, int(tokens) + shift * (kind == "value")), 60)
            for tokens in rng.integers(1, 50, lists)
        ]
        for kind in ("value", "random")
        for layer in range(layers)
    }


def test_p_values_are_adjusted_over_layers_and_models_together() -> None:
    study, other = sampled(3, 8), sampled(2, 8, shift=4, seed=1)
    both = pd.concat([frame(study, "one"), frame(other, "two")])
    table = kind_comparison(both, columns=["coverage"], permutations=400)
    layers, whole = table[table["layer"].notna()], table[table["layer"].isna()]
    assert layers["p_adjusted"].to_numpy() == pytest.approx(holm(layers["p"].to_numpy()))
    assert whole["p_adjusted"].to_numpy() == pytest.approx(holm(whole["p"].to_numpy()))
    alone = kind_comparison(frame(study, "one"), columns=["coverage"], permutations=400)
    assert alone["p"].tolist() == table.query("model == 'one'")["p"].tolist()
    assert np.isnan(alone["p_adjusted"].iloc[0])  # nothing to adjust for


@pytest.mark.parametrize(
    ("lists", "said"),
    [(2, "p cannot be below 0.33"), (3, "p cannot be below 0.1"), (5, "0.0079, adjusted 0.095")],
)
def test_a_layer_in_which_no_significance_is_possible_says_so(lists: int, said: str) -> None:
    # Powers of two: no two choices of lists have the same sum.
    study: Study = {
        (kind, layer): [(2 ** (2 * place + first), 2**12) for place in range(lists)]
        for first, kind in enumerate(("value", "random"))
        for layer in range(12)
    }
    table = compared(study, permutations=50)
    assert table["warning"].iloc[1:].str.contains(said, regex=False).all()
    assert "no significance" not in table["warning"].iloc[0]


def test_the_side_that_was_taken_whole_adds_no_width() -> None:
    study = sampled(4, 10)
    sizes = {("toy", "value", layer): 10 for layer in range(4)}
    sample, census = (
        compared(study).iloc[0],
        compared(study, populations=Populations(sizes)).iloc[0],
    )
    assert census["difference"] == sample["difference"]
    assert census["high"] - census["low"] < 0.85 * (sample["high"] - sample["low"])
    random = {("toy", "random", layer): 10 for layer in range(4)}
    every = compared(study, populations=Populations(sizes | random)).iloc[0]
    assert np.isnan(every["low"])
    assert every["warning"] == ALL_VECTORS


def test_the_difference_of_chosen_vectors_has_no_interval() -> None:
    chosen = Populations(chosen=frozenset({("toy", "value")}))
    table = compared(sampled(4, 10), populations=chosen)
    assert table["low"].isna().all()
    assert table["warning"].str.contains(CHOSEN_VECTORS).all()


def test_one_layer_has_an_interval_where_both_kinds_have_enough_lists() -> None:
    few, many = compared(sampled(1, 19)), compared(sampled(1, 25))
    assert few["low"].isna().all()
    assert set(few["warning"]) == {"no interval: fewer than 20 lists of one layer"}
    assert many["low"].notna().all()
    assert set(many["warning"]) == {"fewer than 30 lists of one layer"}
    nothing = sampled(1, 25)
    nothing["random", 0] = [(0, 60)] * 21 + [(20, 60)] * 4
    assert set(compared(nothing)["warning"]) == {
        "no interval: fewer than 5 lists of one layer are above 0"
    }


def test_layers_unevenly_judged_do_not_hide_a_difference() -> None:
    """Later layers have more of everything; of value vectors the first were judged more often."""
    study: Study = {}
    for layer, (values, randoms) in enumerate(zip((10, 8, 6, 4, 2), (2, 4, 6, 8, 10), strict=True)):
        for kind, count, more in (("value", values, 6), ("random", randoms, 0)):
            lists = [(10 * layer + more + place % 3, 60) for place in range(count)]
            study[kind, layer] = lists + [(0, 0)] * (10 - count)
    row = compared(study, permutations=999).iloc[0]
    assert row["mean_first"] < row["mean_second"]
    assert row["difference"] == pytest.approx(0.1, abs=0.01)
    assert row["p"] < 0.01


def test_a_layer_with_one_kind_is_in_no_difference() -> None:
    study: Study = {("value", 0): [(3, 30), (9, 30)], ("random", 0): [(6, 30)]}
    with_more = study | {("value", 1): [(27, 30)]}
    table = compared(with_more)
    assert table["layer"].to_list() == [pd.NA, 0]
    assert table["lists_first"].to_list() == [3, 2]
    assert table["difference"].to_list() == [0.0, 0.0]
    assert "1 layer has judged lists of one kind alone and is left out" in table["warning"].iloc[0]


def test_without_one_of_the_kinds_there_is_no_row() -> None:
    table = compared({("value", 0): [(3, 30)]})
    assert table.empty
    assert list(table.columns)[:3] == ["measure", "model", "layer"]
