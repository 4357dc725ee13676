"""A measurement's tables on a page, and two of a kind joined."""

from annotation_site.measurements.selectors import JoinedTable, Pair, Table
from annotation_site.measurements.tables import (
    Cell,
    Choice,
    choices_of,
    rows_where,
    shown,
    shown_joined,
    usual,
    usual_joined,
)

COLUMNS = ["layer", "group", "k", "share", "median", "low", "high", "expected", "n"]
ROWS = [
    [0, "dominant", 10, 0.101, 0.1, 0.09, 0.11, 0.0065, 1440],
    [0, "random", 10, None, None, None, None, 0.0065, 0],
    [1, "dominant", 10, 0.05, 0.04, 0.03, 0.06, 0.0065, 1440],
]
CONTRIBUTION = Table("contribution", COLUMNS, ROWS, {}, 3)


def texts(rows):
    return [[cell.text for cell in row] for row in rows]


def joined(keys, values, *rows):
    pairs = [(key, [Pair(*pair) for pair in found]) for key, *found in rows]
    table = JoinedTable("t", keys, values, pairs, {})
    return shown_joined(table, table.rows, ("A", "B"), "difference")


def test_numbers_are_written_by_their_kind_with_the_interval_beside():
    table = shown("contribution", COLUMNS, ROWS, 3)
    assert [heading.text for heading in table.headings] == [
        "layer", "group", "k", "share", "median", "expected", "n",
    ]  # fmt: skip
    assert table.rows[0] == [
        Cell("0", True), Cell("dominant", False), Cell("10", True),
        Cell("10.1%", True, "9.0 to 11.0%"), Cell("10.0%", True), Cell("0.7%", True),
        Cell("1,440", True),
    ]  # fmt: skip
    assert texts(table.rows[1:2]) == [["0", "random", "10", "–", "–", "0.7%", "0"]]
    assert table.is_whole
    assert not shown("contribution", COLUMNS, ROWS[:1], 3).is_whole


def test_rows_are_chosen_by_the_keys_that_differ():
    assert choices_of(CONTRIBUTION) == [
        Choice("layer", ["0", "1"]), Choice("group", ["dominant", "random"]),
    ]  # fmt: skip
    assert rows_where(CONTRIBUTION, {"layer": "0"}) == ROWS[:2]
    assert rows_where(CONTRIBUTION, {"layer": "1", "group": "random"}) == []


def test_of_a_long_table_a_page_shows_the_ten_dominant_ones():
    rows = [[layer, "dominant", k, 0.1] for layer in range(3) for k in range(1, 21)]
    table = Table("contribution", COLUMNS[:4], rows, {}, 60)
    assert usual(table, 25) == ([[layer, "dominant", 10, 0.1] for layer in range(3)], "k = 10")
    assert usual(table, 60) == (rows, "")
    pairs = [(row[:3], [Pair(0.1, 0.2)]) for row in rows]
    assert len(usual_joined(JoinedTable("c", COLUMNS[:3], ["share"], pairs, {}), 25)[0]) == 3


def test_two_tables_are_joined_with_intervals_and_differences_in_points():
    low_high = (0.09, 0.19), (0.11, 0.21)
    table = joined(
        ["layer", "group"],
        ["share", "median", "low", "high", "n"],
        ([0, "dominant"], (0.101, 0.2), (0.1, 0.1), *low_high, (1440, 99)),
        ([1, "dominant"], (0.05, None), (0.05, None), (None, None), (None, None), (9, None)),
    )
    assert [(heading.text, heading.span) for heading in table.headings] == [
        ("layer", 1), ("group", 1), ("share", 3),
    ]  # fmt: skip
    assert [part.text for part in table.parts] == ["A", "B", "difference"]
    assert texts(table.rows) == [
        ["0", "dominant", "10.1%", "20.0%", "+9.9"], ["1", "dominant", "5.0%", "–", "–"],
    ]  # fmt: skip
    assert table.rows[0][3].between == "19.0 to 21.0%"


def test_differences_of_counts_and_of_scores_have_a_sign():
    table = joined(
        ["weights", "layer"], ["examples", "induced_by_ffn", "share"],
        (["trained", 0], (1200, 150), (7, 7), (0.5, 0.25)),
    )  # fmt: skip
    assert texts(table.rows) == [
        ["trained", "0", "1,200", "150", "−1,050", "7", "7", "0", "50.0%", "25.0%", "−25.0"]
    ]
    table = joined(["event"], ["score"], (["a"], (1.5, 1.75)), (["b"], (-1.0, -2.0)))
    assert texts(table.rows) == [
        ["a", "1.50", "1.75", "+0.25"], ["b", "−1.00", "−2.00", "−1.00"],
    ]  # fmt: skip
