"""Models to measure."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from annotation_site.corpus.models import LanguageModel
from annotation_site.workers import selectors
from annotation_site.workers.identity import this_worker
from annotation_site.workers.models import Worker
from tests.annotation_site.measurements.made import extracted, sentences_write


@pytest.fixture
def here(
    settings: Any,
    tmp_path: Path,
    messages: list[tuple[str, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Folders of this test's own, a corpus of thirty sentences, and this process as a worker."""
    settings.BUNDLES_DIR = tmp_path / "bundles"
    settings.MODELS_DIR = tmp_path / "models"
    settings.CORPORA_DIR = tmp_path / "corpora"
    for folder in (settings.MODELS_DIR, settings.CORPORA_DIR):
        folder.mkdir()
    sentences_write(settings.CORPORA_DIR / "thirty.txt")
    # Nothing renews the heartbeats of a test, which may take its time.
    monkeypatch.setattr(selectors, "ALIVE_FOR", timedelta(days=1))
    Worker.objects.create(name=this_worker(), seen_at=timezone.now(), extracts=True)
    return tmp_path


@pytest.fixture
def model(here: Path, tiny_model: Callable[..., Path], settings: Any) -> LanguageModel:
    """A tiny GPT-2 in the models folder, with a ready extraction."""
    (settings.MODELS_DIR / "tiny").symlink_to(tiny_model("gpt2"))
    return extracted(settings.MODELS_DIR / "tiny", here)


@pytest.fixture
def _one_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches run in the test's own process, which has connections that no fork should have."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
