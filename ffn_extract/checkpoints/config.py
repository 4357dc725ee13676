"""Read a model's config.json."""

import os
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
