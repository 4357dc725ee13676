"""Progress of an extraction; light to import, so that a web page can name the steps."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

STEPS: tuple[tuple[str, str], ...] = (
    ("checkpoint", "Find the model's files"),
    ("vocabulary", "Read the vocabulary"),
    ("sources", "Open the corpus and the dictionary"),
    ("vectors", "Sample value vectors"),
    ("random", "Draw the random baseline"),
    ("updates", "Run the model over the corpus"),
    ("projection", "Project every vector onto the vocabulary"),
    ("keys", "Run the model over the corpus for keys"),
    ("glosses", "Look up glosses"),
    ("bundle", "Write the bundle"),
)
"""(key, sentence for people) of every step, in order; a step with nothing to do is skipped."""

MEASUREMENT_STEPS: tuple[tuple[str, str], ...] = (
    ("checkpoint", "Find the model's files"),
    ("examples", "Draw examples from the corpus"),
    ("frequencies", "Count the corpus's tokens"),
    ("clusters", "Cluster the value vectors"),
    ("model", "Load the model"),
    ("reading", "Run the model over the examples"),
    ("control", "Run the model with random weights"),
    ("choosing", "Choose vectors by their lists"),
    ("perplexity", "Measure perplexity on the corpus"),
    ("writing", "Continue the prompts"),
    ("scoring", "Score the continuations"),
    ("exits", "Fit rules of early exit"),
    ("triggers", "Find the trigger prefixes of keys"),
    ("values", "Score value vectors over the vocabulary"),
    ("tables", "Compute tables and intervals"),
)
"""The same of a measurement."""

TRACE_STEPS: tuple[tuple[str, str], ...] = (
    ("checkpoint", "Find the model's files"),
    ("vocabulary", "Read the vocabulary"),
    ("model", "Load the model"),
    ("trace", "Run the model over the prompt"),
    ("tokens", "Find the tokens of vectors"),
    ("continuation", "Continue the prompt"),
)
"""The same of a trace."""


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` units of one step; the unit is the step's own (files, layers, tokens).

    `before` of the done ones were done by an earlier run: no measure of this one's speed.
    """

    step: str
    done: int
    total: int
    before: int = 0


Report = Callable[[Progress], None]
"""Called often enough to animate a page; whatever it raises cancels the extraction."""


def ignore(_: Progress) -> None:
    """Progress callback that does nothing."""


class Steps:
    """Reports progress and measures the time of each step."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, key: str) -> Iterator["_Done"]:
        start = time.monotonic()
        yield _Done(self.report, key)
        self.seconds[key] = round(time.monotonic() - start, 3)


class _Done:
    """Reports one step's progress: done and total."""

    def __init__(self, report: Report, key: str) -> None:
        self._report = report
        self._key = key
        self(0, 1)

    def __call__(self, done: int, total: int, before: int = 0) -> None:
        self._report(Progress(self._key, done, total, before))
