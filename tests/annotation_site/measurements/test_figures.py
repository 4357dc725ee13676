"""Figures over layers as coordinates."""

import math

import pytest

from annotation_site.measurements.figures import (
    SIZES,
    Mark,
    Tick,
    drawing_of,
    figure_of,
    scale_of,
    ticks,
)

SHARES = {
    "name": "contribution", "title": "Contribution", "y_label": "share",
    "lines": [
        {
            "label": "largest", "layers": [0, 1, 2], "values": [0.1, 0.3, 0.2],
            "low": [0.05, 0.25, 0.15], "high": [0.15, 0.35, 0.25],
        },
        {"label": "random", "layers": [0, 1, 2], "values": [0.02, math.nan, 0.01]},
    ],
}  # fmt: skip


def test_places_of_values_intervals_and_ticks():
    drawing = drawing_of(figure_of(SHARES), "wide")
    assert (drawing.width, drawing.height) == SIZES["wide"]
    assert [tick.text for tick in drawing.x_ticks] == ["0", "1", "2"]
    assert [tick.text for tick in drawing.y_ticks] == ["0%", "10%", "20%", "30%"]
    assert drawing.y_ticks[0] == Tick("0%", drawing.bottom)
    largest, random = drawing.lines
    assert [mark.x for mark in largest.marks] == [68.0, 398.0, 728.0]
    per_point = (drawing.bottom - drawing.top) / 0.364  # 0.35 and a little room
    assert largest.marks[1].y == pytest.approx(drawing.bottom - 0.3 * per_point, abs=0.06)
    assert largest.path == "M" + "L".join(f"{mark.x:g} {mark.y:g}" for mark in largest.marks)
    assert largest.band.count("L") == 5
    assert largest.band.endswith("Z")
    # A value that is not a number has no mark, and a line without intervals no band.
    assert random.band == ""
    assert random.marks == [
        Mark(68.0, random.marks[0].y, "random, layer 0: 2.0%"),
        Mark(728.0, random.marks[1].y, "random, layer 2: 1.0%"),
    ]


def test_the_description_says_every_number():
    assert figure_of(SHARES).description == (
        "share by layer, counted from 0. largest: layer 0 10.0% (5.0% to 15.0%); "
        "layer 1 30.0% (25.0% to 35.0%); layer 2 20.0% (15.0% to 25.0%). random: layer 0 2.0%; "
        "layer 2 1.0%."
    )


def test_two_figures_on_one_scale_put_equal_values_at_one_height():
    low = {**SHARES, "lines": [{"label": "x", "layers": [0, 5], "values": [0.1, 0.05]}]}
    figures = figure_of(SHARES), figure_of(low)
    scale = scale_of(figures)
    one, other = (drawing_of(figure, "half", scale) for figure in figures)
    assert one.lines[0].marks[0].y == other.lines[0].marks[0].y
    assert one.y_ticks == other.y_ticks
    assert one.x_ticks == other.x_ticks


def test_scores_below_nought_have_a_line_at_nought_and_a_true_minus():
    scores = {
        "name": "s", "title": "Scores", "y_label": "score",
        "lines": [{"label": "max", "layers": list(range(40)), "values": [-2.0, 3.0] * 20}],
    }  # fmt: skip
    drawing = drawing_of(figure_of(scores), "narrow")
    assert drawing.zero is not None
    assert [tick.text for tick in drawing.y_ticks] == ["−2", "0", "2"]
    assert [tick.text for tick in drawing.x_ticks] == ["0", "5", "10", "15", "20", "25", "30", "35"]


@pytest.mark.parametrize(
    "lines", [[], [{"label": "x", "layers": [3], "values": [0.0]}]], ids=["none", "one value"]
)
def test_a_figure_of_nothing_or_of_one_value_can_be_drawn(lines):
    drawing = drawing_of(figure_of({**SHARES, "lines": lines}), "narrow")
    assert sum(len(line.marks) for line in drawing.lines) == len(lines)


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (0, 0.31, 5, [0.0, 0.1, 0.2, 0.3]),
        (0, 1, 4, [0.0, 0.5, 1.0]),
        (-2.2, 3.1, 4, [-2.0, 0.0, 2.0]),
        (0, 23_400, 5, [0.0, 5_000.0, 10_000.0, 15_000.0, 20_000.0]),
        (0, 0.0004, 4, [0.0, 0.0001, 0.0002, 0.0003, 0.0004]),
    ],
)
def test_ticks_are_round(low, high, most, expected):
    assert ticks(low, high, most) == expected
