"""Whole files of every format, for one table that holds everything that could go wrong."""

import io
import shutil
import subprocess
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from annotation_site.exports import EXPORT_FORMATS, Column, Table, csv_format, json_format
from annotation_site.exports.table import Row
from ffn_extract.formulas import restored

COLUMNS = (
    Column("measure", "text"),
    Column("value_of_it", "number"),
    Column("n", "number"),
    Column("undefined", "text"),
)
ROWS: list[Row] = [
    ("plain", 0.123456789, 12, ""),
    ("=1+1", -0.5, -3, ""),
    ("<b>bold</b> & | co_op", 0.0001, 0, None),
    ("kappa", None, 0, "undefined, because nobody said “yes”."),
    ("@cmd [x]\n* \\input{a} 50% $5 #1 ~^", 1.0, 1, ""),
]
GOLDEN = {
    "csv": (
        "measure,value_of_it,n,undefined\r\n"
        'plain,0.123456789,12,""\r\n'
        '\'=1+1,-0.5,-3,""\r\n'
        "<b>bold</b> & | co_op,0.0001,0,\r\n"
        'kappa,,0,"undefined, because nobody said “yes”."\r\n'
        '"\'@cmd [x]\n* \\input{a} 50% $5 #1 ~^",1.0,1,""\r\n'
    ),
    "json": (
        "{\n"
        '"table": "agreement",\n'
        '"columns": [{"name": "measure", "kind": "text"}, {"name": "value_of_it", "kind": '
        '"number"}, {"name": "n", "kind": "number"}, {"name": "undefined", "kind": "text"}],\n'
        '"rows": [\n'
        '{"measure": "plain", "value_of_it": 0.123456789, "n": 12, "undefined": ""},\n'
        '{"measure": "=1+1", "value_of_it": -0.5, "n": -3, "undefined": ""},\n'
        '{"measure": "<b>bold</b> & | co_op", "value_of_it": 0.0001, "n": 0, "undefined": null},\n'
        '{"measure": "kappa", "value_of_it": null, "n": 0, "undefined": "undefined, because nobody '
        'said “yes”."},\n'
        '{"measure": "@cmd [x]\\n* \\\\input{a} 50% $5 #1 ~^", "value_of_it": 1.0, "n": 1, '
        '"undefined": ""}\n'
        "]\n"
        "}\n"
    ),
    "md": (
        "| measure | value\\_of\\_it | n | undefined |\n"
        "| --- | ---: | ---: | --- |\n"
        "| plain | 0.123 | 12 |  |\n"
        "| =1+1 | -0.500 | -3 |  |\n"
        "| &lt;b&gt;bold&lt;/b&gt; &amp; \\| co\\_op | 1.0e-04 | 0 |  |\n"
        "| kappa |  | 0 | undefined, because nobody said “yes”. |\n"
        "| \\@cmd \\[x\\] \\* \\\\input\\{a\\} 50% \\$5 #1 \\~^ | 1.000 | 1 |  |\n"
    ),
    "tex": (
        "% In the preamble: \\usepackage{booktabs}\n"
        "\\begin{tabular}{lrrl}\n"
        "\\toprule\n"
        "measure & value\\_of\\_it & n & undefined \\\\\n"
        "\\midrule\n"
        "plain & 0.123 & 12 &  \\\\\n"
        "=1+1 & $-0.500$ & $-3$ &  \\\\\n"
        "\\textless{}b\\textgreater{}bold\\textless{}/b\\textgreater{} \\& \\textbar{} co\\_op & "
        "$1.0 \\times 10^{-4}$ & 0 &  \\\\\n"
        "kappa &  & 0 & undefined, because nobody said ``yes''. \\\\\n"
        "@cmd {[}x{]} {*} \\textbackslash{}input\\{a\\} 50\\% \\$5 \\#1 "
        "\\textasciitilde{}\\textasciicircum{} & 1.000 & 1 &  \\\\\n"
        "\\bottomrule\n"
        "\\end{tabular}\n"
    ),
}


def written(name: str) -> bytes:
    return b"".join(EXPORT_FORMATS[name].write(Table("agreement", COLUMNS, ROWS)))


def read_sheet(data: bytes) -> list[list[object]]:
    sheet = openpyxl.load_workbook(io.BytesIO(data)).active
    return [[cell.value for cell in row] for row in sheet.iter_rows()]


def test_every_format_has_a_whole_file_or_a_reader_here() -> None:
    assert {*GOLDEN, "xlsx", "parquet"} == set(EXPORT_FORMATS)


@pytest.mark.parametrize("name", GOLDEN)
def test_a_whole_file(name: str) -> None:
    assert written(name).decode() == GOLDEN[name]


@pytest.mark.parametrize("name", EXPORT_FORMATS)
def test_the_same_table_gives_the_same_bytes(name: str) -> None:
    assert written(name) == written(name)


@pytest.mark.parametrize("name", EXPORT_FORMATS)
def test_every_format_refuses_what_no_table_should_hold(name: str) -> None:
    export = EXPORT_FORMATS[name]
    for columns, rows, error in (
        (COLUMNS, [("too", 1)], ValueError),
        ((Column("n", "number"),), [(float("inf"),)], ValueError),
        ((Column("n", "number"),), [("1",)], TypeError),
        ((Column("word", "text"),), [(1,)], TypeError),
    ):
        with pytest.raises(error):
            list(export.write(Table("some", columns, rows)))


@pytest.mark.parametrize("name", EXPORT_FORMATS)
def test_a_table_without_rows_is_a_whole_file(name: str) -> None:
    assert b"".join(EXPORT_FORMATS[name].write(Table("none", COLUMNS, [])))


def test_a_spreadsheet_holds_texts_as_texts_and_numbers_as_numbers() -> None:
    rows = read_sheet(written("xlsx"))
    assert rows[0] == [column.name for column in COLUMNS]
    assert [row[1:3] for row in rows[1:]] == [list(row[1:3]) for row in ROWS]
    texts = [row[0] for row in rows[1:]]
    assert [t for t in texts if t.startswith("'")] == ["'=1+1", f"'{ROWS[4][0]}"]
    assert [restored(t) for t in texts] == [row[0] for row in ROWS]
    assert rows[4][3] == ROWS[3][3]


def test_a_spreadsheet_holds_no_formula_and_no_link() -> None:
    columns = (Column("=A1", "text"),)
    starts = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "https://example.org", "{=1}"]
    table = Table("some", columns, [(text,) for text in starts])
    book = openpyxl.load_workbook(io.BytesIO(b"".join(EXPORT_FORMATS["xlsx"].write(table))))
    cells = [row[0] for row in book.active.iter_rows()]
    assert {cell.data_type for cell in cells} == {"s"}
    assert [cell.hyperlink for cell in cells] == [None] * len(cells)
    assert [c.value[0] for c in cells[:5]] == ["'"] * 5


@pytest.mark.parametrize("character", ["x", "é", "𝕏"])  # of one, one and two units of UTF-16
def test_a_spreadsheet_cuts_a_text_that_no_cell_holds_and_says_so(character: str) -> None:
    units = len(character.encode("utf-16-le")) // 2
    fits = character * (32_767 // units)
    longer = "=" + fits
    table = Table("some", (Column("word", "text"),), [(fits,), (longer,)])
    _, (whole,), (cut,) = read_sheet(b"".join(EXPORT_FORMATS["xlsx"].write(table)))
    assert whole == fits
    beginning, _, remark = str(cut).partition(" … [")
    assert ("'" + longer).startswith(beginning)
    assert len(beginning.encode("utf-16-le")) // 2 > 32_000
    assert len(str(cut).encode("utf-16-le")) // 2 <= 32_767
    assert remark == (
        f"cut: {len(longer):,} characters are too many for a spreadsheet; "
        "other formats have them all]"
    )


@pytest.mark.parametrize("name", sorted(set(EXPORT_FORMATS) - {"xlsx"}))
def test_every_other_format_holds_a_long_text_whole(name: str) -> None:
    table = Table("some", (Column("word", "text"),), [("x" * 40_000,)])
    data = b"".join(EXPORT_FORMATS[name].write(table))
    if name == "parquet":
        assert pd.read_parquet(io.BytesIO(data))["word"].tolist() == ["x" * 40_000]
    else:
        assert b"x" * 40_000 in data


def test_parquet_is_read_by_pandas_with_plain_types() -> None:
    frame = pd.read_parquet(io.BytesIO(written("parquet")))
    assert list(frame.columns) == [column.name for column in COLUMNS]
    assert list(frame.dtypes.astype(str)) == ["str", "float64", "int64", "str"]
    assert frame.astype(object).where(frame.notna(), None).to_numpy().tolist() == [
        list(row) for row in ROWS
    ]


def test_json_and_csv_give_the_table_back() -> None:
    assert list(json_format.read(written("json")).rows) == ROWS
    back = csv_format.read(written("csv"), name="agreement", columns=COLUMNS)
    assert list(back.rows) == ROWS
    assert json_format.read(written("json")).columns == COLUMNS


@pytest.mark.parametrize("data", [b"{}", b'{"rows": 3}', b"[1", b"\xff"])
def test_json_that_is_no_table_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        json_format.read(data)


def test_the_latex_table_compiles(tmp_path: Path) -> None:
    engine = next(filter(None, map(shutil.which, ("pdflatex", "tectonic", "lualatex"))), None)
    if engine is None:
        # Not `missing`: half a gigabyte for one test is asked of nobody, not of CI either.
        pytest.skip("No TeX: install texlive-latex-recommended (Debian), or tectonic.")
    (tmp_path / "table.tex").write_bytes(written("tex"))
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n"
        "\\input{table.tex}\n\\end{document}\n"
    )
    flags = [] if engine.endswith("tectonic") else ["-interaction=nonstopmode", "-halt-on-error"]
    ended = subprocess.run(
        [engine, *flags, "paper.tex"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout[-2000:]
    assert (tmp_path / "paper.pdf").stat().st_size > 1000
