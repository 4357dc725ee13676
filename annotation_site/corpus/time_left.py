"""How much of an extraction is done over all its steps, and how long it and the queue still take.

The weights of the steps and the usual time come from this site's own runs; without any, from those
of a small machine. An estimate is followed at first, and the run's own pace more and more.
"""

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Sum
from django.utils import timezone

from annotation_site.corpus.forecasts import correction
from annotation_site.corpus.models import UNFINISHED, Extraction, ExtractionLayer
from annotation_site.corpus.selectors import LOAD_ONLY, LOAD_STEPS, WITHIN_LAYERS
from annotation_site.workers.selectors import workers_extracting
from ffn_extract.options import ALL, USUAL_KINDS
from ffn_extract.progress import STEPS

State = Extraction.State
RUNS = 20  # the latest, of which the pace is the median
DEFAULT_SECONDS = 120.0  # of a sample, where no run and no estimate says more
# Shares of the time of a sample with every kind, measured on a small machine.
DEFAULT_WEIGHTS = {
    "check": 0.3, "checkpoint": 0.1, "vocabulary": 0.05, "sources": 0.12, "vectors": 0.03,
    "random": 0.01, "updates": 0.3, "projection": 0.22, "keys": 1.0, "glosses": 0.06,
    "bundle": 0.02, "load_tokens": 0.04, "load_vectors": 0.05,
}  # fmt: skip
BEFORE_LAYERS, LAYERS = (
    0.05,
    0.85,
)  # shares of an extraction of every value vector; the rest ends it
ALMOST = 0.95  # of a step that reports nothing, by the clock: only its end is the rest


@dataclass(frozen=True)
class Pace:
    """The pace of earlier runs: each step's share, usual seconds by extent, and the correction."""

    weights: Mapping[str, float] = field(default_factory=lambda: DEFAULT_WEIGHTS)
    usual: Mapping[str, float] = field(default_factory=dict)
    correction: float = 1.0

    def expected(self, extraction: Extraction) -> float:
        """Seconds that the extraction takes from its start to its end."""
        if extraction.expected_seconds:
            return extraction.expected_seconds * self.correction
        return self.usual.get(extent(extraction), DEFAULT_SECONDS)


@dataclass(frozen=True)
class TimeLeft:
    """Where an unfinished extraction stands. `starts_in` is 0 at work, None without a worker."""

    extraction: Extraction
    share: float
    seconds: float
    starts_in: float | None

    @property
    def percent(self) -> int:
        """The share in whole percent; 100 only of what has ended."""
        return min(99, int(100 * self.share))

    @property
    def until_ready(self) -> float | None:
        """Seconds until it is ready; None while no worker would take it."""
        return None if self.starts_in is None else self.starts_in + self.seconds


def extent(extraction: Extraction) -> str:
    """The kind of run: "upload", "all" or "sample"; their times have little in common."""
    if extraction.uploaded or extraction.imported:
        return "upload"
    return "all" if extraction.parameters.get("per_layer") == ALL else "sample"


def pace() -> Pace:
    """Learn the pace from this site's latest runs, in two queries."""
    runs = Extraction.objects.filter(
        state=State.READY,
        started_at__isnull=False,
        finished_at__isnull=False,
        restored__isnull=True,
    ).only("parameters", "environment", "uploaded", "imported", "started_at", "finished_at")
    totals: dict[str, list[float]] = defaultdict(list)
    shares: dict[str, list[float]] = defaultdict(list)
    for run in runs.order_by("-finished_at")[:RUNS]:
        if run.started_at is None or run.finished_at is None:
            continue
        total = (run.finished_at - run.started_at).total_seconds()
        if total <= 0:
            continue
        totals[extent(run)].append(total)
        if extent(run) == "sample":
            for step, share in _shares(run.environment.get("seconds"), total).items():
                shares[step].append(share)
    learned = {step: statistics.median(found) for step, found in shares.items()}
    return Pace(
        weights=DEFAULT_WEIGHTS | learned,
        usual={kind: statistics.median(found) for kind, found in totals.items()},
        correction=correction(),
    )


def _shares(seconds: object, total: float) -> dict[str, float]:
    """Each step's share of a run; what its own steps leave is the loading into the database."""
    if not isinstance(seconds, dict):
        return {}
    known = {
        step: s / total for step, _ in STEPS if isinstance(s := seconds.get(step), int | float)
    }
    loading = max(0.0, 1 - sum(known.values()))
    return known | {"load_tokens": loading * 0.3, "load_vectors": loading * 0.7}


def share_done(extraction: Extraction, pace: Pace, now: datetime) -> float:
    """The share of an unfinished extraction that is done, of one that is no extraction by layer."""
    if extraction.state == State.QUEUED or extraction.started_at is None:
        return 0.0
    steps = _steps(extraction)
    weights = {step: pace.weights.get(step, 0.01) for step in steps}
    whole = sum(weights.values())
    elapsed = max(0.0, (now - extraction.started_at).total_seconds())
    # A process that has yet to load its libraries reports no step: that is the first one's time.
    step = extraction.step if extraction.step in weights else steps[0]
    before = sum(weights[one] for one in steps[: steps.index(step)]) / whole
    own = weights[step] / whole
    within = extraction.step_done / extraction.step_total if extraction.step_total else 0.0
    if step == steps[0] and own:
        within = max(within, min(ALMOST, elapsed / (pace.expected(extraction) * own)))
    return min(0.99, before + own * within)


def _steps(extraction: Extraction) -> list[str]:
    if extent(extraction) == "upload":
        return [key for key, _ in LOAD_ONLY]
    kinds = extraction.parameters.get("kinds", USUAL_KINDS)
    done_for = {
        "random": {"random", "random-key", "random-covariance", "permuted"},
        "updates": {"update"}, "keys": {"key", "random-key"},
    }  # fmt: skip
    left_out = {step for step, some in done_for.items() if not some & set(map(str, kinds))}
    if extraction.parameters.get("per_layer") == ALL:
        left_out |= set(WITHIN_LAYERS)
    return [key for key, _ in (*STEPS, *LOAD_STEPS) if key not in left_out]


def seconds_left(share: float, elapsed: float, expected: float) -> float:
    """Seconds left by the estimate at first, and by the run's own pace as it goes on."""
    by_plan = max(0.0, expected * (1 - share))
    if not share:
        return by_plan
    return (1 - share) * by_plan + share * elapsed * (1 - share) / share


def queue_starts(
    at_work: Sequence[float], waiting: Sequence[float], workers: int
) -> list[float | None]:
    """Seconds until each waiting piece of work starts, in their order; None without a worker.

    `at_work` are the seconds left of what workers do now, `waiting` the seconds that each takes.
    """
    if not workers:
        return [None] * len(waiting)
    free = sorted([*at_work, *[0.0] * (workers - len(at_work))])
    starts: list[float | None] = []
    for seconds in waiting:
        starts.append(free[0])
        free = sorted([free[0] + seconds, *free[1:]])
    return starts


def extractions_left() -> list[TimeLeft]:
    """Every unfinished extraction in its turn, with its share and its time; five queries."""
    found = Extraction.objects.filter(state__in=UNFINISHED).select_related("model")
    rows = list(found.defer("manifest", "plan").order_by("created_at", "pk"))
    if not rows:
        return []
    now, learned = timezone.now(), pace()
    layers = _layers([row for row in rows if row.state == State.LAYERS])
    at_work, waiting = [], []
    for row in rows:
        if row.state == State.QUEUED:
            waiting.append((row, learned.expected(row)))
            continue
        share = layers[row.pk] if row.pk in layers else share_done(row, learned, now)
        elapsed = max(0.0, (now - row.started_at).total_seconds()) if row.started_at else 0.0
        left = seconds_left(share, elapsed, learned.expected(row))
        at_work.append(TimeLeft(row, share, left, 0.0))
    starts = queue_starts(
        [one.seconds for one in at_work],
        [seconds for _, seconds in waiting],
        workers_extracting().count(),
    )
    return at_work + [
        TimeLeft(row, 0.0, seconds, start)
        for (row, seconds), start in zip(waiting, starts, strict=True)
    ]


def _layers(extractions: Sequence[Extraction]) -> dict[int, float]:
    """The share of each extraction by layer that is done."""
    rows = (
        ExtractionLayer.objects.filter(extraction__in=extractions)
        .order_by()
        .values("extraction")
        .annotate(done=Sum("done"), total=Sum("total"))
    )
    return {
        row["extraction"]: BEFORE_LAYERS
        + LAYERS * (row["done"] / row["total"] if row["total"] else 0)
        for row in rows
    }
