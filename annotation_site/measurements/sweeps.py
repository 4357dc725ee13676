"""Sweep of measurements: release the claims of dead workers."""

from annotation_site.corpus.sweeps import GIVEN_BACK
from annotation_site.measurements.models import Measurement
from annotation_site.measurements.services import log_line, measurement_fail
from annotation_site.workers.claims import give_back
from annotation_site.workers.identity import worker_label

State = Measurement.State


def measurements_sweep() -> None:
    """Release measurements of dead workers; safe in many workers at once."""
    running = Measurement.objects.filter(state=State.RUNNING)
    for one in give_back(running, fail=measurement_fail, state=State.QUEUED):
        log_line(one, GIVEN_BACK.format(worker=worker_label(one.worker)))
