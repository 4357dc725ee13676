"""A person's own pace, and the estimated time left. Pure: no database."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

FEWEST_LISTS = 5  # below that, one slow list would decide everything
ROUND_TO = 300  # seconds; an estimate to the minute would promise too much


@dataclass(frozen=True)
class Pace:
    """A person's pace, from the active seconds of their submitted lists.

    `median_seconds` is a typical list, `lists_per_hour` counts active time only. `left_seconds` is
    a range for all that is left: one standard deviation to either side, in steps of five minutes.
    """

    median_seconds: float
    lists_per_hour: float
    left_seconds: tuple[int, int]


def pace_of(active_seconds: Sequence[int], left: int) -> Pace | None:
    """The pace, or None while there are too few lists.

    The time left rests on the mean, because the slow lists of what is left take their time too;
    its spread on how lists differ and on how well so few of them tell the mean.
    """
    count = len(active_seconds)
    if count < FEWEST_LISTS or not any(active_seconds):
        return None
    mean = statistics.fmean(active_seconds)
    spread = statistics.stdev(active_seconds) * math.sqrt(left + left**2 / count)
    low, high = (max(left * mean + side * spread, 0) for side in (-1, 1))
    return Pace(
        median_seconds=statistics.median(active_seconds),
        lists_per_hour=3600 / mean,
        left_seconds=(
            math.floor(low / ROUND_TO) * ROUND_TO,
            math.ceil(high / ROUND_TO) * ROUND_TO,
        ),
    )
