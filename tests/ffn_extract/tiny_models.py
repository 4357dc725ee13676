"""Tiny random models of each family, in folders with their tokenizers."""

import json
import shutil
from pathlib import Path

import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from ffn_extract.architectures import ModelWeights, architecture_of
from ffn_extract.checkpoints.find import find_checkpoint
from tests.ffn_extract.tiny_families import TINY_FAMILIES

SENTENCES = Path(__file__).resolve().parents[2] / "fixtures" / "sentences.txt"
WORDS = ("the", "cat", "sat", "on", "a", "mat", "and", "saw", "dogs", "running", ",", ".")


def wordpiece_tokenizer() -> Tokenizer:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", *WORDS, "##s", "##ing"]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def byte_level_tokenizer() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("c", "a"), ("ca", "t"), ("Ġ", "cat")]
    pieces = ["<|endoftext|>", *alphabet, *(a + b for a, b in merges)]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def metaspace_tokenizer() -> Tokenizer:
    letters = sorted({letter for word in WORDS for letter in word})
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    merges = [("▁", "t"), ("▁t", "h"), ("▁th", "e")]
    pieces = ["<unk>", "<s>", "</s>", *byte_tokens, "▁", *letters, *(a + b for a, b in merges)]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


BYTE_LEVEL = (byte_level_tokenizer, {"eos_token": "<|endoftext|>"})
TOKENIZERS = {
    "gpt2": BYTE_LEVEL,
    "bert": (
        wordpiece_tokenizer,
        {
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "mask_token": "[MASK]",
        },
    ),
    "llama": (
        metaspace_tokenizer,
        {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"},
    ),
}
"""One family for each kind of tokenizer; all others get a byte-level one."""


EXTRA_ROWS = 3
"""Rows that each tiny model's embedding has beyond its tokenizer."""


def save_tiny_model(family: str, folder: Path) -> None:
    """Save a tiny random model of a family with its tokenizer."""
    tokenizer, special = TOKENIZERS.get(family, BYTE_LEVEL)
    backend = tokenizer()
    model = TINY_FAMILIES[family].build(backend.get_vocab_size() + EXTRA_ROWS)
    model.save_pretrained(folder)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **special)
    fast.save_pretrained(folder)


def edit_config(folder: Path, **values) -> None:
    """Change entries of a model's config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def copied(folder: Path, tmp_path: Path) -> Path:
    """A copy of a model's folder, for a test that changes it."""
    return shutil.copytree(folder, tmp_path / "copy")


def weights_of(folder: Path) -> ModelWeights:
    """A model's weights as extraction reads them."""
    checkpoint = find_checkpoint(str(folder))
    return ModelWeights(architecture_of(checkpoint.config), checkpoint.config, checkpoint.tensors)
