"""What tests of the site and of extraction share."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

# Lines are counted in the processes that run tests, and not in servers and commands that these
# start: counting slows them, and some are looked at for what they write and how long they take.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.pop("COVERAGE_PROCESS_START", None)


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
