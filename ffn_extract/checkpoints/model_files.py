"""Names and sizes of a model's files; importable without torch."""

from collections.abc import Mapping
from pathlib import Path

from ffn_extract.errors import CheckpointError
from ffn_extract.json_files import (
    MOST_CONFIG_BYTES,
    MOST_INDEX_BYTES,
    MOST_TOKENIZER_BYTES,
    UnreadableFile,
    read_json,
)

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


MOST_SHARDS = 10_000
MOST_BYTES = {
    CONFIG: MOST_CONFIG_BYTES,
    SAFETENSORS_INDEX: MOST_INDEX_BYTES,
    TORCH_BIN_INDEX: MOST_INDEX_BYTES,
    **dict.fromkeys(TOKENIZER_FILES, MOST_TOKENIZER_BYTES),
}
"""The largest files that are read, of all but the weights."""


def require_small(model: str, sizes: Mapping[str, int]) -> None:
    """Refuse a model of the hub with files that are too large for their names.

    Raises CheckpointError before any is fetched.
    """
    for name, most in MOST_BYTES.items():
        if sizes.get(name, 0) > most:
            raise CheckpointError(
                f"{name} of {model} has {sizes[name]:,} bytes on the hub; at most {most:,} are "
                "read. Name another model."
            )


def shard_names(index: Path) -> list[str]:
    """The files that an index of shards names; plain names only, so none is outside the folder."""
    try:
        weight_map = read_json(index, MOST_INDEX_BYTES)["weight_map"]
        names = sorted({str(name) for name in weight_map.values()})
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        reason = f": {error}" if isinstance(error, UnreadableFile) else ""
        raise CheckpointError(f"{index.name} is no readable index of shards{reason}.") from error
    if len(names) > MOST_SHARDS:
        raise CheckpointError(
            f"{index.name} names {len(names):,} files; at most {MOST_SHARDS:,} are read."
        )
    if any(Path(name).name != name for name in names):
        raise CheckpointError(f"{index.name} names files outside the model's folder.")
    return names
