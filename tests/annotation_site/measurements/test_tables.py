"""A measurement's tables on a page, and two of a kind joined."""

from annotation_site.measurements.tables import (
    Cell,
    Choice,
    choices_of,
    joined,
    read_table,
    rows_where,
    shown,
)

CONTRIBUTION = """\
layer,group,k,share,median,low,high,expected,n
0,dominant,10,0.101,0.1,0.09,0.11,0.0065,1440
0,random,10,,,,,0.0065,0
1,dominant,10,0.05,0.04,0.03,0.06,0.0065,1440
"""
OTHER = """\
layer,group,k,share,median,low,high,expected,n
0,dominant,10,0.2,0.1,0.19,0.21,0.01,99
2,dominant,10,0.05,0.04,0.03,0.06,0.01,99
"""


def texts(rows):
    return [[cell.text for cell in row] for row in rows]


def test_numbers_are_written_by_their_kind_with_the_interval_beside():
    table = shown(read_table("contribution", CONTRIBUTION))
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


def test_a_part_of_the_rows_says_that_it_is_one():
    part = shown(read_table("contribution", CONTRIBUTION), first=1, most=1)
    assert texts(part.rows)[0][:2] == ["0", "random"]
    assert (part.total, part.is_whole) == (3, False)


def test_rows_are_chosen_by_the_keys_that_differ():
    table = read_table("contribution", CONTRIBUTION)
    assert choices_of(table) == [
        Choice("layer", ["0", "1"]), Choice("group", ["dominant", "random"]),
    ]  # fmt: skip
    assert rows_where(table, {"layer": "0", "group": ""}).rows == table.rows[:2]
    assert rows_where(table, {"layer": "1", "group": "random"}).rows == []


def test_two_tables_are_joined_by_their_keys_with_differences_in_points():
    one, other = read_table("c", CONTRIBUTION), read_table("c", OTHER)
    table = joined(one, other, ("A", "B"), "difference")
    assert [(heading.text, heading.span) for heading in table.headings] == [
        ("layer", 1), ("group", 1), ("k", 1), ("share", 3),
    ]  # fmt: skip
    assert [part.text for part in table.parts] == ["A", "B", "difference"]
    assert texts(table.rows) == [
        ["0", "dominant", "10", "10.1%", "20.0%", "+9.9"],
        ["0", "random", "10", "–", "–", "–"],
        ["1", "dominant", "10", "5.0%", "–", "–"],
        ["2", "dominant", "10", "–", "5.0%", "–"],
    ]
    assert table.rows[0][4].between == "19.0 to 21.0%"


def test_differences_of_counts_and_of_scores_have_a_sign():
    one = read_table("s", "weights,layer,examples,induced_by_ffn,share\ntrained,0,1200,7,0.5\n")
    other = read_table("s", "weights,layer,examples,induced_by_ffn,share\ntrained,0,150,7,0.25\n")
    assert texts(joined(one, other, ("A", "B"), "d").rows) == [
        ["trained", "0", "1,200", "150", "−1,050", "7", "7", "0", "50.0%", "25.0%", "−25.0"]
    ]
    one = read_table("p", "event,score,low,high\nsaturation,1.5,1,2\nelimination,-1,,\n")
    other = read_table("p", "event,score,low,high\nsaturation,1.75,1,2\nelimination,-2,,\n")
    assert texts(joined(one, other, ("A", "B"), "d").rows) == [
        ["saturation", "1.50", "1.75", "+0.25"], ["elimination", "−1.00", "−2.00", "−1.00"],
    ]  # fmt: skip
