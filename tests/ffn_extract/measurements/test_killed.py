"""A measurement that is killed, and taken up by the same command."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.long
DEADLINE = 300


CONTRIBUTION = ["contribution", "--examples", "500", "--batch-rows", "2"]
SUPPRESSION = [
    "suppression", "--set", "1:3=9", "--prompt-count", "80", "--prompt-rows", "2", "--beams", "1",
    "--perplexity-tokens", "60",
]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "kept", "batches", "workers"),
    [
        (CONTRIBUTION, "", 250, "1"),
        (CONTRIBUTION, "", 250, "2"),
        (SUPPRESSION, "writing", 120, "2"),
    ],
)
def test_a_killed_command_is_taken_up_and_writes_the_same_bytes(
    tiny_model, tmp_path, given, kept, batches, workers
):
    pattern = f".out.*{kept}.parts/*.npz"
    corpus = tmp_path / "texts.txt"
    corpus.write_text("".join(f"the cat sat on mat {i} and saw dogs\n" for i in range(600)))

    def command(out):
        return [
            sys.executable, "-W", "ignore", "-m", "ffn_extract", "measure", *given,
            str(tiny_model("gpt2")), "--out", str(tmp_path / out), "--corpus", str(corpus),
            "--workers", workers, "--resamples", "100",
        ]  # fmt: skip

    subprocess.run(command("whole"), check=True, capture_output=True)
    killed = subprocess.Popen(command("out"), stderr=subprocess.DEVNULL)
    end = time.monotonic() + DEADLINE
    while len(list(tmp_path.glob(pattern))) < 5:
        assert time.monotonic() < end
        assert killed.poll() is None
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "out").exists()
    assert 5 <= len(list(tmp_path.glob(pattern))) < batches
    subprocess.run(command("out"), check=True, capture_output=True)
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    for name in files:
        if name != "manifest.json":
            one, two = ((tmp_path / out / name).read_bytes() for out in ("out", "whole"))
            assert one == two, name
    assert digests_of(tmp_path) == 1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_killed_early_exit_goes_on_with_its_clusters_and_fits(tiny_model, tmp_path, workers):
    """Killed while classifiers are fitted; the run that is not killed has one worker."""
    corpus = tmp_path / "texts.txt"
    corpus.write_text("".join(f"{i * 37 % 100} the cat sat on mat {i}\n" for i in range(140)))

    def command(out, count):
        return [
            sys.executable, "-W", "ignore", "-m", "ffn_extract", "measure", "early-exit,clusters",
            str(tiny_model("gemma2")), "--out", str(tmp_path / out), "--corpus", str(corpus),
            "--examples", "120", "--batch-rows", "8", "--clusters", "20", "--workers", count,
        ]  # fmt: skip

    subprocess.run(command("whole", "1"), check=True, capture_output=True)
    killed = subprocess.Popen(command("out", workers), stderr=subprocess.DEVNULL)
    end = time.monotonic() + DEADLINE
    while not list(tmp_path.glob(".out.*.exits.parts/*.npz")):
        assert time.monotonic() < end
        assert killed.poll() is None
        time.sleep(0.001)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "out").exists()
    assert len(list(tmp_path.glob(".out.*.exits.parts/*.npz"))) < 5
    (labels,) = tmp_path.glob(".out.*.clusters.parts/*.npz")
    before = labels.stat().st_mtime_ns
    again = subprocess.Popen(command("out", workers), stderr=subprocess.DEVNULL)
    while labels.exists():
        assert labels.stat().st_mtime_ns == before
        if again.poll() is not None:
            break
        time.sleep(0.05)
    assert again.wait() == 0
    for name in ("clusters", "early-exit"):
        for path in (tmp_path / "whole" / name).iterdir():
            if path.name != "manifest.json":
                assert (tmp_path / "out" / name / path.name).read_bytes() == path.read_bytes()
        assert digests_of(tmp_path, name) == 1
    assert not list(tmp_path.glob(".out*"))


def digests_of(tmp_path, name=""):
    """How many digests the two runs have."""
    digests = {
        json.loads((tmp_path / out / name / "manifest.json").read_text())["digest"]
        for out in ("out", "whole")
    }
    return len(digests)


def test_a_killed_page_of_the_paper_is_taken_up_and_is_the_same_page(tiny_model, tmp_path):
    corpus = tmp_path / "texts.txt"
    corpus.write_text("".join(f"the cat sat on mat {i} and saw dogs\n" for i in range(400)))

    def command(out):
        return [
            sys.executable, "-W", "ignore", "-m", "ffn_extract", "paper", str(tiny_model("gpt2")),
            "--only", "norm,saturation", "--out", str(tmp_path / out), "--corpus", str(corpus),
            "--examples", "300", "--batch-rows", "2", "--workers", "2", "--resamples", "100",
            "--per-layer", "8",
        ]  # fmt: skip

    subprocess.run(command("whole"), check=True, capture_output=True)
    killed = subprocess.Popen(command("out"), stderr=subprocess.DEVNULL)
    end = time.monotonic() + DEADLINE
    while len(list(tmp_path.glob("..out.paper.*.parts/*.npz"))) < 5:
        assert time.monotonic() < end
        assert killed.poll() is None
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "out").exists()
    assert (tmp_path / ".out.paper" / "norm" / "manifest.json").exists()
    assert 5 <= len(list(tmp_path.glob("..out.paper.*.parts/*.npz"))) < 150
    subprocess.run(command("out"), check=True, capture_output=True)
    for name in ("paper.html", "paper.md", "saturation/saturation.csv", "norm/norm.csv"):
        one, two = ((tmp_path / out / name).read_bytes() for out in ("out", "whole"))
        assert one == two, name
    left = {path.name for path in tmp_path.iterdir()} - {".out.lock", ".whole.lock"}
    assert left == {"out", "whole", "texts.txt"}
