"""One pass of a model over examples, in batches that are kept on disk until all are there.

A batch's arrays depend on the model, the examples and the plan alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffn_extract.measurements.examples import Examples
from ffn_extract.measurements.kept import Arrays, KeptParts, Told
from ffn_extract.measurements.limits import BLOCK_BATCHES
from ffn_extract.measurements.reductions import (
    Active,
    Candidates,
    Pushes,
    Reduction,
    Sizes,
    States,
    Updates,
    drawn_indices,
)
from ffn_extract.tracing.batches import BatchPlan, batch_of
from ffn_extract.tracing.reader import LayerReading, Reader

REDUCTIONS = ("sizes", "candidates", "pushes", "active", "updates", "states")
"""In the order in which they finish; a later one may use an earlier one's arrays."""


@dataclass(frozen=True)
class Pass:
    """A model, its examples, and the reductions to make of its readings.

    `wanted` are names of `REDUCTIONS`; `folder` is where finished batches are kept.
    """

    reader: Reader
    examples: Examples
    plan: BatchPlan
    seed: int
    wanted: Sequence[str]
    folder: Path
    limit: int | None = None

    @cached_property
    def batches(self) -> list[list[int]]:
        """The numbers of the examples in each batch."""
        return self.plan.batches([len(example.ids) for example in self.examples.drawn])

    def run(self, workers: int, told: Told) -> Arrays:
        """Run the batches that are not there yet; all arrays, in the order of the examples.

        Whatever `told` raises ends the run and keeps finished batches. Raises FFNExtractError for
        a model that gives no finite numbers.
        """
        one_process = self.reader.device.type != "cpu"
        self.kept.run(1 if one_process else workers, told)
        return self._joined_of(lambda name: not name.startswith(States.PREFIXES))

    @cached_property
    def kept(self) -> KeptParts:
        """The finished batches."""
        batches = self.batches
        return KeptParts(
            self.folder, "batch", len(batches), lambda number: self.compute(batches[number])
        )

    def state(self, name: str) -> NDArray[Any]:
        """An array of `States`, which stays on disk until it is asked for, shape (n, d_model)."""
        return self._joined_of(lambda one: one == name)[name]

    def compute(self, numbers: Sequence[int]) -> Arrays:
        """Arrays of some examples, read as one batch."""
        drawn = [self.examples.drawn[number] for number in numbers]
        batch = batch_of(
            [example.ids for example in drawn],
            [example.position for example in drawn],
            self.plan,
            limit=self.limit,
        )
        fill = [numbers[-1]] * (self.plan.rows - len(numbers))
        sizes = [len(values) for values in self.reader.values]
        draws = np.stack([drawn_indices(self.seed, number, sizes) for number in (*numbers, *fill)])
        block = self.plan.rows * BLOCK_BATCHES
        made: Mapping[str, Callable[[], Reduction]] = {
            "sizes": lambda: Sizes(self.reader, draws),
            "candidates": lambda: Candidates(self.reader, block),
            "pushes": lambda: Pushes(self.reader, draws),
            "active": lambda: Active(self.reader, block),
            "updates": lambda: Updates(self.reader, block),
            "states": States,
        }
        reductions = [made[name]() for name in REDUCTIONS if name in self.wanted]

        def visit(reading: LayerReading) -> None:
            for reduction in reductions:
                reduction.layer(reading)

        self.reader.run(batch, visit)
        found: Arrays = {}
        for reduction in reductions:
            found |= reduction.finish(found)
        return {name: array[: len(numbers)] for name, array in found.items()}

    def _joined_of(self, wanted: Callable[[str], bool]) -> Arrays:
        """Arrays in the order of the examples."""
        joined: Arrays = {}
        for number, examples in enumerate(self.batches):
            with np.load(self.kept.path(number), allow_pickle=False) as arrays:
                for name in filter(wanted, arrays.files):
                    array: NDArray[Any] = arrays[name]
                    if name not in joined:
                        shape = (len(self.examples.drawn), *array.shape[1:])
                        joined[name] = np.empty(shape, dtype=array.dtype)
                    joined[name][list(examples)] = array
        return joined
