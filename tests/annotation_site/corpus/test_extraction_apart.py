"""Strangers' models are opened in a process of its own: no secret, no orphan, nothing half-done."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from annotation_site.corpus import extraction_runs, services
from annotation_site.corpus.models import Extraction, ExtractionLayer
from annotation_site.corpus.sweeps import extractions_sweep
from annotation_site.errors import SiteError
from annotation_site.workers import claims
from ffn_extract import apart, child
from ffn_extract.errors import CheckpointError, FFNExtractError, ProcessEnded
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import extract
from tests.security.environment import SECRETS

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(sys.platform != "linux", reason="Only Linux tells about other processes."),
]
State = Extraction.State
FEW = ExtractOptions(kinds=("value",), per_layer=3, top_k=5, glosses=())
EVERY = replace(FEW, per_layer="all")
LAYERS = 2
PATHS = {"PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.fixture
def model(settings, tmp_path, tiny_model, messages):
    """A tiny model in folders of this test's own."""
    settings.BUNDLES_DIR = tmp_path / "bundles"
    settings.MODELS_DIR = tmp_path / "models"
    settings.MODELS_DIR.mkdir()
    (settings.MODELS_DIR / "tiny").symlink_to(tiny_model("bert"))
    extraction_runs._kept.forget()
    yield settings.MODELS_DIR / "tiny"
    extraction_runs._kept.forget()


def enqueued(options):
    return services.extraction_enqueue(model_source="tiny", options=options)


def work(extraction):
    extraction_runs.extraction_work(extraction_id=extraction.pk)
    extraction.refresh_from_db()


def extracting() -> list[int]:
    """The processes of this one that extract."""
    found = []
    for path in Path("/proc/self/task").glob("*/children"):
        for pid in map(int, path.read_text().split()):
            if apart.PROGRAM.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def test_the_process_that_extracts_sees_no_secret(model, monkeypatch, tmp_path):
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    monkeypatch.setenv("HF_TOKEN", "the hub's")
    seen = {}

    def look(_):
        (pid,) = extracting()
        content = Path(f"/proc/{pid}/environ").read_bytes().decode()
        seen.update(pair.split("=", 1) for pair in content.split("\0") if pair)

    apart.extract(str(model), tmp_path / "out", FEW, look)
    assert set(seen) <= {*child.TO_START, *apart.PASSED_ON, "PYTHONPATH"}
    assert not set(SECRETS.values()) & set(seen.values())
    assert (seen["HF_TOKEN"], seen["PATH"]) == ("the hub's", os.environ["PATH"])
    assert extracting() == []


def test_no_file_of_a_model_is_opened_in_the_worker_itself(model):
    """Nothing that could open one is even loaded there."""
    program = (
        "import sys, django; django.setup();"
        "from annotation_site.corpus import extraction_runs;"
        "from ffn_extract import apart; from ffn_extract.options import ExtractOptions;"
        f"options = ExtractOptions.from_json({FEW.to_json()!r});"
        f"apart.extract({str(model)!r}, {str(model.parent / 'out')!r}, options);"
        "print(sorted({'torch', 'transformers', 'tokenizers', 'safetensors'} & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | PATHS, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert ended.stdout.strip() == "[]"


def test_lists_are_those_of_one_process(model, tmp_path):
    extraction = enqueued(EVERY)
    work(extraction)
    (pid,) = extracting()
    for _ in range(LAYERS):
        assert (extraction.state, extracting()) == (State.LAYERS, [pid])  # kept between layers
        work(extraction)
    work(extraction)
    direct = extract(str(model), tmp_path / "direct", replace(EVERY, name="tiny")).digest
    assert (extraction.state, extraction.bundle_digest) == (State.READY, direct)
    assert extracting() == []


def test_a_run_that_is_cancelled_stops_and_leaves_nothing(model, monkeypatch):
    extraction = enqueued(FEW)
    report = services.report

    def cancelled(row, **changes):
        if changes.get("step") == "bundle":
            services.extraction_cancel(extraction=extraction)
        report(row, **changes)

    monkeypatch.setattr(services, "report", cancelled)
    work(extraction)
    assert extraction.state == State.CANCELLED
    assert list(extraction_runs.settings.BUNDLES_DIR.iterdir()) == []
    assert extracting() == []


@pytest.mark.parametrize("options", [FEW, EVERY], ids=["whole", "layers"])
def test_a_process_that_is_killed_is_a_worker_that_died(model, monkeypatch, options):
    """Its work waits for the sweep and is done again; nothing is said to have failed."""
    extraction = enqueued(options)
    if options is EVERY:
        work(extraction)
    killed = []

    def kill(row, **changes):
        if changes.keys() & {"step", "done"} and not killed:
            killed.extend(extracting())
            os.kill(killed[0], signal.SIGKILL)
        claims.report(row, **changes)

    monkeypatch.setattr(services, "report", kill)
    monkeypatch.setattr(extraction_runs, "report", kill)
    work(extraction)
    assert killed
    assert extraction.state == (State.LAYERS if options is EVERY else State.RUNNING)
    assert (extraction.error, extracting()) == ("", [])
    silent = timezone.now() - claims.DEAD_AFTER - timedelta(seconds=1)
    for rows in (Extraction.objects.filter(state="running"), ExtractionLayer.objects):
        rows.filter(state="running").update(heartbeat_at=silent)
    extractions_sweep()
    for _ in range(LAYERS + 2):
        work(extraction)
    assert (extraction.state, extraction.error) == (State.READY, "")


def test_it_ends_with_the_process_that_asked(model):
    """Though it is stopped, and so can't see that there is nobody to answer."""
    program = (
        "import os, signal, sys; from pathlib import Path;"
        "from ffn_extract import apart; from ffn_extract.options import ExtractOptions;"
        f"options = ExtractOptions.from_json({EVERY.to_json()!r});"
        f"opened = apart.LayersApart({str(model)!r}, {str(model.parent / 'o')!r}, options, print);"
        "print('pid', opened._process._running.pid, flush=True);"
        "os.kill(opened._process._running.pid, signal.SIGSTOP);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | PATHS, stdout=subprocess.PIPE,
        text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == -signal.SIGKILL
    pid = int(ended.stdout.rpartition("pid ")[2])
    until = time.monotonic() + 10
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    was_alive = alive(pid)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)  # else it would stay, where this fails
    assert not was_alive


def alive(pid: int) -> bool:
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_what_is_refused_there_is_refused_here(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "unheard_of"}')
    with pytest.raises(FFNExtractError, match="unheard_of") as refused:
        apart.extract(str(tmp_path), tmp_path / "out", FEW)
    assert not isinstance(refused.value, CheckpointError)  # its sentence crosses, not its class


ANSWERS = {
    "nothing": "",
    "no JSON": "print('hello')",
    "a list of one": "print('[1]')",
    "deep": "print('[' * 100000)",
    "a long number": "print('[\"progress\", [\"a\", ' + '9' * 5000 + ', 1, 1]]')",
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_that_is_none_ends_the_process_and_nothing_else(tmp_path, monkeypatch, answer):
    program = f"{ANSWERS[answer]}; import time; time.sleep(100)" if ANSWERS[answer] else "pass"
    monkeypatch.setattr(apart, "command", lambda _: [sys.executable, "-u", "-c", program])
    opened = []
    monkeypatch.setattr(
        apart.subprocess, "Popen", lambda *a, **k: opened.append(REAL_POPEN(*a, **k)) or opened[-1]
    )
    with pytest.raises(ProcessEnded):
        apart.extract("x", tmp_path / "out", FEW)
    assert opened[0].poll() is not None


REAL_POPEN = subprocess.Popen


def test_numbers_and_texts_of_an_answer_are_bounded():
    found = apart._progress_of(["s" * 1000, 10**30, -5, True])
    assert (len(found.step), found.done, found.total) == (40, 1 << 53, 0)
    assert len(type(apart._raised("bug", "E" * 1000)).__name__) == 40


def test_a_package_that_is_missing_is_named():
    lacking = pytest.raises(SiteError, match="lacks the package torch")
    with lacking, extraction_runs.packages_needed():
        raise apart._raised("missing", "torch")
