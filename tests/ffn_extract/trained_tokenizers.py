"""Tokenizers in the files that models bring, trained on a few sentences."""

import io
from functools import cache

import sentencepiece

from tests.ffn_extract.tiny_models import SENTENCES

LIKE_LLAMA = ("bpe", "byte_fallback")
LIKE_GEMMA = ("bpe", "byte_fallback", "no_prefix", "named_bos")
UNIGRAM = ("unigram",)
LIKE_T5 = ("unigram", "padded")
FLAGS = {
    "byte_fallback": {"byte_fallback": True},
    "no_prefix": {"add_dummy_prefix": False, "remove_extra_whitespaces": False},
    "named_bos": {"bos_piece": "<bos>", "eos_piece": "<eos>"},
    "padded": {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1},
    "suffix": {"treat_whitespace_as_suffix": True},
}


@cache
def trained(kind: str, *flags: str) -> bytes:
    """A small SentencePiece model."""
    options = {key: value for flag in flags for key, value in FLAGS[flag].items()}
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES.read_text(encoding="utf-8").splitlines()[:200]),
        model_writer=written,
        model_type=kind,
        vocab_size=400 if "byte_fallback" in flags else 150,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
        **options,
    )
    return written.getvalue()
