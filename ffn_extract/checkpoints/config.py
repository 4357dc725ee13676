"""Read a model's config.json."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ffn_extract.checkpoints.model_files import CONFIG
from ffn_extract.checkpoints.other_formats import other_format
from ffn_extract.errors import CheckpointError
from ffn_extract.json_files import read_json


def read_config(folder: Path, name: str) -> dict[str, Any]:
    """The content of config.json. Raises CheckpointError, with the model's name, if it fails."""
    try:
        config = read_json(folder / CONFIG)
    except OSError as error:
        raise CheckpointError(
            f"{name} has no readable {CONFIG}: a model is a folder with {CONFIG}, weights and the "
            f"tokenizer's files.{other_format(os.listdir(folder))}"
        ) from error
    except ValueError as error:
        raise CheckpointError(f"{CONFIG} of {name} is no valid JSON: {error}.") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{CONFIG} of {name} is no JSON object.")
    return config


class Settings:
    """config.json's entries as attributes, those of a text part first."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        part = config.get("text_config")
        for entries in (config, part if isinstance(part, Mapping) else {}):
            for name, value in entries.items():
                setattr(self, str(name), value)


def context_of(config: Mapping[str, Any]) -> int | None:
    """Tokens that the model can read at once, where its settings have a limit."""
    settings = Settings(config)
    names = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
    limits = (getattr(settings, name, None) for name in names)
    return next((limit for limit in limits if isinstance(limit, int)), None)


def heads_of(config: Mapping[str, Any]) -> int:
    """Attention heads by the settings; 1 where they do not say."""
    settings = Settings(config)
    names = ("num_attention_heads", "n_head", "num_heads")
    return next((int(n) for name in names if (n := getattr(settings, name, None))), 1)
