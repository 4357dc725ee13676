"""Sweep of language models' runs: release the claims of dead workers."""

import logging

from annotation_site.machine_annotators.models import MachineRun
from annotation_site.workers.claims import give_back

log = logging.getLogger(__name__)
State = MachineRun.State


def machine_runs_sweep() -> None:
    """Release runs of dead workers; annotations and counted requests stay."""
    running = MachineRun.objects.filter(state=State.RUNNING)
    for run in give_back(running, state=State.QUEUED):
        log.warning("Run %s waits again: its worker sends no heartbeat", run.public_id)
