"""Commands that the demo runs for its person: their output is a file, a failure one sentence."""

import subprocess
from pathlib import Path

from annotation_site.environment import PACKAGE


def run_quietly(command: list[str], *, log: Path, failed: str) -> None:
    """Run a command in the package's folder. Raises SystemExit with what it said last."""
    with log.open("wb") as output:
        ended = subprocess.run(
            command, cwd=PACKAGE.parent, stdout=output, stderr=output, check=False
        )
    if ended.returncode:
        said = [line.strip() for line in log.read_text(errors="replace").splitlines()]
        last = next((line for line in reversed(said) if line), "it said nothing")
        raise SystemExit(f"{failed} ({last.removeprefix('Error: ')}). The whole log is {log}.")
