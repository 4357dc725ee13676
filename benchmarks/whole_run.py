"""The whole extraction of every value vector, beside torch's product and topk of one side.

Run ``python -m benchmarks.whole_run [--rounds N]`` in the repository's root. The checkpoint has the
shape of GPT-2 small, 6 layers, random weights: 18,432 value vectors, lists of both sides, no
glosses. Each round extracts in a process of its own, from opening the files to the finished bundle,
after the same work on a tiny model, which imports what is needed; then torch multiplies and sorts
the top side of the same number of vectors in float32, in another process.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.machine import describe, peak_bytes

WHOLE = {"n_embd": 768, "n_layer": 6, "n_head": 12, "vocab_size": 50_257}
TINY = {"n_embd": 64, "n_layer": 1, "n_head": 2, "vocab_size": 200}
TARGET = 0.55
MOST_ABOVE = 512  # MB above the embedding twice


def make_checkpoint(folder: Path, sizes: dict[str, int]) -> None:
    """Write a random GPT-2 with a tokenizer."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models

    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes))
    model.save_pretrained(folder)
    words = {f"w{i}": i for i in range(sizes["vocab_size"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)


def extract_all(folder: Path) -> None:
    """Lists of both sides of every value vector into a bundle that is thrown away."""
    from ffn_extract.options import ExtractOptions
    from ffn_extract.pipeline import extract

    options = ExtractOptions(kinds=("value",), per_layer="all", glosses=())
    with tempfile.TemporaryDirectory() as out:
        extract(str(folder), Path(out) / "bundle", options)


def multiply(vectors: int) -> None:
    """float32 product and topk of one side, in blocks."""
    from benchmarks.projection import GPT2, make, torch_top

    embedding, values = make(GPT2, vectors)
    torch_top(embedding, values[:512], False)()
    start = time.perf_counter(), time.process_time()
    torch_top(embedding, values, False)()
    _tell(start, 0)


def measure(folder: Path) -> None:
    """Extract in this process and print seconds and bytes above the imports as JSON."""
    with tempfile.TemporaryDirectory() as tiny:
        make_checkpoint(Path(tiny), TINY)
        extract_all(Path(tiny))
    before = peak_bytes()
    start = time.perf_counter(), time.process_time()
    extract_all(folder)
    _tell(start, before)


def _tell(start: tuple[float, float], before: int) -> None:
    seconds, processor = time.perf_counter() - start[0], time.process_time() - start[1]
    print(json.dumps({"seconds": seconds, "processor": processor, "bytes": peak_bytes() - before}))


def _in_process(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.whole_run", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return found


def compare(rounds: int) -> list[tuple[dict[str, float], dict[str, float]]]:
    """Seconds, processor seconds and bytes of the extraction and of torch, in turns."""
    vectors = WHOLE["n_layer"] * 4 * WHOLE["n_embd"]
    with tempfile.TemporaryDirectory() as folder:
        make_checkpoint(Path(folder), WHOLE)
        return [
            (_in_process("--measure", folder), _in_process("--multiply", str(vectors)))
            for _ in range(rounds)
        ]


def _summary(found: list[tuple[dict[str, float], dict[str, float]]]) -> tuple[float, float]:
    """The median ratio, and the most MB above the embedding twice."""
    twice = 2 * 4 * WHOLE["n_embd"] * WHOLE["vocab_size"]
    ratio = statistics.median(ours["seconds"] / theirs["seconds"] for ours, theirs in found)
    return ratio, (max(ours["bytes"] for ours, _ in found) - twice) / 1e6


def figures() -> Iterator[Figure]:
    """One round."""
    ratio, above = _summary(compare(1))
    yield Figure("every list of 18,432 vectors", ratio, "× torch's product and topk", TARGET)
    yield Figure("peak above the embedding twice", above, "MB", MOST_ABOVE)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--multiply", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure)
    elif options.multiply:
        multiply(options.multiply)
    else:
        found = compare(options.rounds)
        print(describe())
        for ours, theirs in found:
            print(
                f"ours {ours['seconds']:.2f} s (processor {ours['processor']:.2f} s, "
                f"{ours['bytes'] / 1e6:.0f} MB), torch {theirs['seconds']:.2f} s (processor "
                f"{theirs['processor']:.2f} s): {ours['seconds'] / theirs['seconds']:.2f}"
            )
        ratio, above = _summary(found)
        print(f"median {ratio:.2f} (target {TARGET}), {above:.0f} MB above the embedding twice")


if __name__ == "__main__":
    main()
