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
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.figures import Figure
from benchmarks.machine import describe
from ffn_extract.projection.arithmetic import arithmetics_for
from ffn_extract.projection.projector import Projector
from ffn_extract.projection.working_rows import HeldRows

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


def make(
    shape: Shape, vectors: int, dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, torch.Tensor]:
    """Embedding and value vectors, normal, without more memory than they need."""
    random = torch.Generator().manual_seed(0)
    embedding = torch.empty(shape.vocabulary, shape.d, dtype=dtype)
    for rows in embedding.split(4096):
        rows.copy_(torch.randn(rows.shape, generator=random))
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


def layer_argsort(embedding: torch.Tensor, vectors: torch.Tensor) -> Callable[[], object]:
    """All logits of a layer by torch, then numpy's full argsort row by row: LM-Debugger's way."""

    def run() -> None:
        for row in torch.matmul(embedding, vectors.T).T.numpy():
            np.argsort(-row)

    return run


def row_argsort(embedding: torch.Tensor, vectors: torch.Tensor) -> Callable[[], object]:
    """All logits and a full argsort, vector by vector."""

    def run() -> None:
        for vector in vectors:
            (embedding @ vector).argsort(descending=True)

    return run


def product(embedding: torch.Tensor, vectors: torch.Tensor) -> Callable[[], object]:
    """The float32 product alone: what no search in float32 can be faster than."""

    def run() -> None:
        for part in vectors.split(ROWS_AT_ONCE):
            part @ embedding.T

    return run


def torch_argsort(embedding: torch.Tensor, vectors: torch.Tensor) -> Callable[[], object]:
    """All logits and torch's argsort of blocks of rows, on all its threads."""

    def run() -> None:
        for part in vectors.split(ROWS_AT_ONCE):
            (part @ embedding.T).argsort(dim=1, descending=True)

    return run


FULL_ARGSORTS = {
    "product alone": product,
    "argsort, numpy by row": layer_argsort,
    "argsort, torch": torch_argsort,
    "row by row": row_argsort,
}


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


def peak(shape: Shape, vectors: int, dtype: torch.dtype = torch.bfloat16) -> int:
    """Peak bytes of a process that projects, above those after its imports.

    The embedding is there as stored, and in the precision in which it is multiplied.
    """
    code = (
        "from benchmarks.machine import peak_bytes\n"
        "from benchmarks.projection import *\n"
        f"made = make(Shape({shape.d}, {shape.vocabulary}), {vectors}, {dtype})\n"
        "ours(*made, True)()\n"
        "print(peak_bytes())"
    )
    before = code.split("made =")[0] + "print(peak_bytes())"
    return int(_python(code)) - int(_python(before))


def _python(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


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
            mine = ours(embedding, few, False)
            for what, other in FULL_ARGSORTS.items():
                found = ratio(mine, other(embedding, few), max(1, options.rounds // 2))
                print(f"{name:>16}  {what:<22}", _numbers(found), flush=True)
    for shape in (GPT2, LARGE):
        size = shape.d * shape.vocabulary
        # In bfloat16 as stored; the working copy is in it too where the machine multiplies it.
        working = size * arithmetics_for(torch.device("cpu"))[0].dtype.itemsize
        above = peak(shape, options.vectors) - size * 2 - working
        print(
            f"{shape.d} × {shape.vocabulary}: peak {above >> 20} MB above the embedding as stored "
            f"({size * 2 >> 20} MB) and in working precision ({working >> 20} MB)"
        )


def figures() -> Iterator[Figure]:
    """Ratios of both sides at two shapes, and the memory of the larger."""
    rounds = has_bfloat16()
    for shape, of_rounded, of_float in (
        (GPT2, (0.30, 0.40), (0.60, 0.75)),
        (BERT, (0.40, 0.55), (0.60, 0.75)),
        (LARGE, (0.30, 0.40), (0.60, 0.75)),
    ):
        embedding, vectors = make(shape, int(512 * shape.share))
        for both, target in zip((False, True), of_rounded if rounds else of_float, strict=True):
            found = ratio(ours(embedding, vectors, both), torch_top(embedding, vectors, both), 3)
            sides = "top and bottom" if both else "top"
            what = f"{shape.d:,} × {shape.vocabulary:,}, {sides}"
            yield Figure(what, found[2], "× torch's product and topk", target)
    size = GPT2.d * GPT2.vocabulary * 4
    above = peak(GPT2, 512, torch.float32) - 2 * size
    yield Figure("peak above the embedding twice", above / 1e6, "MB", 512)


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 natively, which the targets tell apart."""
    return len(arithmetics_for(torch.device("cpu"))) > 1


def _numbers(found: tuple[float, float, float]) -> str:
    return f"{found[0]:6.2f} s{found[1]:7.2f} s{found[2]:7.2f}"


if __name__ == "__main__":
    main()
