"""weights → bundle → corpus → annotation → results: a stage imports only from its left."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# What each package of the site may import from the site, besides itself, errors and exact words.
ANYWHERE = {"accounts", "workers", "errors"}
PURE = {"analysis", "exports"}
ALLOWED = {
    "accounts": set(),
    "workers": set(),
    "analysis": set(),
    "exports": set(),
    "corpus": ANYWHERE | PURE,
    "annotation": ANYWHERE | PURE | {"corpus"},
    "results": ANYWHERE | PURE | {"corpus", "annotation"},
}
# The worker's entry point is what a task registers with.
TASKS_MAY = {"celery"}
# Pages about people see what joining and leaving do to studies; no other page crosses stages.
ACCOUNTS_VIEWS_MAY = {"annotation"}
# The bundle is all that passes between extraction and site, and before it an estimate; these load
# without torch.
FROM_EXTRACTION = {
    "bundle", "checkpoints.outline", "chosen_vectors", "errors", "estimate", "formulas",
    "model_sizes", "option_types", "options", "progress", "target_lock", "version",
}  # fmt: skip


def imports(path: Path, *, everywhere: bool) -> Iterator[tuple[str, int]]:
    """Modules that a file imports; at the top only, or inside functions too."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def python_files(folder: str) -> list[Path]:
    return [p for p in sorted((ROOT / folder).rglob("*.py")) if "migrations" not in p.parts]


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_a_stage_imports_only_from_its_left(package):
    found = []
    for path in python_files(f"annotation_site/{package}"):
        for module, line in imports(path, everywhere=True):
            parts = module.split(".")
            if parts[0] != "annotation_site" or len(parts) < 2:
                continue
            may = ALLOWED[package] | {
                package,
                "errors",
                "exact_words",
                "bounds",
                "database_pages",
                "old_names",
            }
            if path.name == "tasks.py":
                may |= TASKS_MAY
            if package == "accounts" and path.parent.name == "views":
                may |= ACCOUNTS_VIEWS_MAY
            if parts[1] not in may:
                found.append(f"{path.relative_to(ROOT)}:{line} imports {module}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize("package", ["annotation_site", "ffn_extract"])
def test_no_circle_of_imports(package):
    names = {module_name(path) for path in python_files(package)}
    needs = {}
    for path in python_files(package):
        found = {module for module, _ in imports(path, everywhere=True)}
        found |= {module.rpartition(".")[0] for module in found}  # a name from a module
        needs[module_name(path)] = (found & names) - {module_name(path)}
    while alone := {name for name, of in needs.items() if not of}:
        needs = {name: of - alone for name, of in needs.items() if of}
    assert not needs, "in circles, or needing one: " + ", ".join(sorted(needs))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("package", sorted(PURE))
def test_pure_packages_know_no_django(package):
    for path in python_files(f"annotation_site/{package}"):
        for module, line in imports(path, everywhere=True):
            assert module.split(".")[0] not in {"django", "rest_framework", "celery"}, (path, line)


def test_extraction_knows_no_site():
    for path in python_files("ffn_extract"):
        for module, line in imports(path, everywhere=True):
            assert module.split(".")[0] not in {"django", "annotation_site"}, (path, line)


def test_the_site_takes_only_the_light_part_of_extraction():
    for path in python_files("annotation_site"):
        for module, line in imports(path, everywhere=False):
            parts = module.split(".")
            if parts[0] == "ffn_extract":
                names = {parts[1], ".".join(parts[1:3])}
                assert names & FROM_EXTRACTION, (path, line, module)


def test_the_web_process_loads_neither_torch_nor_pandas():
    code = (
        "import sys, django; django.setup();"
        "from django.urls import get_resolver; get_resolver().url_patterns;"
        "from annotation_site.wsgi import application;"
        "heavy = {'torch', 'transformers', 'pandas', 'sklearn', 'matplotlib', 'nltk'};"
        "sys.exit(' '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    environment = {"DJANGO_SETTINGS_MODULE": "tests.settings", "PATH": ""}
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
