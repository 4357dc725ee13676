"""A worker that is killed at a chosen place: `python -m tests.faults.dying MODULE:NAME:CALL -Q …`.

At the CALL-th call of a function (or class) that a module calls by its own name for it, the whole
process group gets SIGKILL, as by a power cut or a want of memory: nothing is tidied up or said.
What extraction calls is replaced in the process that extracts, which is of the same group. Until
then the worker is the site's own, but for the sweeps: what another worker's death left is not for
this one, which on a slow machine lives long enough to find it.
"""

import itertools
import os
import signal
import sys
from importlib import import_module
from typing import Any

from celery.signals import worker_process_init

from ffn_extract import apart

APART = "apart"


def die_in(place: str) -> None:
    """Be killed at the call that `place` names."""
    module_name, name, number = place.split(":")
    module, calls = import_module(module_name), itertools.count(1)
    real = getattr(module, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == int(number):
            os.killpg(0, signal.SIGKILL)
        return real(*args, **kwargs)

    setattr(module, name, call)


def main() -> None:
    place, *arguments = sys.argv[1:]
    if arguments[0] == APART:
        die_in(place)
        apart.main(arguments[1])
        return

    @worker_process_init.connect(weak=False)
    def _prepare(**_: Any) -> None:
        import django

        django.setup()
        if place.startswith("ffn_extract."):
            apart.command = lambda _: [
                sys.executable, "-m", "tests.faults.dying", place, APART, str(os.getpid()),
            ]  # fmt: skip
        else:
            die_in(place)

    from annotation_site import celery

    celery.SWEEPS = ()
    celery.app.worker_main(["worker", "--loglevel", "WARNING", "--without-gossip",
                            "--without-mingle", "--concurrency", "1", *arguments])  # fmt: skip


if __name__ == "__main__":
    main()
