"""The public Python API: its names, its examples and the notebook that shows it."""

import ast
import doctest
import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ffn_extract

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs/first-look.ipynb"
MOST_NAMES = 12
WITH_EXAMPLES = [
    path for path in sorted((ROOT / "ffn_extract").rglob("*.py")) if ">>> " in path.read_text()
]


def test_every_public_name_is_there_and_has_a_docstring():
    assert len(ffn_extract.__all__) <= MOST_NAMES
    assert set(ffn_extract.__all__) <= set(dir(ffn_extract))
    for name in set(ffn_extract.__all__) - {"__version__"}:
        assert getattr(ffn_extract, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'extracts'"):
        _ = ffn_extract.extracts


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, ffn_extract; dir(ffn_extract);"
        "heavy = {'torch', 'transformers', 'pyarrow', 'nltk', 'pandas', 'numpy'};"
        "sys.exit(' '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_of_docstrings_run(path, tiny_model, tmp_path):
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    module = importlib.import_module(name)
    known = {"model": tiny_model("gpt2"), **vars(module)}
    for number, test in enumerate(doctest.DocTestFinder().find(module, name, globs=known)):
        test.globs["folder"] = tmp_path / str(number)
        said: list[str] = []
        failed = doctest.DocTestRunner().run(test, out=said.append).failed
        assert not failed, "".join(said)


def test_the_public_functions_have_examples():
    for one in (ffn_extract.extract, ffn_extract.top_tokens, ffn_extract.list_entries,
                ffn_extract.project):  # fmt: skip
        assert ">>> " in one.__doc__


def test_the_notebook_runs_and_shows_what_it_says(demo_model):
    names: dict[str, Any] = {}
    cells = [one for one in json.loads(NOTEBOOK.read_text())["cells"] if one["cell_type"] == "code"]
    for cell in cells:
        shown = [text for one in cell["outputs"] for text in one["data"]["text/plain"]]
        assert ended_in(cell, names) == "".join(shown)
    assert sum(line != "\n" for cell in cells[:2] for line in cell["source"]) <= 10


def ended_in(cell: dict[str, Any], names: dict[str, Any]) -> str:
    """Run a cell as a notebook does; what it shows of its last expression."""
    body = ast.parse("".join(cell["source"])).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), str(NOTEBOOK), "exec"), names)
    if last is None:
        return ""
    return repr(eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), names))
