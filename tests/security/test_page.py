"""docs/security.md names tests that exist."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security.md").read_text()


def existing() -> set[str]:
    return {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def rows() -> list[list[str]]:
    tables = PAGE.split("## Attacks")[1].split("\n## ")[0]
    lines = [line for line in tables.splitlines() if line.startswith("| ")]
    lines = [line for line in lines if not line.startswith("| attack |")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_attack_has_an_answer_and_tests_that_exist():
    known = existing()
    assert len(rows()) > 80
    for attack, answer, tests in rows():
        assert attack
        assert answer
        named = re.findall(r"`(test_\w+)`", tests)
        assert named, attack
        assert set(named) <= known, (attack, set(named) - known)
