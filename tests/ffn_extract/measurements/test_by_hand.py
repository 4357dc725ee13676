"""Readings, events and shares of the toy model of by_hand.py, worked out by hand."""

import copy
import math

import numpy as np
import pytest

from ffn_extract.errors import FFNExtractError
from ffn_extract.measurements import MEASUREMENTS, measurement_of
from ffn_extract.measurements.events import (
    elimination_layers,
    induced_by_ffn,
    saturation_layers,
)
from ffn_extract.measurements.options import MeasureOptions
from ffn_extract.measurements.passes import REDUCTIONS
from ffn_extract.measurements.reductions import drawn_indices
from tests.ffn_extract.measurements.by_hand import readings_of, table, toy_model


@pytest.fixture(scope="module")
def toy():
    return toy_model()


def test_every_measurement_is_declared_under_its_name():
    for name in MEASUREMENTS:
        one = measurement_of(name)
        assert one.name == name
        assert set(one.needs) <= set(REDUCTIONS)
        assert (one.compute is None) == (not one.needs)


def test_contribution_of_planted_vectors(toy, tmp_path):
    """Sizes 3 and 1; then 0.5 and 0.25; then none, which is undefined and counted."""
    readings = readings_of(toy, [[3, 0], [4, 0], [2, 0]], tmp_path)
    rows = {
        (row[0], row[1], row[2]): row[3:]
        for row in table(readings, "contribution", "contribution").rows
    }
    assert len(rows) == 3 * (12 + 1)  # k above the number of vectors is left out
    first = [rows[0, "dominant", k][0] for k in (1, 2, 12)]
    assert first == pytest.approx([0.75, 1.0, 1.0])
    assert rows[1, "dominant", 1][0] == pytest.approx(2 / 3)
    assert rows[0, "dominant", 1][2:4] == pytest.approx((0.75, 0.75))
    assert rows[0, "dominant", 3][4] == 3 / 12
    assert rows[2, "dominant", 1] == (None, None, None, None, pytest.approx(1 / 12), 0)
    draws = [drawn_indices(0, number, [12, 12, 12])[0].tolist() for number in range(3)]
    shares = [0.75 * (0 in drawn) + 0.25 * (1 in drawn) for drawn in draws]
    assert rows[0, "random", 10][0] == pytest.approx(sum(shares) / 3)
    entropies = [-sum(p * math.log(p) for p in ps) for ps in ((0.75, 0.25), (2 / 3, 1 / 3))]
    effective = table(readings, "contribution", "effective").rows
    assert [row[1] for row in effective] == [*map(pytest.approx, map(math.exp, entropies)), None]
    assert [row[5:] for row in effective] == [(0, 3), (0, 3), (3, 0)]


def test_saturation_where_the_first_ffn_brings_the_prediction_up(toy, tmp_path):
    """Text 3 ends with a token of which no FFN is active: it is its own prediction from the start.

    Its saturation in layer 0 is no work of the FFN.
    """
    readings = readings_of(toy, [[3, 0], [0, 3], [4, 0]], tmp_path)
    assert readings.arrays["final"].tolist() == [1, 3, 1]
    assert readings.arrays["rank_before"][:, 0].tolist() == [2, 1, 2]
    assert table(readings, "saturation", "saturation").rows == [
        ("trained", 0, 3, 2, 1.0), ("trained", 1, 0, 0, 0.0), ("trained", 2, 0, 0, 0.0),
    ]  # fmt: skip
    assert table(readings, "saturation", "oracle").rows == [("trained", pytest.approx(2 / 3))]


def test_scores_of_promoted_and_eliminated_tokens(toy, tmp_path):
    """Token 1 is pushed by 3 in layer 0, where token 0 goes to rank 2 without any push."""
    readings = readings_of(toy, [[3, 0], [4, 0]], tmp_path)
    rows = {row[:4]: row[4:] for row in table(readings, "promotion", "promotion").rows}
    assert len(rows) == 2 * 2 * 2 * 3
    of = ("saturation", "all", "dominant")
    assert rows[(*of, "max")] == pytest.approx((3, 3, 3, 3, 2))
    assert rows[(*of, "mean")][0] == pytest.approx(0.3)
    assert rows[(*of, "min")][0] == 0.0
    assert rows["elimination", "all", "dominant", "max"] == (0.0, 0.0, 0.0, 0.0, 2)
    assert rows["saturation", "from_1", "dominant", "max"] == (None, None, None, None, 0)
    # From layer 1 on nothing is eliminated: token 1 stays on top.
    assert rows["elimination", "from_1", "dominant", "max"] == (None, None, None, None, 0)
    draws = [drawn_indices(0, number, [12, 12, 12])[0].tolist() for number in range(2)]
    random = np.mean([3.0 if 0 in drawn else 0.0 for drawn in draws])
    assert rows["saturation", "all", "random", "max"][0] == pytest.approx(random)
    assert table(readings, "promotion", "elimination").rows == [(0, 2, 2), (1, 0, 0), (2, 0, 0)]


def test_no_interval_for_fewer_than_two_events(toy, tmp_path):
    readings = readings_of(toy, [[3, 0], [0, 3]], tmp_path)
    rows = {row[:4]: row[4:] for row in table(readings, "promotion", "promotion").rows}
    found = rows["saturation", "all", "dominant", "max"]
    assert found == (pytest.approx(3), pytest.approx(3), None, None, 1)


def test_top_candidates_with_and_without_extreme_sub_updates(toy, tmp_path):
    """Top tokens are 0, 1, 1; in layer 1 vector 9 takes 0.25 from token 1."""
    options = MeasureOptions(resamples=100, extreme_below=-0.2, extreme_above=0.2)
    readings = readings_of(toy, [[3, 0], [4, 0]], tmp_path, options)
    found = measurement_of("top-candidate").compute(readings)
    rows = {row[:4]: row[4:] for row in found.tables[0].rows}
    assert found.thresholds == {"extreme_above": 0.2, "extreme_below": -0.2}
    assert rows[0, "dominant", "with", "max"][0] == 0.0
    assert rows[1, "dominant", "with", "min"][0] == pytest.approx(-0.25)
    assert rows[1, "dominant", "with", "mean"][0] == pytest.approx(-0.025)
    assert rows[1, "dominant", "without", "min"][0] == 0.0
    assert rows[1, "dominant", "without", "min"][4] == 2
    default = measurement_of("top-candidate").compute(readings_of(toy, [[3, 0]], tmp_path / "one"))
    scores = [0.25, *[0.0] * 29]
    expected = float(f"{np.percentile(scores, 99.9):.9g}")
    assert default.thresholds["extreme_above"] == pytest.approx(expected)


def test_saturation_needs_the_top_to_last():
    """Examples by their tops after each layer; w is the last one."""
    after = np.array([[7, 7, 7], [7, 5, 7], [5, 7, 7], [5, 6, 7]])
    ranks = np.array([[2, 1, 1], [2, 2, 2], [3, 4, 1], [9, 9, 9]])
    arrays = {"top_after": after, "final": after[:, -1], "rank_before": ranks}
    assert saturation_layers(arrays).tolist() == [0, 2, 1, 2]
    # Never in the last layer, where every example without an earlier one saturates.
    assert induced_by_ffn(arrays).tolist() == [True, False, True, False]


def test_elimination_is_the_largest_rise_in_rank_and_ties_go_to_the_lower_layer():
    arrays = {"rank_after": np.array([[1, 5, 5], [9, 2, 1], [1, 1, 1]])}
    assert elimination_layers(arrays).tolist() == [1, 0, -1]
    assert elimination_layers(arrays, first=1).tolist() == [1, 1, -1]
    assert elimination_layers({"rank_after": np.array([[4]])}, first=1).tolist() == [-1]


def test_a_model_with_numbers_that_are_not_finite_is_refused(toy, tmp_path):
    broken = copy.deepcopy(toy)
    broken.model.layers[1].mlp.down_proj.weight.data[0, 0] = float("inf")
    with pytest.raises(FFNExtractError, match="Layer 1's FFN gives values that are not finite"):
        readings_of(broken, [[3, 0]], tmp_path)
