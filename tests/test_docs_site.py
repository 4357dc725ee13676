"""The documentation as pages: all of it, alike in both renderers, and nothing from other hosts."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
GENERATED = {"reference"}  # from docstrings
needs_mkdocs = pytest.mark.skipif(
    find_spec("mkdocs") is None, reason="`make docs` installs mkdocs and runs this."
)


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    ended = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return folder


def test_every_page_is_in_the_navigation_once():
    def names(entries: list) -> list[str]:
        found = []
        for (entry,) in (one.values() for one in entries):
            found += names(entry) if isinstance(entry, list) else [entry]
        return found

    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    assert sorted(names(nav)) == [page.name for page in PAGES]


def test_the_reference_names_modules_that_exist():
    named = re.findall(r"^::: (\S+)$", (ROOT / "docs/reference.md").read_text(), re.MULTILINE)
    assert named
    for module in named:
        assert find_spec(module) is not None, module


@needs_mkdocs
def test_pages_fetch_nothing_from_other_hosts(built):
    pages = sorted(built.rglob("*.html"))
    assert len(pages) >= len(PAGES)
    for page in pages:
        text = page.read_text()
        fetched = re.findall(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"([^\"]+)\"", text)
        fetched += re.findall(r"<link\b[^>]*\bhref=\"([^\"]+)\"", text)
        assert fetched
        assert not [one for one in fetched if re.match(r"(https?:)?//", one)], page.name
        # The theme's script fetches a library where a page has a diagram, and only there.
        assert 'class="mermaid"' not in text, page.name
    for sheet in built.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", sheet.read_text()), sheet.name


@needs_mkdocs
@pytest.mark.parametrize("page", [page for page in PAGES if page.stem not in GENERATED], ids=str)
def test_a_page_has_the_same_lists_tables_and_code_as_its_file(built, page):
    """The pages' renderer takes less than CommonMark does: nested lists need four spaces."""
    expected = MarkdownIt("commonmark").enable("table").render(page.read_text())
    shown = (built / f"{page.stem}.html").read_text()
    shown = shown[shown.index("<article") : shown.index("</article>")]
    for tag in ("h2", "h3", "ul", "ol", "li", "td", "pre"):
        opening = re.compile(f"<{tag}[ >]")
        assert len(opening.findall(shown)) == len(opening.findall(expected)), tag
