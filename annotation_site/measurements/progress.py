"""How far a measurement is: its share, its rate, and the time left."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from annotation_site.corpus.selectors import StepState
from annotation_site.corpus.time_left import seconds_left
from annotation_site.measurements.models import Measurement, MeasurementLine
from ffn_extract.progress import MEASUREMENT_STEPS

WEIGHTS = {
    "reading": 0.8, "control": 0.8, "projection": 0.8, "writing": 0.8, "perplexity": 0.2,
    "tables": 0.1,
}  # fmt: skip
"""Of the steps that take long; the others take `_SHORT`."""
_SHORT = 0.03
_READING = {key: title for key, title in MEASUREMENT_STEPS if key in ("reading", "control")}
_LEAST_SECONDS = 2.0  # of a step, before its rate says anything


@dataclass(frozen=True)
class Left:
    """A measurement's share that is done, and its time left.

    `rate` is in examples per second, of the step that runs the model; None while it is unknown.
    """

    share: float
    seconds: float
    rate: float | None

    @property
    def percent(self) -> int:
        """The share in whole percent; 100 is for a ready one."""
        return min(99, int(100 * self.share))


def left_of(
    measurement: Measurement, steps: Sequence[StepState], log: Sequence[MeasurementLine]
) -> Left | None:
    """How far an unfinished measurement is; None for any other.

    `log` are its latest lines, newest first: they say when the step began.
    """
    if not measurement.is_unfinished:
        return None
    expected = measurement.expected_seconds or 60.0
    share = share_done(steps)
    if measurement.started_at is None or measurement.state == Measurement.State.QUEUED:
        return Left(0.0, expected, None)
    elapsed = max(0.0, (timezone.now() - measurement.started_at).total_seconds())
    return Left(share, seconds_left(share, elapsed, expected), _rate(measurement, log))


def share_done(steps: Sequence[StepState]) -> float:
    """The share of a run that is done, by the weights of its steps."""
    weights = [WEIGHTS.get(step.key, _SHORT) for step in steps]
    done = 0.0
    for step, weight in zip(steps, weights, strict=True):
        if step.state == "done":
            done += weight
        elif step.state == "running" and step.total:
            done += weight * step.done / step.total
    return done / sum(weights) if weights else 0.0


def _rate(measurement: Measurement, log: Sequence[MeasurementLine]) -> float | None:
    """Examples per second of the running step, where this is the measurement's first run.

    Of a later one, an unknown part was done before.
    """
    title = _READING.get(measurement.step)
    rows = measurement.parameters.get("batch_rows")
    if title is None or not rows or sum("Taken by" in line.text for line in log) != 1:
        return None
    began = next((line.at for line in log if line.text == f"Step: {title}."), None)
    seconds = _between(began, measurement.heartbeat_at)
    if seconds < _LEAST_SECONDS or not measurement.step_done:
        return None
    return float(measurement.step_done * rows / seconds)


def _between(began: datetime | None, until: datetime | None) -> float:
    return (until - began).total_seconds() if began and until else 0.0
