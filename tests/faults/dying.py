"""A worker that is killed at a chosen place: `python -m tests.faults.dying MODULE:NAME:CALL -Q …`.

At the CALL-th call of a function (or class) that a module calls by its own name for it, the whole
process group gets SIGKILL, as by a power cut or a want of memory: nothing is tidied up or said.
Until then the worker is the site's own, but for the sweeps: what another worker's death left is
not for this one, which on a slow machine lives long enough to find it.
"""

import itertools
import os
import signal
import sys
from importlib import import_module
from typing import Any

from celery.signals import worker_process_init


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

    @worker_process_init.connect(weak=False)
    def _prepare(**_: Any) -> None:
        import django

        django.setup()
        die_in(place)

    from annotation_site import celery

    celery.SWEEPS = ()
    celery.app.worker_main(["worker", "--loglevel", "WARNING", "--without-gossip",
                            "--without-mingle", "--concurrency", "1", *arguments])  # fmt: skip


if __name__ == "__main__":
    main()
