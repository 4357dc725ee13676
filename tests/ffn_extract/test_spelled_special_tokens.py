"""Special tokens that a text spells are text, whatever the tokenizer."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from ffn_extract.updates import UpdateReader
from ffn_extract.vocabulary import load_tokenizer
from tests.ffn_extract.trained_tokenizers import LIKE_LLAMA, LIKE_T5, UNIGRAM, trained

SPELLED = {
    "gpt2": "a <|endoftext|> cat<|endoftext|>",
    "bert": "the [SEP] cat [MASK][CLS] on [UNK]",
    "llama": "<s> the </s> cat<s>",
}


def place_of(folder, text, seed):
    """What `UpdateReader` would read of a text; no model is needed for that."""
    tokenizer = load_tokenizer(folder)
    reader = UpdateReader.__new__(UpdateReader)
    reader._checkpoint = SimpleNamespace(folder=folder)
    reader._tokenizer, reader._max_tokens = tokenizer, 64
    reader._model = SimpleNamespace(config=SimpleNamespace(is_encoder_decoder=False))
    added = tokenizer.added_tokens_decoder.items()
    reader._special = {i for i, t in added if t.special}.union(tokenizer.all_special_ids)
    return tokenizer, reader._place(text, np.random.default_rng(seed))


def assert_never_special(folder, text):
    for seed in range(20):
        tokenizer, place = place_of(folder, text, seed)
        if place is None:
            continue
        begun = tokenizer("", add_special_tokens=True)["input_ids"]
        own = [i for i in place.ids if i not in begun]
        special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
        assert not special.intersection(own)
        assert place.ids[place.position] not in special
        assert len([i for i in place.ids if i in begun]) == len(begun)


@pytest.mark.parametrize("family", SPELLED)
def test_a_tokenizer_json_reads_them_as_text(tiny_model, family):
    assert_never_special(tiny_model(family), SPELLED[family])


@pytest.mark.parametrize(
    ("family", "name", "model"),
    [
        ("llama", "tokenizer.model", LIKE_LLAMA),
        ("t5", "spiece.model", LIKE_T5),
        ("xlm-roberta", "sentencepiece.bpe.model", UNIGRAM),
        ("camembert", "sentencepiece.bpe.model", UNIGRAM),
        ("xlnet", "spiece.model", UNIGRAM),
    ],
)
@pytest.mark.parametrize(
    "text", ["a </s> mat <s>", "<pad> x", "<mask> the <unk>", "<extra_id_0> a"]
)
def test_a_sentencepiece_model_reads_them_as_text_or_not_at_all(
    tmp_path, family, name, model, text
):
    (tmp_path / name).write_bytes(trained(*model))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": family}))
    assert_never_special(tmp_path, text)
    assert place_of(tmp_path, "the mat", 0)[1] is not None
