"""Install Python packages with pip, as one line of the terminal; a failure is one sentence.

`make demo` runs it before any package is there, so it needs the standard library alone.
"""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from annotation_site.demo.terminal import step

# What pip says, and the sentence for it; the first that fits.
CAUSES = (
    (
        r"No space left on device|Errno 28|Disk quota exceeded",
        "There is no room for the packages. Free some disk space, then start again.",
    ),
    (
        r"Failed to establish|NewConnection|ConnectTimeout|Read timed out|NameResolution|ProxyError"
        r"|Connection (to|refused|reset|broken|aborted)|SSLError|Could not fetch URL"
        r"|No matching distribution",
        "The index of packages cannot be reached, or lacks one. Check the network, then start "
        "again; make passes options for pip, such as another index, in PIP_FLAGS.",
    ),
    (
        r"DO NOT MATCH THE HASHES",
        "A downloaded package is not the one that is pinned. Start again; if it happens again, ask "
        "who runs the index of packages.",
    ),
    (
        r"Permission denied|Errno 13|Read-only file system",
        "The packages cannot be written where Python looks for them. Use a virtual environment of "
        "your own.",
    ),
)
OTHER = "pip could not install the packages."


def packages_install(arguments: Sequence[str], *, title: str, log: Path) -> None:
    """Run `pip install`, with its output in a file. Raises SystemExit with a sentence."""
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        *arguments,
    ]  # fmt: skip
    with step(title):
        with log.open("wb") as output:
            ended = subprocess.run(command, stdout=output, stderr=output, check=False)
        if ended.returncode:
            raise SystemExit(f"{why(log.read_text(errors='replace'))} pip's output is in {log}.")


def why(said: str) -> str:
    """The sentence for what pip said."""
    return next((sentence for cause, sentence in CAUSES if re.search(cause, said)), OTHER)


if __name__ == "__main__":
    packages_install(sys.argv[3:], title=sys.argv[1], log=Path(sys.argv[2]))
