"""Python imports this at its start: on a signal the process writes what it has loaded.

A running server is asked this way without a change to it, and children that are forked inherit it.
"""

import json
import os
import signal
import sys
from pathlib import Path


def _tell(*_: object) -> None:
    path = Path(os.environ["TOLD"]) / f"{os.getpid()}.json"
    part = path.with_suffix(".part")
    part.write_text(json.dumps(sorted(sys.modules)))
    part.rename(path)


if "TOLD" in os.environ:
    signal.signal(signal.SIGRTMIN, _tell)
