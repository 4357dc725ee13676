"""Which files a model is made of; importable without torch."""

import json
from pathlib import Path

from ffn_extract.errors import CheckpointError

CONFIG = "config.json"
SAFETENSORS = "model.safetensors"
SAFETENSORS_INDEX = "model.safetensors.index.json"
TORCH_BIN = "pytorch_model.bin"
TORCH_BIN_INDEX = "pytorch_model.bin.index.json"
WEIGHT_FILES = (SAFETENSORS, SAFETENSORS_INDEX, TORCH_BIN, TORCH_BIN_INDEX)
"""Where weights are looked for, first come first."""

SENTENCEPIECE_FILES = (
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "spm.model",
)
"""SentencePiece models, by the names that families give them."""

VOCABULARY_FILES = ("tokenizer.json", "vocab.json", "vocab.txt", *SENTENCEPIECE_FILES)
"""Any of these holds a vocabulary."""

TOKENIZER_FILES = (
    *VOCABULARY_FILES,
    "merges.txt",
    "bpe.codes",
    "source.spm",
    "target.spm",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)


def shard_names(index: Path) -> list[str]:
    """The files that an index of shards names; plain names only, so none lies elsewhere."""
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = sorted({str(name) for name in weight_map.values()})
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{index.name} is no readable index of shards.") from error
    if any(Path(name).name != name for name in names):
        raise CheckpointError(f"{index.name} names files outside the model's folder.")
    return names
