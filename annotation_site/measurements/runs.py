"""A measurement in a worker: run in a process apart, then kept in the database.

The process opens strangers' files, and keeps the last model that it loaded. So a worker that has
done one measurement goes on with the next of the same model, where that is next in the queue's
turn; when there is none, the process ends and the memory is free.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from django.utils.translation import gettext_noop

from annotation_site.corpus.corpora import corpus_location
from annotation_site.corpus.extraction_runs import packages_needed
from annotation_site.corpus.locations import model_location
from annotation_site.errors import SiteError
from annotation_site.measurements import services
from annotation_site.measurements.files import work_folder, work_remove
from annotation_site.measurements.models import Measurement
from annotation_site.sentences import Sentence
from annotation_site.workers.claims import ProgressReporter, working
from ffn_extract.apart import MeasuringApart
from ffn_extract.measurements import RUN_NO_MODEL
from ffn_extract.progress import Progress, Report
from ffn_extract.target_lock import held

State = Measurement.State
OUT = "result"
WAIT_SECONDS = 60.0
IN_USE = gettext_noop(
    "Another worker, which lost this measurement, does not let go of its folder. Stop the worker, "
    "then try again."
)


def measurement_work(*, measurement_id: int) -> None:
    """Do a waiting measurement, and then those of the same model whose turn it is."""
    found = Measurement.objects.filter(pk=measurement_id).first()
    if found is None:
        return
    if found.state == State.DELETING:
        services.measurement_delete(measurement=found)
        return
    claimed = services.measurement_claim(measurement_id=measurement_id)
    with _Opened() as opened:
        while claimed is not None:
            run(measurement=claimed, opened=opened)
            claimed = services.measurement_claim_next(after=claimed)


class _Opened:
    """The process that measures, started when it is first needed and again after an error."""

    def __init__(self) -> None:
        self._process: MeasuringApart | None = None

    def __enter__(self) -> "_Opened":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def process(self) -> MeasuringApart:
        if self._process is None:
            self._process = MeasuringApart()
        return self._process

    def close(self) -> None:
        if self._process is not None:
            self._process.close()
        self._process = None


def run(*, measurement: Measurement, opened: _Opened) -> None:
    """Run a claimed measurement and keep its files; the row stores the outcome."""
    is_done = False
    try:
        with working(measurement, fail=services.measurement_fail), _alone(measurement) as folder:
            out = folder / OUT
            shutil.rmtree(out, ignore_errors=True)  # of a worker that died before it was kept
            with packages_needed():
                about = opened.process.measure(*_arguments(measurement, out))
            if not about.get("loaded") and measurement.name not in RUN_NO_MODEL:
                services.log_line(measurement, "The model was in memory already.")
            services.measurement_keep(measurement=measurement, folder=out, about=about)
            is_done = True
    finally:
        if not is_done:  # what it was doing may go on in processes of its own
            opened.close()
    if is_done:
        work_remove(measurement)


def _arguments(measurement: Measurement, out: Path) -> tuple[Any, ...]:
    values = dict(measurement.parameters)
    if measurement.name not in RUN_NO_MODEL:
        values["corpus"] = corpus_location(measurement.corpus_source)
    source = model_location(measurement.model_source)
    return measurement.name, source, out, values, measurement.reading, _reporter(measurement)


def _reporter(measurement: Measurement) -> Report:
    write = ProgressReporter(
        lambda step, done, total: services.measurement_report(
            measurement=measurement, step=step, step_done=done, step_total=total
        )
    )

    def tell(progress: Progress) -> None:
        write(progress.step, progress.done, progress.total)

    return tell


@contextmanager
def _alone(measurement: Measurement) -> Iterator[Path]:
    """The measurement's folder, for this process alone.

    A worker that lost its claim stops at its next report, within seconds; until then this waits.
    """
    folder = work_folder(measurement)
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(held(folder / ".work.lock"))
                break
            except BlockingIOError as error:
                if time.monotonic() - began > WAIT_SECONDS:
                    raise SiteError(Sentence(IN_USE)) from error
                services.measurement_report(measurement=measurement)
                time.sleep(1)
        yield folder
