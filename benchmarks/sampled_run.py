"""Time and memory of a sampled run on a large checkpoint, beside loading it with transformers.

Run ``python -m benchmarks.sampled_run [--full]`` in the repository's root. The checkpoint is a
random LLaMA in bfloat16: about 0.3 GB, or 4 GB with ``--full``. Each side runs in a process of
its own, with the files in the system's cache and after the same work on a tiny model, which imports
what is needed. transformers maps a file without reading it, so a third side reads every weight too,
and a fourth loads it in float32, in which processors without native bfloat16 multiply.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure
from benchmarks.machine import describe, peak_bytes

SMALL = {"hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 4, "vocab": 32_000}
FULL = {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 24, "vocab": 128_256}
TINY = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "vocab": 100}
SIDES = {
    "ours": "sampled run",
    "mapped": "transformers",
    "read": "  and read once",
    "float32": "  in float32",
}
PER_LAYER = 10
PARTS = {  # of our own run, by the module that calls a function
    "tokenizer and vocabulary": ("ffn_extract.pipeline", "open_vocabulary"),
    "fingerprint": ("ffn_extract.pipeline", "fingerprint"),
    "product": ("ffn_extract.run", "project"),
}


def make_checkpoint(folder: Path, sizes: dict[str, int]) -> int:
    """Write a random model with a tokenizer; the size of its largest tensor in bytes."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models

    config = transformers.LlamaConfig(
        **{key: value for key, value in sizes.items() if key != "vocab"},
        vocab_size=sizes["vocab"],
        num_attention_heads=16,
        num_key_value_heads=4,
    )
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    model = transformers.LlamaForCausalLM(config)
    model.save_pretrained(folder)
    words = {f"w{i}": i for i in range(sizes["vocab"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    return max(p.numel() * p.element_size() for p in model.parameters())


def measure(side: str, folder: Path) -> None:
    """Run one side in this process and print its seconds and bytes above the imports as JSON."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            while file.read(1 << 20):
                pass
    with tempfile.TemporaryDirectory() as tiny:
        make_checkpoint(Path(tiny), TINY)
        _run(side, Path(tiny))
    parts: dict[str, float] = {}
    if side == "ours":
        for name, (module, function) in PARTS.items():
            _timed(name, import_module(module), function, parts)
    before, start = peak_bytes(), time.perf_counter()
    _run(side, folder)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "bytes": peak_bytes() - before, **parts}))


def _timed(name: str, module: Any, function: str, into: dict[str, float]) -> None:
    """Let a module's function add its seconds under a name."""
    original = getattr(module, function)

    def timed(*arguments: Any, **named: Any) -> Any:
        start = time.perf_counter()
        try:
            return original(*arguments, **named)
        finally:
            into[name] = into.get(name, 0.0) + time.perf_counter() - start

    setattr(module, function, timed)


def _run(side: str, folder: Path) -> None:
    import transformers

    from ffn_extract.options import ExtractOptions
    from ffn_extract.pipeline import extract

    if side == "ours":
        options = ExtractOptions(kinds=("value",), per_layer=PER_LAYER, glosses=())
        with tempfile.TemporaryDirectory() as out:
            extract(str(folder), Path(out) / "bundle", options)
        return
    dtype = "float32" if side == "float32" else "auto"
    model = transformers.LlamaForCausalLM.from_pretrained(folder, dtype=dtype)
    if side == "read":
        for weights in model.parameters():
            weights.sum()


def _in_process(*arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks.sampled_run", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return ended.stdout.splitlines()[-1]


def figures() -> Iterator[Figure]:
    """With the checkpoint of 4 GB."""
    _, largest, found = compare(full=True)
    ours, loaded = found["ours"], found["float32"]
    against = "× loading the model in float32"
    yield Figure("sampled run, 4 GB", ours["seconds"] / loaded["seconds"], against, 0.5)
    for name in PARTS:
        yield Figure(f"its {name}", ours[name] / loaded["seconds"], against)
    yield Figure("its memory", ours["bytes"] / largest, "× the largest tensor", 1.5)


def compare(*, full: bool) -> tuple[int, int, dict[str, dict[str, float]]]:
    """Bytes of the checkpoint and of its largest tensor, and what each side took."""
    with tempfile.TemporaryDirectory() as folder:
        largest = int(_in_process("--make", folder, *(["--full"] if full else [])))
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        return size, largest, {s: json.loads(_in_process("--measure", s, folder)) for s in SIDES}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true", help="a checkpoint of 4 GB")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        print(make_checkpoint(options.make, FULL if options.full else SMALL))
        return
    if options.measure:
        measure(options.measure[0], Path(options.measure[1]))
        return
    size, largest, found = compare(full=options.full)
    ours = found["ours"]
    print(describe())
    print(f"checkpoint {size / 1e9:.2f} GB, largest tensor {largest / 1e6:.0f} MB")
    for side, name in SIDES.items():
        seconds, memory = found[side]["seconds"], found[side]["bytes"] / 1e6
        ratio = ours["seconds"] / seconds
        print(f"{name:<16}{seconds:7.2f} s{memory:8.0f} MB above imports   ours/this {ratio:.2f}")
    for name in PARTS:
        print(f"  {name:<26}{ours[name]:6.2f} s of the sampled run")
    print(f"memory of the sampled run / largest tensor: {ours['bytes'] / largest:.2f}")


if __name__ == "__main__":
    main()
