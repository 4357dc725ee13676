"""The files around the code: for people who contribute, cite and report, and for machines."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ffn_extract import __version__

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE).group(1).split()


def check_schema(schema: str, *files: Path) -> None:
    ended = subprocess.run(
        [
            sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema,
            "--default-filetype", "yaml", *files,
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_workflows_follow_their_schema_and_every_job_ends():
    assert [path.stem for path in WORKFLOWS] == ["release", "test"]
    check_schema("vendor.github-workflows", *WORKFLOWS)
    check_schema("custom.github-workflows-require-timeout", *WORKFLOWS)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_read_and_what_it_calls_exists(path):
    text = path.read_text()
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    assert "secrets." not in text
    assert set(re.findall(r"\bmake ([a-z-]+)", text)) <= set(TARGETS)
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"] == {"persist-credentials": False}


def test_the_workflow_tests_the_pythons_that_the_package_names():
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
    named = re.findall(r'"Programming Language :: Python :: ([\d.]+)"', read("pyproject.toml"))
    assert workflow["jobs"]["suite"]["strategy"]["matrix"]["python"] == named


def test_the_citation_follows_its_schema():
    check_schema("vendor.citation-file-format", ROOT / "CITATION.cff")
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["authors"] == [{"name": "FFN Concepts contributors"}]
    assert "version" not in citation  # that stands in one place, ffn_extract/version.py


def test_the_changelog_begins_with_this_version():
    (first, *_) = re.findall(r"^## (.+)$", read("CHANGELOG.md"), re.MULTILINE)
    assert first == __version__


def test_hooks_run_the_pinned_tools_and_fetch_none():
    (repository,) = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        assert {"id", "name", "entry", "language"} <= set(hook)
        assert hook["language"] == "system"
        assert hook["entry"].startswith(".venv/bin/python -m ")


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md"])
def test_links_and_commands_exist(name):
    text = read(name)
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert (ROOT / target).exists(), target
    for command in re.findall(r"(?:^    |`)make ([a-z -]+)", text, re.MULTILINE):
        assert set(command.split()) <= set(TARGETS), command


def test_make_help_says_a_line_about_every_target():
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"],  # another make may have started the tests
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert re.findall(r"^  make ([a-z-]+) +\S.*$", shown, re.MULTILINE) == TARGETS
    assert len(shown.splitlines()) == len(TARGETS)


@pytest.mark.parametrize("services", ["", "postgres://h/d"])
def test_make_test_passes_arguments_on_and_then_runs_nothing_else(services):
    shown = subprocess.run(
        ["make", "-n", "test", "ARGS=tests/test_docs.py -k links", f"TEST_DATABASE_URL={services}"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    runs = [line for line in shown.splitlines() if "-m pytest" in line]
    assert len(runs) == 1
    assert runs[0].endswith('-m "not long" tests/test_docs.py -k links')


def read(name: str) -> str:
    return (ROOT / name).read_text()
