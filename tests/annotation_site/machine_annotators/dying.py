"""A worker that is killed: `python -m tests.annotation_site.machine_annotators.dying RUN`.

It does a run in a child, whose process id it prints. A child that was killed left a claim; after
the sweep that gives it back another child takes over, until the run has ended.
"""

import os
import sys
from datetime import timedelta


def main() -> None:
    import django

    django.setup()
    from django.db import connections
    from django.utils import timezone

    from annotation_site.machine_annotators import endpoint, runs  # noqa: F401  # loaded once
    from annotation_site.machine_annotators.models import MachineRun
    from annotation_site.machine_annotators.sweeps import machine_runs_sweep

    run_id = int(sys.argv[1])
    runs.PAUSE = 0.05
    while True:
        connections.close_all()  # a connection is one process's own
        child = os.fork()
        if child == 0:
            runs.machine_run_work(run_id=run_id, in_worker=False)
            os._exit(0)
        print(child, flush=True)
        if os.waitpid(child, 0)[1] == 0:
            return
        MachineRun.objects.filter(pk=run_id).update(
            heartbeat_at=timezone.now() - timedelta(minutes=1)
        )
        machine_runs_sweep()


if __name__ == "__main__":
    main()
