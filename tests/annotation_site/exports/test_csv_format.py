import csv
import io
import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_site.exports import Column, Table
from annotation_site.exports.csv_format import CsvFormat, read
from annotation_site.exports.table import Row

# What no cell begins with; an empty one begins with nothing.
FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
WORD = Column("word", "text")
SHARE = Column("share", "number")


def written(columns: tuple[Column, ...], rows: list[Row]) -> bytes:
    return b"".join(CsvFormat().write(Table("some", columns, rows)))


def test_a_whole_file() -> None:
    rows: list[Row] = [
        ("plain", 12),
        ('a "quoted", word', 0.1),
        ("two\r\nlines", 1.0),
        ("café 東京 😀", -1.5),
        ("", 1e-07),
        (None, None),
        ("=1+1", -3),
        ("-ing", 0),
        ("'tis", math.nan),
        ("'=x", 2**70),
        ("animals;=HYPERLINK(A1)", 5),
        ("a, -b", 6),
        (";", 7),
        ("cats, dogs;", 8),
    ]
    assert written((WORD, SHARE), rows).decode() == (
        "word,share\r\n"
        "plain,12\r\n"
        '"a ""quoted"", word",0.1\r\n'
        '"two\r\nlines",1.0\r\n'
        "café 東京 😀,-1.5\r\n"
        '"",1e-07\r\n'
        ",\r\n"
        "'=1+1,-3\r\n"
        "'-ing,0\r\n"
        "'tis,\r\n"
        "''=x,1180591620717411303424\r\n"
        "animals;'=HYPERLINK(A1),5\r\n"
        '"a, -b",6\r\n'
        ";,7\r\n"
        '"cats, dogs;\'",8\r\n'
    )


@pytest.mark.parametrize(
    "start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"]
)
def test_no_text_can_be_taken_for_a_formula_not_even_a_column_name(start: str) -> None:
    data = written((Column(f"{start}HYPERLINK", "text"),), [(f"{start}cmd|' /C calc'!A0",)])
    for record in csv.reader(io.StringIO(data.decode(), newline="")):
        assert record[0].startswith(f"'{start}")


def test_numbers_are_numbers_whatever_they_start_with() -> None:
    assert written((SHARE,), [(-1,), (-0.5,)]) == b"share\r\n-1\r\n-0.5\r\n"


def test_numpy_scalars_are_written_like_python_numbers() -> None:
    rows: list[Row] = [(np.float64(0.1),), (np.int64(-3),)]
    assert written((SHARE,), rows) == b"share\r\n0.1\r\n-3\r\n"


@pytest.mark.parametrize(
    ("column", "cell", "reason"),
    [
        (WORD, 1, "1 is not a text"),
        (SHARE, "1", "'1' is not a number"),
        (SHARE, True, "True is not a number"),
    ],
)
def test_a_cell_that_does_not_suit_its_column_is_refused(
    column: Column, cell: str | int, reason: str
) -> None:
    with pytest.raises(TypeError, match=reason):
        written((column,), [(cell,)])


def test_infinite_numbers_and_short_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="infinite"):
        written((SHARE,), [(math.inf,)])
    with pytest.raises(ValueError, match="Row 2 has 1 cells for 2 columns"):
        written((WORD, SHARE), [("a", 1), ("b",)])


def test_pandas_reads_it_as_it_is() -> None:
    data = written((WORD, SHARE), [("a, b", 0.1), (None, None), ("c", 1e-300)])
    frame = pd.read_csv(io.BytesIO(data))
    assert frame["word"].fillna("-").to_list() == ["a, b", "-", "c"]
    assert frame["share"].fillna(9).to_list() == [0.1, 9, 1e-300]


# Texts near the rule's edges are rare among all texts, so they are drawn on purpose as well.
texts = st.text(st.characters(codec="utf-8")) | st.text("'=+-@\t\r\n\", a;|:\uff1d\u2028")
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
columns = st.lists(st.builds(Column, texts, st.sampled_from(["text", "number"])), min_size=1)


@given(st.data(), columns)
def test_reading_gives_back_what_was_written(data: st.DataObject, names: list[Column]) -> None:
    cells = [st.none() | (texts if column.kind == "text" else numbers) for column in names]
    rows = data.draw(st.lists(st.tuples(*cells), max_size=5))
    again = read(written(tuple(names), rows), name="some", columns=names)
    assert again.columns == tuple(names)
    # repr tells 1 from 1.0 and 0.0 from -0.0.
    assert [tuple(map(repr, row)) for row in again.rows] == [tuple(map(repr, row)) for row in rows]


@given(st.lists(st.tuples(texts, numbers, texts)), st.sampled_from([WORD.name, "=A", "b;@c"]))
def test_no_cell_is_a_formula_whatever_a_program_takes_for_the_separator(
    rows: list[Row], name: str
) -> None:
    data = written((Column(name, "text"), SHARE, Column("other", "text")), rows).decode()
    for separator in ",;\t|:":
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE):
            for lines in (io.StringIO(data, newline=""), data.splitlines()):
                cells = (
                    cell
                    for record in csv.reader(lines, delimiter=separator, quoting=quoting)
                    for cell in record
                )
                for cell in cells:
                    # The number of this table stands in a column of its own between commas.
                    is_number = separator == "," and re.fullmatch(r"-[0-9.]+(e[+-][0-9]+)?", cell)
                    assert cell[:1] not in FORMULA or is_number, (separator, quoting, cell)


@pytest.mark.parametrize(
    "text",
    ["animals;=HYPERLINK(A1)", "x;@SUM(1)", "a\t=1+1", "a|+1", "a:-1", "a,=1", "line\n=1",
     "line\r\n@A1", '";=1', '"\t""=1', ";'=1", "a;\t=1", "a\u2028=1", "a;\uff1d1", "a,b;"],
)  # fmt: skip
def test_a_formula_inside_a_text_is_neutralised_and_read_back(text: str) -> None:
    columns = (WORD, Column("other", "text"))
    data = written(columns, [(text, text), ("1,2", text)])
    assert read(data, name="some", columns=columns).rows == [(text, text), ("1,2", text)]
    for separator in ",;\t|:":
        for record in csv.reader(io.StringIO(data.decode(), newline=""), delimiter=separator):
            assert not [cell for cell in record if cell[:1] in FORMULA], (separator, record)


@given(st.lists(st.tuples(texts, texts)))
def test_any_reader_of_rfc_4180_sees_the_same_cells(rows: list[Row]) -> None:
    data = written((WORD, Column("other", "text")), rows)
    seen = list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))[1:]
    again = read(data, name="some", columns=(WORD, Column("other", "text")))
    assert [tuple(cell.replace("'", "") for cell in row) for row in seen] == [
        tuple(str(cell).replace("'", "") for cell in row) for row in again.rows
    ]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "The header is"),
        (b"other,share\r\n", "The header is"),
        (b"word,share\r\na,1", "Record 2"),
        (b"word,share\r\na,1\n", "Record 2"),
        (b'word,share\r\n"a,1\r\n', "Record 2"),
        (b"word,share\r\na\r\n", "Record 2 has 1 cells for 2 columns"),
        (b"word,share\r\na,one\r\n", "Record 2 has 'one' in a column of numbers"),
        (b"word,share\r\na,nan\r\n", "Record 2 has 'nan' in a column of numbers"),
        (b"word,share\r\na,1_0\r\n", "Record 2 has '1_0' in a column of numbers"),
        (b"word,share\r\n\xff,1\r\n", "utf-8"),
    ],
)
def test_what_was_not_written_like_this_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read(data, name="some", columns=(WORD, SHARE))
