"""The pass over a corpus: batches in blocks, blocks in processes, and running lists.

Sentences are taken in blocks of consecutive numbers; within a block, batches are planned as ever.
A process writes what it finds of a block to a file, and one process takes up the files in their
order. It tells the others the lists' last coefficients, below which nothing matters; a block waits
until as many sentences as it has are taken up, so no file is long. What is told late only makes
files longer: the lists are the same for any number of processes, and after any interruption.
"""

import mmap
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.atomic_file import atomic_file
from ffn_extract.errors import FFNExtractError, OptionError, ProcessEnded
from ffn_extract.free_memory import free_bytes
from ffn_extract.keys.random_keys import RandomKeys
from ffn_extract.keys.segments import Segments, best_of_sentences
from ffn_extract.keys.sentences import Sentences, prefix_numbers
from ffn_extract.keys.top import ENTRY, FOUND, TopPrefixes
from ffn_extract.tracing.batches import BatchPlan, batch_of
from ffn_extract.tracing.ffn_modules import FFNModules
from ffn_extract.tracing.reader import Reader

Told = Callable[[int, int, int], None]
"""Called with the sentences done, all sentences, and the ones done by an earlier run."""
FIRST_BLOCK, BLOCK = 64, 512
"""Sentences of the first block and of most: each of the first few is as large as all before it."""
BLOCKS_KEPT = 8
"""Blocks whose files stay until the lists are stored with them in."""
_POLL_SECONDS = 0.05
_SENTENCE, _LISTS = "refusal.txt", "lists.npz"
_FLOAT = 4
_LIBRARIES = 600e6  # Python with torch and transformers
_STATES = 12  # of d_model per token, in work at a time in a layer
_INNER = 6  # of d_ff per token
_ATTENTION = 3  # of heads · length² per row


@dataclass(frozen=True)
class LayerKeys:
    """The keys of a layer that get lists: rows of its key matrix, ascending, and random ones."""

    indices: NDArray[np.int64]
    random: RandomKeys | None = None
    n_random: int = 0

    def __len__(self) -> int:
        return len(self.indices) + self.n_random


def blocks_of(sentences: int) -> list[range]:
    """The numbers of the sentences in each block.

    Examples
    --------
    >>> [len(block) for block in blocks_of(1_300)]
    [64, 64, 128, 256, 512, 276]
    """
    blocks, start = [], 0
    while start < sentences:
        size = min(max(start, FIRST_BLOCK), BLOCK)
        blocks.append(range(start, min(start + size, sentences)))
        start += size
    return blocks


def needed_bytes(
    weights: int, sizes: Sequence[int], sides: int, length: int, rows: int, longest: int,
    d_model: int, d_ff: int, heads: int, workers: int,
) -> int:  # fmt: skip
    """An estimate: weights in float32, running lists, and of each worker a batch and a block.

    `weights` counts parameters, `sizes` the keys of each layer.
    """
    keys = sum(sizes)
    lists = keys * sides * (length * ENTRY.itemsize + _FLOAT)
    batch = rows * longest * (_STATES * d_model + _INNER * d_ff)
    batch += _ATTENTION * rows * heads * longest**2
    block = keys * sides * FIRST_BLOCK * FOUND.itemsize
    return int(_LIBRARIES + _FLOAT * weights + lists + workers * (_FLOAT * batch + block))


def require_memory(name: str, needed: int) -> None:
    """Refuse a pass that does not fit into free memory. Raises OptionError."""
    free = free_bytes()
    if free is not None and needed > free:
        raise OptionError(
            f"The lists of keys of {name} need about {needed / 1e9:.1f} GB of memory, and "
            f"{free / 1e9:.1f} GB are free. Give --workers 1, fewer keys (--keys-of sample), or "
            "use a larger machine."
        )


class KeyPass:
    """Lists of trigger prefixes of the keys of each layer, as they grow.

    Parameters
    ----------
    keys
        Of each layer.
    signed
        Whether coefficients can be negative, so that there is a second side.
    length
        Entries of a list.
    folder
        Where finished blocks are kept.
    """

    def __init__(
        self,
        reader: Reader,
        sentences: Sentences,
        keys: Sequence[LayerKeys],
        plan: BatchPlan,
        folder: Path,
        *,
        signed: bool,
        length: int,
        limit: int | None = None,
    ) -> None:
        self.reader, self._sentences, self._keys = reader, sentences, keys
        self._plan, self._folder, self._limit = plan, folder, limit
        self._sides = (1.0, -1.0) if signed else (1.0,)
        self._blocks = blocks_of(len(sentences))
        self.lists = [[TopPrefixes(len(one), length) for one in keys] for _ in self._sides]
        """Of each side and layer."""
        self._merged = 0
        self._starts = np.cumsum([0, *map(len, keys)])
        n_keys = int(self._starts[-1])
        # Shared with the processes: sentences taken up, and the thresholds of each side.
        size = 8 + 4 * len(self._sides) * n_keys
        self._shared = mmap.mmap(-1, size)
        self._taken_up = np.frombuffer(self._shared, np.int64, 1)
        self._thresholds = np.frombuffer(self._shared, np.float32, offset=8).reshape(
            len(self._sides), n_keys
        )

    def run(self, workers: int, told: Told) -> None:
        """Run what was not run before, and bring `lists` to their end.

        Whatever `told` raises ends the run and keeps finished blocks. Raises FFNExtractError for a
        model that gives no finite numbers.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._take_up_earlier_run()
        total = len(self._sentences)
        before = self._n_taken_up
        told(before, total, before)
        missing = [n for n in range(self._merged, len(self._blocks)) if not self._path(n).exists()]
        if workers > 1 and len(missing) > 1 and self.reader.device.type == "cpu":
            self._in_processes(
                missing, min(workers, len(missing)), lambda n: told(n, total, before)
            )
            return
        while self._merged < len(self._blocks):
            if not self._path(self._merged).exists():
                self._write(self._merged, lambda n: told(self._n_taken_up + n, total, before))
            self._merge_next()
            told(self._n_taken_up, total, before)

    def let_go(self) -> None:
        """Release the model's memory; the lists stay."""
        del self.reader, self._keys

    def forget(self) -> None:
        """Remove what is kept for a run that is taken up again."""
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _n_taken_up(self) -> int:
        return self._blocks[self._merged - 1].stop if self._merged else 0

    # One block

    def _write(self, number: int, report: Callable[[int], None] = lambda done: None) -> None:
        arrays = self._found(self._blocks[number], report)
        with atomic_file(self._path(number), durable=False) as file:
            np.savez(file, allow_pickle=False, **arrays)

    def _found(self, block: range, report: Callable[[int], None]) -> dict[str, NDArray[Any]]:
        """The coefficients of a block that matter, by side and layer, and its prefixes' numbers."""
        first = self._sentences.counted.first
        lengths = self._sentences.lengths
        read = [number for number in block if lengths[number] > first]
        found: dict[tuple[int, int], list[NDArray[np.void]]] = {}
        done = 0
        for numbers in self._plan.batches([int(lengths[number]) for number in read]):
            batch = [read[number] for number in numbers]
            for place, rows in self._found_of_batch(batch, first):
                found.setdefault(place, []).append(rows)
            done += len(batch)
            report(done)
        arrays: dict[str, NDArray[Any]] = {
            f"{side}-{layer}": np.concatenate(rows) for (side, layer), rows in found.items()
        }
        prefixes = [prefix_numbers(self._sentences.ids(number)) for number in block]
        arrays["starts"] = np.cumsum([0, *map(len, prefixes)])
        arrays["prefixes"] = np.concatenate(prefixes)
        return arrays

    def _found_of_batch(
        self, batch: Sequence[int], first: int
    ) -> list[tuple[tuple[int, int], NDArray[np.void]]]:
        ids = [self._sentences.ids(number) for number in batch]
        model_input = batch_of(ids, [len(one) - 1 for one in ids], self._plan, limit=self._limit)
        width = model_input.ids.shape[1]
        lengths = np.array([len(one) for one in ids])
        tokens = np.concatenate(
            [row * width + np.arange(first, n) for row, n in enumerate(lengths.tolist())]
        )
        segments = Segments(np.array(batch), np.cumsum([0, *(lengths - first)]), first)
        on_device = torch.from_numpy(tokens).to(self.reader.device)
        results: list[tuple[tuple[int, int], NDArray[np.void]]] = []

        def visit(layer: int, ffn: FFNModules) -> None:
            own = self._thresholds[:, self._starts[layer] : self._starts[layer + 1]]
            results.extend(self._found_of_layer(layer, ffn, on_device, segments, own))

        self.reader.run_ffns(model_input, visit)
        return results

    def _found_of_layer(
        self,
        layer: int,
        ffn: FFNModules,
        tokens: torch.Tensor,
        segments: Segments,
        thresholds: NDArray[np.float32],
    ) -> Iterator[tuple[tuple[int, int], NDArray[np.void]]]:
        keys = self._keys[layer]
        n = len(keys.indices)
        if n:
            every = ffn.coefficients(tokens)
            m = every if n == every.shape[1] else every[:, torch.from_numpy(keys.indices)]

            def up_of(places: NDArray[np.int64], own: NDArray[np.int64]) -> torch.Tensor | None:
                indices = torch.from_numpy(keys.indices[own]).to(tokens.device)
                return ffn.up_is_positive(tokens, torch.from_numpy(places), indices)

            yield from self._matters(layer, m, segments, thresholds[:, :n], 0, up_of)
        if keys.random is not None:
            m, up = keys.random(tokens)

            def random_up(places: NDArray[np.int64], own: NDArray[np.int64]) -> torch.Tensor | None:
                return None if up is None else up[torch.from_numpy(places), torch.from_numpy(own)]

            yield from self._matters(layer, m, segments, thresholds[:, n:], n, random_up)

    def _matters(
        self,
        layer: int,
        coefficients: torch.Tensor,
        segments: Segments,
        thresholds: NDArray[np.float32],
        offset: int,
        up_of: Callable[[NDArray[np.int64], NDArray[np.int64]], torch.Tensor | None],
    ) -> Iterator[tuple[tuple[int, int], NDArray[np.void]]]:
        m = coefficients.to("cpu", torch.float32).numpy()
        for side, sign in enumerate(self._sides):
            signed = m if sign > 0 else np.negative(m)
            rows, places = best_of_sentences(layer, signed, segments, thresholds[side])
            if not len(rows):
                continue
            up = up_of(places, rows["key"].astype(np.int64))
            if up is not None:
                rows["up"] = up.to("cpu").numpy()
            rows["key"] += np.uint32(offset)
            yield (side, layer), rows

    # The lists

    def _merge_next(self) -> None:
        """Take up the next block's file."""
        block = self._blocks[self._merged]
        with np.load(self._path(self._merged), allow_pickle=False) as arrays:
            starts, numbers = arrays["starts"], arrays["prefixes"]
            for side in range(len(self._sides)):
                for layer, lists in enumerate(self.lists[side]):
                    if f"{side}-{layer}" not in arrays:
                        continue
                    found = arrays[f"{side}-{layer}"]
                    places = starts[found["sentence"] - block.start] + found["position"]
                    lists.add(found, numbers[places])
                    own = slice(self._starts[layer], self._starts[layer + 1])
                    self._thresholds[side, own] = lists.thresholds()
        self._merged += 1
        self._taken_up[0] = self._n_taken_up
        if self._merged % BLOCKS_KEPT == 0 or self._merged == len(self._blocks):
            self._store()

    def _store(self) -> None:
        """Store the lists, and remove the files of the blocks in them."""
        arrays = {
            f"{side}-{layer}": lists.entries
            for side, layers in enumerate(self.lists)
            for layer, lists in enumerate(layers)
        }
        with atomic_file(self._folder / _LISTS, durable=False) as file:
            np.savez(file, allow_pickle=False, merged=np.array(self._merged), **arrays)
        for number in range(self._merged):
            self._path(number).unlink(missing_ok=True)

    def _take_up_earlier_run(self) -> None:
        """Read stored lists, and take up the files of blocks that follow."""
        if (self._folder / _LISTS).exists():
            with np.load(self._folder / _LISTS, allow_pickle=False) as arrays:
                self._merged = int(arrays["merged"])
                for side, layers in enumerate(self.lists):
                    for layer, lists in enumerate(layers):
                        lists.entries[:] = arrays[f"{side}-{layer}"]
                        own = slice(self._starts[layer], self._starts[layer + 1])
                        self._thresholds[side, own] = lists.thresholds()
            self._taken_up[0] = self._n_taken_up
        while self._merged < len(self._blocks) and self._path(self._merged).exists():
            self._merge_next()

    # Processes

    def _in_processes(
        self, missing: Sequence[int], workers: int, told: Callable[[int], None]
    ) -> None:
        """Split blocks among forked processes, which share the model's memory."""
        (self._folder / _SENTENCE).unlink(missing_ok=True)
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
            while self._merged < len(self._blocks):
                if self._path(self._merged).exists():
                    self._merge_next()
                elif any(child.exitcode for child in children):
                    break
                else:
                    time.sleep(_POLL_SECONDS)
                told(self._n_taken_up)
        finally:
            for child in children:
                if child.is_alive() and self._merged < len(self._blocks):
                    child.terminate()
        for child in children:
            child.join()
        if self._merged < len(self._blocks):
            said = self._folder / _SENTENCE
            if said.exists():
                raise FFNExtractError(said.read_text(encoding="utf-8"))
            raise ProcessEnded(
                "A process that ran the model ended before its work was done. Run the same command "
                "again: it goes on where it stood. --workers 1 needs the least memory."
            )

    def _child(self, numbers: Sequence[int], parent: int) -> None:
        torch.set_num_threads(1)  # before anything else: the pool of threads was not forked
        try:
            for number in numbers:
                block = self._blocks[number]
                while self._taken_up[0] < min(block.start, len(block)):
                    _end_without(parent)
                    time.sleep(_POLL_SECONDS)
                self._write(number, lambda _: _end_without(parent))
        except FFNExtractError as error:
            (self._folder / _SENTENCE).write_text(str(error), encoding="utf-8")
            os._exit(1)

    def _path(self, number: int) -> Path:
        return self._folder / f"block-{number:06}.npz"


def _end_without(parent: int) -> None:
    """End this process if the command was killed; the next one goes on."""
    if os.getppid() != parent:
        os._exit(1)
