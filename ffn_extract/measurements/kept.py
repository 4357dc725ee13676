"""Numbered parts of a long computation, kept on disk until all are there.

A part's arrays depend on its number and on what the folder's name is made of, never on who computes
it. So any process may compute any part, and a killed run goes on where it stood.
"""

import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.atomic_file import atomic_file
from ffn_extract.errors import FFNExtractError, ProcessEnded

Arrays = dict[str, NDArray[Any]]
Told = Callable[[int, int, int], None]
"""Called with parts done, all of them, and those done by an earlier run."""
_POLL_SECONDS = 0.1
_SENTENCE = "refusal.txt"


@dataclass(frozen=True)
class KeptParts:
    """`count` parts in `folder`, called `name`-000000.npz and so on; `compute` makes one."""

    folder: Path
    name: str
    count: int
    compute: Callable[[int], Arrays]

    def run(self, workers: int, told: Told) -> None:
        """Compute the parts that are not there yet, in forked processes where `workers` says so.

        Whatever `told` raises ends the run and keeps finished parts. Raises FFNExtractError with
        the sentence of a part that is refused.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        missing = [number for number in range(self.count) if not self.path(number).exists()]
        before = self.count - len(missing)
        told(before, self.count, before)
        if workers > 1 and len(missing) > 1:
            self._in_processes(missing, min(workers, len(missing)), before, told)
            return
        for done, number in enumerate(missing, start=before + 1):
            self._write(number)
            told(done, self.count, before)

    def read(self, number: int) -> Arrays:
        """All arrays of a part."""
        with np.load(self.path(number), allow_pickle=False) as arrays:
            return dict(arrays)

    def forget(self) -> None:
        """Remove the kept parts."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, number: int) -> Path:
        """The file of a part."""
        return self.folder / f"{self.name}-{number:06}.npz"

    def _write(self, number: int) -> None:
        arrays: Any = self.compute(number)
        with atomic_file(self.path(number), durable=False) as file:
            np.savez(file, allow_pickle=False, **arrays)

    def _in_processes(self, missing: Sequence[int], workers: int, before: int, told: Told) -> None:
        """Split parts among forked processes, which share this one's memory."""
        (self.folder / _SENTENCE).unlink(missing_ok=True)
        context = multiprocessing.get_context("fork")
        children: list[BaseProcess] = [
            context.Process(
                target=self._child, args=(missing[k::workers], os.getpid()), daemon=True
            )
            for k in range(workers)
        ]
        try:
            for child in children:
                child.start()
            while any(child.is_alive() for child in children):
                time.sleep(_POLL_SECONDS)
                done = before + sum(self.path(number).exists() for number in missing)
                told(done, self.count, before)
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
                "A process of the measurement ended before its work was done. Run the same command "
                "again: it goes on where it stood. --workers 1 needs the least memory."
            )
        told(self.count, self.count, before)

    def _child(self, numbers: Sequence[int], parent: int) -> None:
        torch.set_num_threads(1)  # before anything else: the pool of threads was not forked
        try:
            for number in numbers:
                if os.getppid() != parent:
                    os._exit(1)  # the command was killed; the next one goes on
                self._write(number)
        except FFNExtractError as error:
            (self.folder / _SENTENCE).write_text(str(error), encoding="utf-8")
            os._exit(1)
