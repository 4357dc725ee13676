"""The demo's terminal: a line per step with its time, a sentence where a command fails."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

WIDTH = 46  # of a step's title


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """One line of the terminal: what is done, then how long it took."""
    started = time.monotonic()
    print(f"{title:.<{WIDTH}} ", end="", flush=True)
    try:
        yield
    except BaseException:
        print("stopped", flush=True)
        raise
    print(f"{time.monotonic() - started:.1f} s", flush=True)


def run_quietly(command: list[str], *, log: Path, failed: str) -> None:
    """Run a command beside the packages. Raises SystemExit with what it said last."""
    with log.open("wb") as output:
        ended = subprocess.run(command, cwd=ROOT, stdout=output, stderr=output, check=False)
    if ended.returncode:
        said = [line.strip() for line in log.read_text(errors="replace").splitlines()]
        last = next((line for line in reversed(said) if line), "it said nothing")
        raise SystemExit(f"{failed} ({last.removeprefix('Error: ')}). The whole log is {log}.")
