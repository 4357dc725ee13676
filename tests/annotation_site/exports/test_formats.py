import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from annotation_site.exports import EXPORT_FORMATS, Column, Table, table_from_frame
from annotation_site.exports.table import Row

# Their files begin with nothing that could be sent before the last row is known.
WHOLE_AT_THE_END = {"xlsx", "parquet"}


@pytest.mark.parametrize("name", EXPORT_FORMATS)
def test_every_format_says_what_it_is_and_streams_rows_it_reads_once(name: str) -> None:
    export = EXPORT_FORMATS[name]
    read = 0

    def rows() -> Iterator[Row]:
        nonlocal read
        for read in range(1, 50_001):
            yield ("text", read, 0.5, None)

    columns = (
        Column("word", "text"),
        Column("number", "number"),
        Column("share", "number"),
        Column("gap", "number"),
    )
    pieces = export.write(Table("some", columns, rows()))
    first = next(pieces)
    assert first
    assert (read == 50_000) == (name in WHOLE_AT_THE_END)
    assert all(isinstance(piece, bytes) and piece for piece in pieces)
    assert read == 50_000
    assert "/" in export.media_type
    assert export.extension == name


def test_writing_exports_loads_no_heavy_package() -> None:
    program = (
        "import sys, annotation_site.exports\n"
        "print(sorted({'pandas', 'numpy', 'django'} & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"


def test_a_dataframe_becomes_a_table_without_its_index() -> None:
    frame = pd.DataFrame(
        {
            "model": ["gpt2", None],
            "layer": pd.array([0, pd.NA], dtype="Int64"),
            "lists": np.array([3, 4]),
            "coverage": [0.25, np.nan],
        },
        index=[7, 9],
    )
    table = table_from_frame("coverage", frame)
    assert table.name == "coverage"
    assert table.columns == (
        Column("model", "text"),
        Column("layer", "number"),
        Column("lists", "number"),
        Column("coverage", "number"),
    )
    assert list(table.rows) == [("gpt2", 0, 3, 0.25), (None, None, 4, None)]
