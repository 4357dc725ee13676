"""Processes of their own that need not load torch again: forks of a server that has done so.

The server has loaded it and done nothing else, so a fork is what a new process is after its first
import. A test that is about imports or memory starts a real one.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["torch", "pytest"])  # a fork looks at its parent's main module
_MOST_SECONDS = 300


def run_module(
    name: str, *arguments: object, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """What `python -m` does, with output and exit status."""
    return _run(_module, name, arguments, environment)


def run_code(
    code: str, *arguments: object, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """What `python -c` does, with output and exit status."""
    return _run(_code, code, arguments, environment)


def _module(name: str) -> None:
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _code(code: str) -> None:
    exec(code, {"__name__": "__main__"})


def _run(
    do: object, what: str, arguments: tuple[object, ...], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    given = [what, *map(str, arguments)]
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder, name) for name in ("stdout", "stderr")]
        fork = _FORKS.Process(target=_begin, args=(do, given, dict(environment), outputs))
        fork.start()
        fork.join(_MOST_SECONDS)
        if fork.exitcode is None:
            fork.kill()
            raise TimeoutError(f"{what} took more than {_MOST_SECONDS} s.")
        texts = [path.read_text(encoding="utf-8") for path in outputs]
        return subprocess.CompletedProcess(given, fork.exitcode, *texts)


def _begin(do: object, given: list[str], environment: dict[str, str], outputs: list[Path]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), number)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sys.argv = given
    do(given[0])  # type: ignore[operator]
