"""One pass of a model over examples, in batches that are kept on disk until all are there.

A batch's arrays depend on the model, the examples and the plan alone. So any process may compute
any batch, a killed run goes on where it stood, and the joined arrays are the same bytes.
"""

import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.atomic_file import atomic_file
from ffn_extract.errors import FFNExtractError, ProcessEnded
from ffn_extract.measurements.examples import Examples
from ffn_extract.measurements.limits import BLOCK_BATCHES
from ffn_extract.measurements.reductions import (
    Arrays,
    Candidates,
    Pushes,
    Reduction,
    Sizes,
    drawn_indices,
)
from ffn_extract.tracing.batches import BatchPlan, batch_of
from ffn_extract.tracing.reader import LayerReading, Reader

Told = Callable[[int, int, int], None]
"""Called with batches done, all of them, and those done by an earlier run."""
REDUCTIONS = ("sizes", "candidates", "pushes")
"""In the order in which they finish; a later one may use an earlier one's arrays."""
_POLL_SECONDS = 0.1
_SENTENCE = "refusal.txt"


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

    @property
    def batches(self) -> list[list[int]]:
        """The numbers of the examples in each batch."""
        return self.plan.batches([len(example.ids) for example in self.examples.drawn])

    def run(self, workers: int, told: Told) -> Arrays:
        """Run the batches that are not there yet; all arrays, in the order of the examples.

        Whatever `told` raises ends the run and keeps finished batches. Raises FFNExtractError for
        a model that gives no finite numbers.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        batches = self.batches
        missing = [number for number in range(len(batches)) if not self._path(number).exists()]
        before = len(batches) - len(missing)
        told(before, len(batches), before)
        if workers > 1 and len(missing) > 1 and self.reader.device.type == "cpu":
            self._in_processes(missing, batches, min(workers, len(missing)), before, told)
        else:
            for done, number in enumerate(missing, start=before + 1):
                self._write(number, batches[number])
                told(done, len(batches), before)
        return self._joined(batches)

    def forget(self) -> None:
        """Remove the kept batches."""
        shutil.rmtree(self.folder, ignore_errors=True)

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
        made: Mapping[str, Callable[[], Reduction]] = {
            "sizes": lambda: Sizes(self.reader, draws),
            "candidates": lambda: Candidates(self.reader, self.plan.rows * BLOCK_BATCHES),
            "pushes": lambda: Pushes(self.reader, draws),
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

    def _write(self, number: int, examples: Sequence[int]) -> None:
        arrays = self.compute(examples)
        with atomic_file(self._path(number), durable=False) as file:
            np.savez(file, allow_pickle=False, **arrays)

    def _in_processes(
        self,
        missing: Sequence[int],
        batches: Sequence[Sequence[int]],
        workers: int,
        before: int,
        told: Told,
    ) -> None:
        """Split batches among forked processes, which share the model's memory."""
        (self.folder / _SENTENCE).unlink(missing_ok=True)
        context = multiprocessing.get_context("fork")
        children: list[BaseProcess] = [
            context.Process(
                target=self._child, args=(missing[k::workers], batches, os.getpid()), daemon=True
            )
            for k in range(workers)
        ]
        try:
            for child in children:
                child.start()
            while any(child.is_alive() for child in children):
                time.sleep(_POLL_SECONDS)
                done = before + sum(self._path(number).exists() for number in missing)
                told(done, len(batches), before)
                if any(child.exitcode for child in children):
                    break
        finally:
            for child in children:
                if child.is_alive() and any(other.exitcode for other in children):
                    child.terminate()
        for child in children:
            child.join()
        if any(child.exitcode for child in children):
            said = self.folder / _SENTENCE
            if said.exists():
                raise FFNExtractError(said.read_text(encoding="utf-8"))
            raise ProcessEnded(
                "A process that ran the model ended before its work was done. Run the same command "
                "again: it goes on where it stood. --workers 1 needs the least memory."
            )
        told(len(batches), len(batches), before)

    def _child(self, numbers: Sequence[int], batches: Sequence[Sequence[int]], parent: int) -> None:
        torch.set_num_threads(1)  # before anything else: the pool of threads was not forked
        try:
            for number in numbers:
                if os.getppid() != parent:
                    os._exit(1)  # the command was killed; the next one goes on
                self._write(number, batches[number])
        except FFNExtractError as error:
            (self.folder / _SENTENCE).write_text(str(error), encoding="utf-8")
            os._exit(1)

    def _path(self, number: int) -> Path:
        return self.folder / f"batch-{number:06}.npz"

    def _joined(self, batches: Sequence[Sequence[int]]) -> Arrays:
        joined: Arrays = {}
        for number, examples in enumerate(batches):
            with np.load(self._path(number), allow_pickle=False) as arrays:
                for name in arrays.files:
                    array: NDArray[Any] = arrays[name]
                    if name not in joined:
                        shape = (len(self.examples.drawn), *array.shape[1:])
                        joined[name] = np.empty(shape, dtype=array.dtype)
                    joined[name][list(examples)] = array
        return joined
