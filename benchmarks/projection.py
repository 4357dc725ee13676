"""Time and memory of the exact projection, beside what torch does without proof.

Run ``python -m benchmarks.projection [--vectors N] [--rounds N]`` in the repository's root. Each
round runs both once, one after the other; the ratio is that of the medians over rounds. Weights are
random, of the shapes of GPT-2 small, of a small BERT and of one large layer.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.machine import describe
from ffn_extract.projection import Projector
from ffn_extract.working_rows import HeldRows

TOP_K = 30
ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class Shape:
    """A model's width and vocabulary; `share` of --vectors keeps wide shapes short."""

    d: int
    vocabulary: int
    share: float = 1.0


GPT2 = Shape(768, 50_257)
BERT = Shape(384, 30_522)
LARGE = Shape(4096, 128_256, share=0.25)


def make(shape: Shape, vectors: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Embedding and value vectors, float32, normal."""
    random = torch.Generator().manual_seed(seed)
    embedding = torch.randn(shape.vocabulary, shape.d, generator=random)
    return embedding, torch.randn(vectors, shape.d, generator=random)


def ours(embedding: torch.Tensor, vectors: torch.Tensor, both: bool) -> Callable[[], object]:
    allowed = np.ones(len(embedding), dtype=np.bool_)
    rows = HeldRows(embedding)
    projector = Projector(rows, allowed, TOP_K, both_sides=both, keep=True)
    values = vectors.to(torch.float64).numpy()
    projector.project(values[:64])  # as between the layers of a long run: the embedding is there
    return lambda: projector.project(values)


def torch_top(embedding: torch.Tensor, vectors: torch.Tensor, both: bool) -> Callable[[], object]:
    """float32 product and torch.topk in blocks of vectors: neither proof nor fixed order."""

    def run() -> None:
        for part in vectors.split(ROWS_AT_ONCE):
            scores = part @ embedding.T
            scores.topk(TOP_K)
            if both:
                scores.topk(TOP_K, largest=False)

    return run


def torch_argsort(embedding: torch.Tensor, vectors: torch.Tensor) -> Callable[[], object]:
    """All logits and a full argsort per row, which gives both sides."""

    def run() -> None:
        for part in vectors.split(ROWS_AT_ONCE):
            (part @ embedding.T).argsort(dim=1, descending=True)

    return run


def ratio(
    one: Callable[[], object], other: Callable[[], object], rounds: int
) -> tuple[float, float, float]:
    """Median seconds of both, measured in turn, and their ratio; one untimed round first."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        for function, measured in zip((one, other), times, strict=True):
            start = time.perf_counter()
            function()
            if number:
                measured.append(time.perf_counter() - start)
    first, second = map(statistics.median, times)
    return first, second, first / second


def peak_bytes(shape: Shape, vectors: int) -> int:
    """Peak memory of a process that projects, less that of one that only imports."""
    code = (
        "import resource, sys; from benchmarks.projection import *;"
        "unit = 1 if sys.platform == 'darwin' else 1024;"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit;"
        "before = peak();"
        f"ours(*make(Shape({shape.d}, {shape.vocabulary}), {vectors}), True)();"
        "print(peak() - before)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(ended.stdout)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--vectors", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(describe())
    print(f"{'d × vocabulary':>16}  {'against':<22}{'ours':>8}{'theirs':>9}{'ratio':>7}")
    for shape in (GPT2, BERT, LARGE):
        embedding, vectors = make(shape, max(1, int(options.vectors * shape.share)))
        name = f"{shape.d} × {shape.vocabulary}"
        for both, sides in ((False, "top"), (True, "top and bottom")):
            found = ratio(
                ours(embedding, vectors, both), torch_top(embedding, vectors, both), options.rounds
            )
            print(f"{name:>16}  {'topk, ' + sides:<22}", _numbers(found), flush=True)
        if shape is GPT2:
            few = vectors[: max(1, options.vectors // 2)]
            found = ratio(
                ours(embedding, few, True),
                torch_argsort(embedding, few),
                max(1, options.rounds // 2),
            )
            print(f"{name:>16}  {'full argsort':<22}", _numbers(found), flush=True)
    for shape in (GPT2, LARGE):
        stored = shape.d * shape.vocabulary * 4
        peak = peak_bytes(shape, options.vectors)
        print(f"{shape.d} × {shape.vocabulary}: peak {peak >> 20} MB, embedding {stored >> 20} MB")


def _numbers(found: tuple[float, float, float]) -> str:
    return f"{found[0]:6.2f} s{found[1]:7.2f} s{found[2]:7.2f}"


if __name__ == "__main__":
    main()
