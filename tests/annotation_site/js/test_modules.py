"""Runs the functions test… that the *.test.js files export, each as a test of its own."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.xdist_group("page")
CASES = [
    (path.name, name)
    for path in sorted(Path(__file__).parent.glob("*.test.js"))
    for name in re.findall(r"^export (?:async )?function (test\w+)", path.read_text(), re.MULTILINE)
]


@pytest.mark.parametrize(("file", "name"), CASES)
def test_module(page: Page, file: str, name: str):
    problems = page.evaluate(
        """async ([file, name]) => {
          const problems = [];
          const text = (value) => JSON.stringify(value);
          const equal = (found, wanted) => {
            const [is, should] = [text(found), text(wanted)];
            if (is !== should) problems.push(`${is} is not ${should}`);
          };
          await (await import(`/tests/${file}`))[name](equal);
          return problems;
        }""",
        [file, name],
    )
    assert problems == []
