"""Tokens that a spreadsheet could run; tests of the CSV format try every separator."""

from hypothesis import given
from hypothesis import strategies as st

from ffn_extract.formulas import neutralised, restored
from ffn_extract.inspection import _line


@given(st.text() | st.text("'\"=-\t\r\n,;|:a "))
def test_a_text_comes_back_as_it_was(text: str):
    assert restored(neutralised(text)) == text


def test_a_token_in_the_csv_of_inspect_is_no_formula():
    entry = {"token": "=HYPERLINK(A1)", "score": -1.5, "gloss": "a;@b", "context": "\t=1"}
    assert _line(entry, list(entry)) == "'=HYPERLINK(A1),-1.5,a;'@b,\\t=1"
