"""The pass over keys holds as many bytes for many sentences as for few."""

import tracemalloc

import numpy as np
import torch

from ffn_extract.checkpoints.find import find_checkpoint
from ffn_extract.corpora import Corpus, StoredTexts
from ffn_extract.keys.work import open_keys
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import open_weights
from ffn_extract.vocabulary import open_vocabulary

BLOCK = 64
WORDS = ("the", "cat", "sat", "on", "a", "mat", "and", "saw", "dogs", "running")


def test_four_times_the_sentences_hold_no_more_bytes(tiny_model, tmp_path, monkeypatch):
    """In blocks of 64; torch's own memory is that of a batch, and not counted."""
    monkeypatch.setattr("ffn_extract.keys.passes.BLOCK", BLOCK)
    options = ExtractOptions(kinds=("key",), keys_of="all", workers=1)
    checkpoint = find_checkpoint(str(tiny_model("gpt2")))
    weights = open_weights(checkpoint, options)
    tokenizer, _ = open_vocabulary(checkpoint)
    random = np.random.default_rng(0)
    peaks = []
    for sentences in (140, 560):
        texts = (" ".join(random.choice(WORDS, 4)) for _ in range(sentences))
        corpus = Corpus("file", StoredTexts(texts))
        device = torch.device("cpu")
        work = open_keys(checkpoint, weights, options, tokenizer, corpus, device)
        one = work.opened(tmp_path / str(sentences))
        tracemalloc.start()
        one.run(1, lambda *_: None)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.05 * peaks[0]
    lists = sum(some.entries.nbytes for side in one.lists for some in side)
    assert lists < peaks[0] < 20e6
