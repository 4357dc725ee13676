"""What tables draw at random, drawn again by other means: equal but for the draw."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from annotation_site.results.tables.registry import TABLES
from tests.annotation_site.oracle.agreement import Agreement, measures, percent
from tests.annotation_site.oracle.coverage import Coverage, pools
from tests.annotation_site.oracle.shapes import make
from tests.annotation_site.results.test_against_an_oracle import request_of, study_of

pytestmark = pytest.mark.django_db
DRAWS = 4000


@pytest.fixture(autouse=True)
def _people_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotation_site.results.tables.machine_annotators.MACHINE_ANNOTATORS", {})


@pytest.mark.parametrize("name", ["several patterns", "two models"])
def test_p_values_are_those_of_shuffling_kinds_within_layers(name: str):
    made = make(name, seed=3)
    table = TABLES["real_against_random"](replace(request_of(made), resamples=DRAWS))
    study = study_of(made)
    covering = Coverage(study, study.covering)
    rng = np.random.default_rng(5)
    looked_at = 0
    for row in table[table["measure"] == "coverage"].to_dict("records"):
        wanted = shuffled_p(covering, row["model"], row["layer"], rng)
        if wanted is None:
            assert pd.isna(row["p"])
            continue
        error = np.sqrt(max(wanted * (1 - wanted), 1 / DRAWS) * 2 / DRAWS)
        assert abs(row["p"] - wanted) < 5 * error, row
        looked_at += 1
    assert looked_at >= 5


def shuffled_p(
    covering: Coverage, model: str, layer: object, rng: np.random.Generator
) -> float | None:
    """(b + 1) / (B + 1), over the weighted mean of the layers' differences, in whole numbers."""
    layers: dict[int, list[tuple[bool, float]]] = defaultdict(list)
    held: dict[int, int] = defaultdict(int)
    for one in covering.study.own:
        if one.model == model and one.kind != "update" and (pd.isna(layer) or one.layer == layer):
            held[one.layer] += 1
            if one.number in covering.lists:
                value = float(covering.lists[one.number]["coverage"])
                layers[one.layer].append((one.kind == "value", value))
    both = [one for one, own in layers.items() if len({first for first, _ in own}) == 2]
    if not both:
        return None
    seen, drawn = 0.0, np.zeros(DRAWS)
    for one in both:
        weight = held[one] / sum(held[other] for other in both)
        first = np.array([is_first for is_first, _ in layers[one]])
        values = np.array([value for _, value in layers[one]])
        share = np.where(first, 1 / first.sum(), -1 / (~first).sum())
        seen += weight * values @ share
        drawn += weight * (rng.permuted(np.tile(share, (DRAWS, 1)), axis=1) @ values)
    return float((np.sum(np.abs(drawn) >= abs(seen) - 1e-9) + 1) / (DRAWS + 1))


@pytest.mark.parametrize("name", ["two models", "several patterns"])
def test_adjusted_p_values_are_holm_s_over_layers_and_models(name: str):
    table = TABLES["real_against_random"](request_of(make(name, seed=3)))
    for _, of_measure in table.groupby("measure"):
        for family in (of_measure["layer"].notna(), of_measure["layer"].isna()):
            rows = of_measure[family & of_measure["p"].notna()].sort_values("p", kind="stable")
            if len(rows) < 2:
                continue
            left = np.arange(len(rows), 0, -1)
            wanted = np.minimum(np.maximum.accumulate(rows["p"] * left), 1)
            assert np.allclose(rows["p_adjusted"], wanted, rtol=0, atol=1e-12)


def test_intervals_of_agreement_are_those_of_rescaled_resamples():
    made = make("two models", seed=3)
    table = TABLES["agreement"](replace(request_of(made), resamples=DRAWS))
    agreement = Agreement(study_of(made))
    shown = {one.number: one for one in agreement.study.own}
    judged = {n: one for n, one in agreement.whole.items() if len(one.answers) > 1}
    rng = np.random.default_rng(5)
    strata: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for number in judged:
        strata[shown[number].model, shown[number].kind, shown[number].layer].append(number)
    weights = {number: np.ones(DRAWS) for number in judged}
    for pool in pools(dict(sorted(strata.items()))):
        own = [number for key in pool for number in strata[key]]
        if len(own) > 1:
            drawn = rng.multinomial(len(own) - 1, [1 / len(own)] * len(own), size=DRAWS)
            for number, column in zip(own, drawn.T, strict=True):
                weights[number] = column * len(own) / (len(own) - 1)
    looked_at = 0
    for row in table.to_dict("records"):
        inside = [n for n in judged if row["model"] in (None, shown[n].model)]
        parts = {}
        for number in inside:
            one = judged[number]
            if row["measure"] == "percent_agreement_concept":
                value, pairs = percent([one.labels("concept")])
                parts[number] = (float(value) * pairs, pairs)
            elif row["measure"] in ("mean_matched_jaccard", "pattern_f1"):
                value = measures([one])[row["measure"]]["value"]
                if value is not None:
                    parts[number] = (float(value), 1)
        if not parts:
            continue
        above = sum(weights[n] * part for n, (part, _) in parts.items())
        below = sum(weights[n] * size for n, (_, size) in parts.items())
        wanted = above / below
        near = 0.3 * wanted.std()  # five standard errors of two such quantiles
        for bound, share in (("low", 0.025), ("high", 0.975)):
            assert abs(row[bound] - np.quantile(wanted, share)) < near, row
        looked_at += 1
    assert looked_at == 9  # three measures of two models and of both
