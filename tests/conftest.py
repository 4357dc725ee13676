"""What tests of the site and of extraction share."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, settings

# As Hypothesis has it by itself where CI is set: how long an example takes tells nothing about
# the code on a machine that does other things, too. The same examples in every run, and so many
# where a test sets no number: a failure comes back, and a run takes as long as the last one.
settings.register_profile(
    "any machine",
    settings(),
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("any machine")

# Lines are counted in the processes that run tests, and not in servers and commands that these
# start: counting slows them, and some are looked at for what they write and how long they take.
counting = Coverage.current() if "COVERAGE_PROCESS_START" in os.environ else None
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.pop("COVERAGE_PROCESS_START", None)

# Nor in tests of other packages than those whose lines .ci/lines.py asks for: counting makes
# Python up to twice as slow, and a package is to be reached by its own tests.
COUNTED = tuple(
    f"{Path(__file__).parent}/{start}"
    for start in (
        "ffn_extract/",
        "annotation_site/analysis/",
        "annotation_site/annotation/",
        "annotation_site/exports/",
        # What `exports` reads again.
        "annotation_site/results/test_exports.py",
        "annotation_site/results/test_labels_files.py",
        "annotation_site/results/test_restored_studies.py",
    )
)
is_counting = True


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """Count lines, or cease to, before a test whose folder asks for the other."""
    global is_counting
    counted = str(item.path).startswith(COUNTED)
    if counting is None or counted == is_counting:
        return
    if counted:
        counting.start()
    else:
        counting.stop()
    is_counting = counted


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Saves a tiny random model of a family with its tokenizer; equal calls share a folder."""
    from tests.ffn_extract.tiny_models import save_tiny_model  # loads transformers

    made: dict[str, Path] = {}

    def make(family: str) -> Path:
        if family not in made:
            made[family] = tmp_path_factory.mktemp("models") / f"tiny-{family}"
            save_tiny_model(family, made[family])
        return made[family]

    return make
