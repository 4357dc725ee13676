"""The campaign of docs/api.md, as it stands there, against a running site."""

import csv
import re
import subprocess
import sys

import pytest

from tests.e2e.site import ROOT, Site

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]
PEOPLE = {"rosa": "researcher", "ada": "annotator", "ben": "annotator"}
WORLD = "from tests.annotation_site.factories import *; make_extraction(layers=2, per_layer=2)"


def script() -> str:
    """The text between the fences."""
    (found,) = re.findall(
        r"^```python\n(.+?)^```$", (ROOT / "docs/api.md").read_text(), re.M | re.S
    )
    return found


def test_the_script_is_about_forty_lines_of_requests_and_pandas():
    lines = [line for line in script().splitlines() if line.strip()]
    assert len(lines) <= 42
    assert {"import pandas as pd", "import requests"} <= set(lines)


def test_a_whole_campaign_runs_by_the_script_of_the_documentation(site: Site, tmp_path):
    site.add_people(**PEOPLE)
    site.run(WORLD)
    scopes = {"researcher": "read,manage", "annotator": "read,annotate"}
    tokens = {
        name: site.manage("createtoken", name, "--scopes", scopes[role]).strip()
        for name, role in PEOPLE.items()
    }
    ended = subprocess.run(
        [sys.executable, "-c", script()],
        cwd=tmp_path,
        env={
            "SITE": site.address,
            "RESEARCHER": tokens["rosa"],
            "ANNOTATORS": f"{tokens['ada']},{tokens['ben']}",
            "HOME": str(tmp_path),
        },
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr + site.said()
    # Three kinds, two layers, one list of each; two people; the very same answers.
    assert site.query("Study.objects.get().state") == "open"
    assert site.query("Assignment.objects.filter(state='submitted').count()") == 12
    assert "lists on which both marked the same tokens: 1.0" in ended.stdout
    with (tmp_path / "coverage.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["kind"] for row in rows} == {"value", "random", "update"}
    assert {row["coverage"] for row in rows} == {repr(4 / 30)}
    assert "coverage" in ended.stdout
