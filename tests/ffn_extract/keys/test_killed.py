"""An extraction of keys that is killed while the model runs, and taken up by the same command."""

import os
import signal
import subprocess
import sys
import time

import pytest

from ffn_extract import open_bundle

pytestmark = pytest.mark.long
DEADLINE = 300


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_killed_command_is_taken_up_and_writes_the_same_bytes(tiny_model, tmp_path, workers):
    corpus = tmp_path / "texts.txt"
    corpus.write_text("".join(f"the cat sat on mat {i} and saw dogs\n" for i in range(9_000)))

    def command(out):
        return [
            sys.executable, "-W", "ignore", "-m", "ffn_extract", "extract",
            str(tiny_model("gpt2")), "--out", str(tmp_path / out), "--corpus", str(corpus),
            "--kinds", "key,random-key", "--keys-of", "all", "--top-k", "2", "--glosses", "none",
            "--workers", workers,
        ]  # fmt: skip

    subprocess.run(command("whole"), check=True, capture_output=True)
    killed = subprocess.Popen(command("out"), stderr=subprocess.DEVNULL)
    end = time.monotonic() + DEADLINE
    while not list(tmp_path.glob(".out.*.keys.parts/lists.npz")):
        assert time.monotonic() < end
        assert killed.poll() is None
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "out").exists()
    subprocess.run(command("out"), check=True, capture_output=True)
    digests = {open_bundle(tmp_path / out).manifest.digest for out in ("out", "whole")}
    assert len(digests) == 1
    assert not list(tmp_path.glob(".out.*"))
