"""Words that this project does not use in its prose, each with the better word.

docs/glossary.md and CONTRIBUTING.md have the rules; this finds relapses in documentation, in the
first lines of docstrings and in the sentences of pages. Code and headings are no prose.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROSE = ("docs", "docstrings")
EVERYWHERE = (*PROSE, "pages")  # labels of pages may be questions
START = r"(?:^|(?<=[.!?] ))"  # of a sentence

# A pattern, the better words, and the places where it is looked for.
WORDS = (
    (r"\bnudg", "enqueue, wake", EVERYWHERE),
    (r"\bsigns? of life\b", "heartbeat", EVERYWHERE),
    (r"\bfinal answer", "adjudicated annotation", EVERYWHERE),
    (r"\bgold\b", "reference annotation, adjudicated annotation", EVERYWHERE),
    (r"\breference answer", "reference annotation", EVERYWHERE),
    (r"\bsurplus answer", "surplus annotation", EVERYWHERE),
    (r"\bfree places?\b", "free slot", EVERYWHERE),
    (r"\bdoctor\b", "check (the command is `doctor`)", EVERYWHERE),
    (r"\btid(?:y|ies|ied|ying)\b", "remove (the command is `tidy`)", EVERYWHERE),
    (r"\banew\b|\bsaid (?:text|list|study)\b", "again", EVERYWHERE),
    (r"\bpasswords? forgotten\b", "Forgot your password?", EVERYWHERE),
    (r"\binforms? and rejects?\b", "These are hints only; nothing is rejected.", EVERYWHERE),
    (r"\bwho(?:ever)? (?:works|asks|judges|comes)\b", "name the actor: the worker, the person",
     EVERYWHERE),
    (START + r"(?-i:Whoever)\b", "a noun: the person, the worker", EVERYWHERE),
    (START + r"(?-i:Who|Whom|Whose)\b(?![^.]*\?)", "a noun: the person, the worker", PROSE),
    (START + r"(?-i:What)\b(?![^.]*\?)", "a noun, or a verb that says what it does", PROSE),
    (r"\b(?:do|does|is|are|was|were|can|could|has|have|will|wo|should)n't\b|\bit's\b|\byou're\b",
     "no contraction", PROSE),
)  # fmt: skip


def documentation() -> Iterator[tuple[str, str]]:
    """Paragraphs, list items and cells of tables, without code; the glossary lists bad words."""
    names = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
    pages = [page for page in (ROOT / "docs").glob("*.md") if page.name != "glossary.md"]
    for path in [*(ROOT / name for name in names), *sorted(pages)]:
        text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
        text = re.sub(r"^ {4,}(?![-*] |\d+\. ).*$", "", text, flags=re.MULTILINE)
        text = re.sub(r"`[^`]*`", "`…`", text)
        text = re.sub(r"\]\([^)]*\)", "]", text)
        for block in re.split(r"\n\s*\n|\n(?=\s*[-*|#] ?|\d+\. )|(?<=\S) \| ", text):
            prose = " ".join(block.split()).lstrip("-*|0123456789. ")
            if prose and not prose.startswith("#"):
                yield path.name, prose


def docstrings() -> Iterator[tuple[str, str]]:
    """The first paragraph of each, of modules, classes and functions."""
    for package in ("annotation_site", "ffn_extract"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                    continue
                if text := ast.get_docstring(node):
                    first = re.sub(r"`[^`]*`", "`…`", " ".join(text.split("\n\n")[0].split()))
                    where = path.relative_to(ROOT).as_posix()
                    yield f"{where}: {getattr(node, 'name', 'module')}", first


def pages() -> Iterator[tuple[str, str]]:
    """The text between the tags of templates."""
    for path in sorted((ROOT / "annotation_site").rglob("templates/**/*.html")):
        text = re.sub(
            r"\{#.*?#\}|\{% comment.*?endcomment %\}|<script.*?</script>", "", path.read_text(),
            flags=re.DOTALL,
        )  # fmt: skip
        text = re.sub(r"\{% translate \"([^\"]*)\"[^%]*%\}", r"\1", text)
        for piece in re.split(r"<[^>]*>|\{%.*?%\}", text):
            prose = " ".join(re.sub(r"\{\{.*?\}\}", "…", piece).split())
            if prose:
                yield path.name, prose


PLACES = {"docs": documentation, "docstrings": docstrings, "pages": pages}


@pytest.mark.parametrize("place", PLACES)
def test_no_word_comes_back_for_which_there_is_a_better_one(place):
    found = [
        f"{where}: “{match.group()}” in “{prose[:120]}”. Better: {better}."
        for where, prose in PLACES[place]()
        for pattern, better, places in WORDS
        if place in places and (match := re.search(pattern, prose, re.IGNORECASE))
    ]
    assert not found, "\n".join([f"{len(found)} relapses", *found])


def test_each_pattern_finds_its_word():
    relapses = (
        "Nudge a worker.", "It gives a sign of life.", "The final answer of a list.",
        "A gold file.", "The reference answer.", "A surplus answer.", "It takes a free place.",
        "Ask the doctor.", "A worker tidies up.", "Compute it anew.", "Password forgotten?",
        "This informs and rejects nothing.", "It is held by who works.", "Whoever has it.",
        "Who is at it.", "What a task takes.", "It isn't there.",
    )  # fmt: skip
    for (pattern, _, _), sentence in zip(WORDS, relapses, strict=True):
        assert re.search(pattern, sentence, re.IGNORECASE), (pattern, sentence)


def test_a_release_has_at_most_forty_lines_in_the_changelog():
    for release in (ROOT / "CHANGELOG.md").read_text().split("\n## ")[1:]:
        lines = [line for line in release.splitlines() if line.strip()]
        assert len(lines) <= 40, lines[0]
