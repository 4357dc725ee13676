"""Files that people open: which program gets the words and the numbers of a table as they are."""

import io
import re
from datetime import date
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from annotation_site.annotation.work.own_work import WorkDay, work_days_table
from annotation_site.exports import EXPORT_FORMATS, Column, Table
from ffn_extract.formulas import neutralised

DOCS = (Path(settings.BASE_DIR) / "docs/exports.md").read_text()
# Of several scripts; control characters and line ends have tests of their own.
WORDS = st.text(st.characters(codec="utf-8", categories=("L", "M", "N", "S")), max_size=12).filter(
    lambda word: neutralised(word) == word
)
ROWS = st.lists(
    # XLSX has 15 digits: the very largest numbers would round to infinity.
    st.tuples(WORDS, st.floats(-1e300, 1e300), WORDS),
    min_size=1,
)
AS_DOCUMENTED = {"keep_default_na": False, "na_values": [""]}
COLUMNS = (Column("wörd", "text"), Column("share", "number"), Column("note", "text"))


def written(extension: str, table: Table) -> bytes:
    return b"".join(EXPORT_FORMATS[extension].write(table))


@given(rows=ROWS)
def test_a_spreadsheet_holds_words_as_words_and_numbers_as_numbers(rows):
    sheet = openpyxl.load_workbook(io.BytesIO(written("xlsx", Table("t", COLUMNS, rows)))).active
    found = [tuple(cell.value for cell in line) for line in sheet.iter_rows()]
    assert found[0] == ("wörd", "share", "note")
    for (word, share, note), line in zip(rows, found[1:], strict=True):
        assert line == (word, pytest.approx(share, rel=1e-15), note)
        assert isinstance(line[1], int | float)  # so that no language reads it in another way


@given(rows=ROWS)
def test_pandas_reads_a_csv_file_as_the_docs_say(rows):
    content = written("csv", Table("t", COLUMNS, rows))
    assert not content.startswith(b"\xef\xbb\xbf")
    read = pd.read_csv(io.BytesIO(content), dtype={0: str, 2: str}, **AS_DOCUMENTED)
    assert list(read.columns) == ["wörd", "share", "note"]
    assert read["wörd"].fillna("").tolist() == [word for word, _, _ in rows]
    assert read["share"].tolist() == pytest.approx([share for _, share, _ in rows], rel=1e-15)


@pytest.mark.parametrize("word", ["NA", "null", "None", "nan", "Ünïcode", "動物", "⋯ing"])
def test_words_that_programs_take_for_something_else_come_through(word: str):
    table = Table("t", (Column("token", "text"),), [(word,)])
    csv = pd.read_csv(io.BytesIO(written("csv", table)), **AS_DOCUMENTED)
    assert csv["token"].tolist() == [word]
    assert pd.read_parquet(io.BytesIO(written("parquet", table)))["token"].tolist() == [word]
    sheet = openpyxl.load_workbook(io.BytesIO(written("xlsx", table))).active
    assert sheet["A2"].value == word


def test_hours_open_in_a_spreadsheet():
    day = WorkDay(day=date(2026, 3, 1), study="Ünïcode", active_seconds=1800, lists=3)
    sheet = openpyxl.load_workbook(io.BytesIO(written("xlsx", work_days_table([day])))).active
    assert [cell.value for cell in sheet[2]][:6] == ["2026-03-01", "Ünïcode", 1800, 0.5, 3, 0]


def test_the_docs_say_what_a_spreadsheet_makes_of_a_csv_file():
    word = "Ünïcode"
    assert 'read_csv("coverage.csv", keep_default_na=False, na_values=[""])' in DOCS
    assert f"shows `{word}` as `{word.encode().decode('cp1252')}`" in DOCS
    for program in ("Excel", "LibreOffice", "R", "pandas"):
        assert re.search(rf"^\| {program}\b", DOCS, re.MULTILINE), program
