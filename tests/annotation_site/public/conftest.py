"""A folder of each test's own for public pages."""

from pathlib import Path
from typing import Any

import pytest

from annotation_site.public import writing
from tests.annotation_site.public.published import write_little


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    """Where public pages are."""
    settings.PUBLIC_DIR = tmp_path / "public"
    return settings.PUBLIC_DIR


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages with little in them, without the study's results."""
    monkeypatch.setattr(writing, "_write_all", write_little)
    monkeypatch.setattr(writing, "_results", lambda row, study: None)
