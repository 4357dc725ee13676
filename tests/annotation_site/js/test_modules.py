"""Runs the functions test… that the *.test.js files export, each as a test of its own.

Those that need no page run under node where it is at hand, all in one process, and else in one
page of the browser.
"""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests import requires
from tests.annotation_site.js.driver import open_list
from tests.annotation_site.js.stub import Stub
from tests.e2e.pages import watched_page

pytestmark = pytest.mark.xdist_group("page")
HERE = Path(__file__).parent
STATIC = HERE.parents[2] / "annotation_site" / "static"
ON_A_PAGE = {"activity.test.js", "leftovers.test.js", "own-work.test.js"}
CASES = [
    (path.name, name)
    for path in sorted(HERE.glob("*.test.js"))
    for name in re.findall(r"^export (?:async )?function (test\w+)", path.read_text(), re.MULTILINE)
]

Problems = Callable[[str, str], list[str]]


def problems_in(page: Page, file: str, name: str) -> list[str]:
    return page.evaluate(
        """async ([file, name]) => {
          const {problemsOf} = await import('/tests/checking.mjs');
          return problemsOf(await import(`/tests/${file}`), name);
        }""",
        [file, name],
    )


def problems_under(node: str) -> dict[str, dict[str, list[str]]]:
    """What every function found wrong, by file and name."""
    files = sorted({file for file, _ in CASES} - ON_A_PAGE)
    command = [node, HERE / "under_node.mjs", f"{STATIC.as_uri()}/", *files]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture(scope="module")
def shared_page(browser: Browser) -> Iterator[Page]:
    stub = Stub()
    with watched_page(browser, stub.address) as page:
        open_list(page, stub, 0)
        yield page
    stub.server.shutdown()
    stub.server.server_close()


@pytest.fixture(scope="module")
def problems(request: pytest.FixtureRequest) -> Problems:
    node = requires.node()
    if node is not None:
        found = problems_under(node)
        return lambda file, name: found[file][name]
    page = request.getfixturevalue("shared_page")
    return lambda file, name: problems_in(page, file, name)


@pytest.mark.parametrize(("file", "name"), [one for one in CASES if one[0] not in ON_A_PAGE])
def test_module(problems: Problems, file: str, name: str):
    assert problems(file, name) == []


@pytest.mark.parametrize(("file", "name"), [one for one in CASES if one[0] in ON_A_PAGE])
def test_module_on_a_page(page: Page, file: str, name: str):
    assert problems_in(page, file, name) == []
