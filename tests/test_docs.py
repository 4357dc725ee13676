"""The documentation says what the code does."""

import re
from datetime import timedelta
from importlib import import_module
from pathlib import Path

from ffn_extract.wordnet import HIDE

ROOT = Path(__file__).resolve().parent.parent


def read(name: str) -> str:
    return (ROOT / name).read_text()


def test_every_setting_is_documented_and_every_documented_setting_exists():
    read_by_site = re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', read("annotation_site/settings.py"))
    extraction = "".join(path.read_text() for path in (ROOT / "ffn_extract").rglob("*.py"))
    read_by_code = {*read_by_site, *re.findall(r'"(FFN_[A-Z_]+)"', extraction)}
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", read("docs/deploying.md"), re.MULTILINE))
    assert documented == read_by_code - {HIDE}  # for tests, which CONTRIBUTING.md is about
    assert HIDE in read("CONTRIBUTING.md")


def test_the_readme_opens_with_two_commands_that_make_knows():
    readme, makefile = read("README.md"), read("Makefile")
    for target in ("demo", "test"):
        assert f"    make {target}" in readme
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_links_and_pictures_in_the_documentation_exist():
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), (page.name, target)


def test_commands_in_the_documentation_exist():
    commands = {path.stem for path in (ROOT / "annotation_site/management/commands").glob("*.py")}
    django = {"collectstatic", "makemigrations", "check", "help", "COMMAND"}
    known = commands | django
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        typed = r"(?:manage\.py|ffn-concepts manage(?: --data \S+)?) (\w+)"
        for command in re.findall(typed, page.read_text()):
            assert command in known, (page.name, command)


def test_the_documented_limits_are_those_that_hold():
    section = read("docs/deploying.md").split("\n## Limits\n")[1].split("\n## ")[0]
    rows = re.findall(
        r"^\| .+ \| ([\d,]+)[^|]* \| `([\w.]+)\.([A-Z_]+)` \|$", section, re.MULTILINE
    )
    assert len(rows) > 20
    for number, module, name in rows:
        limit = getattr(import_module(module), name)
        if isinstance(limit, timedelta):
            limit = int(limit.total_seconds())
        assert f"{limit:,}" == number, name
