"""A worker of this process, and what it traces with."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from annotation_site.corpus.models import LanguageModel
from annotation_site.traces import runs
from annotation_site.workers import selectors
from annotation_site.workers.identity import this_worker
from annotation_site.workers.models import Worker
from ffn_extract import apart
from ffn_extract.progress import Progress
from tests.annotation_site.factories import TRACE
from tests.annotation_site.measurements.made import extracted


class Double:
    """What `TracingApart` does, without a model: it answers with the example, and counts."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.loaded: list[str] = []
        self.is_closed = False
        self.meanwhile: Callable[[], None] = lambda: None

    def trace(self, model: str, reading: Any, request: Any, report: Any) -> dict[str, Any]:
        if self.loaded[-1:] != [model]:
            self.loaded.append(model)
            report(Progress("load", 0, 1))
        self.asked.append((model, dict(request)))
        self.meanwhile()
        return json.loads(TRACE.read_text())

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def as_worker(messages: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is the only worker, and nothing renews its heartbeat."""
    Worker.objects.all().delete()
    monkeypatch.setattr(selectors, "ALIVE_FOR", timedelta(days=1))
    Worker.objects.create(name=this_worker(), seen_at=timezone.now(), extracts=True)


@pytest.fixture
def processes(as_worker: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Double]]:
    """The doubles that were started, in place of processes."""
    started: list[Double] = []

    def start() -> Double:
        started.append(Double())
        return started[-1]

    monkeypatch.setattr(apart, "TracingApart", start)
    monkeypatch.setattr(runs, "model_location", lambda source: source)
    monkeypatch.setattr(runs, "kept", runs.Kept())
    monkeypatch.setattr(runs.Kept, "_look_after", lambda self: None)
    yield started
    runs.kept.end()


@pytest.fixture
def tiny(as_worker: None, tiny_model: Any, settings: Any, tmp_path: Path) -> LanguageModel:
    """A tiny GPT-2 in the models folder, with a ready extraction."""
    settings.MODELS_DIR = tmp_path / "models"
    settings.MODELS_DIR.mkdir()
    (settings.MODELS_DIR / "tiny").symlink_to(tiny_model("gpt2"))
    return extracted(settings.MODELS_DIR / "tiny", tmp_path)
