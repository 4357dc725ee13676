"""fairseq checkpoints: a .pt file with weights and settings, and dict.txt beside it.

The file pickles the settings as an argparse.Namespace, which is the one class that is loaded
besides tensors; a file that holds others is refused and nothing in it is run.
"""

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffn_extract.checkpoints.model_files import CONFIG
from ffn_extract.checkpoints.tensor_files import (
    TensorFiles,
    TorchBinFiles,
    load_weights_only,
    only_tensors,
)
from ffn_extract.errors import CheckpointError
from ffn_extract.json_files import MOST_TOKENIZER_BYTES, read_file

DICTIONARY = "dict.txt"
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
"""The first entries of every dictionary, which its file leaves out."""

_PREFERRED = ("model.pt", "checkpoint_best.pt", "checkpoint_last.pt")
_INPUT_BAND = re.compile(r"decoder\.embed_tokens\.embeddings\.\d+\.0\.weight")
_OVERWRITE = " #fairseq:overwrite"


@dataclass(frozen=True)
class FairseqModel:
    """A checkpoint's settings, as a config.json would hold them, and its weights."""

    config: dict[str, Any]
    tensors: TensorFiles


def is_fairseq(folder: Path) -> bool:
    """Whether the folder holds a fairseq checkpoint and no model of transformers."""
    return (folder / DICTIONARY).is_file() and not (folder / CONFIG).exists()


def open_fairseq(folder: Path) -> FairseqModel:
    """Open the one .pt file of a folder, or the one with a usual name.

    Raises CheckpointError when there is none, it holds something else, or the dictionary is
    another model's.
    """
    path = _weights_file(folder)
    content = load_weights_only(path, [argparse.Namespace])
    if not isinstance(content.get("model"), Mapping):
        raise CheckpointError(f"{path.name} is not a model: it has no weights under the key model.")
    tensors = TorchBinFiles(only_tensors(content["model"]))
    n_words = len(read_dictionary(folder))
    bands = [tensors.shape(name)[0] for name in tensors.names if _INPUT_BAND.fullmatch(name)]
    if bands and sum(bands) != n_words:
        raise CheckpointError(
            f"{DICTIONARY} has {n_words} entries with the four special ones, and {path.name} has "
            f"embeddings of {sum(bands)}: give the dictionary with which the model was trained."
        )
    return FairseqModel({**_settings(content), "model_type": "wikilm"}, tensors)


def read_dictionary(folder: Path) -> list[str]:
    """The words by their id. Raises CheckpointError when a line is not `word count`."""
    path = folder / DICTIONARY
    words = list(SPECIAL)
    try:
        # Words may hold what Python takes for the end of a line, fairseq's files end them with \n.
        lines = read_file(path, MOST_TOKENIZER_BYTES).decode("utf-8").removesuffix("\n").split("\n")
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{DICTIONARY} cannot be read: {error}.") from error
    for number, line in enumerate(lines, start=1):
        word, space, count = line.removesuffix("\r").removesuffix(_OVERWRITE).rpartition(" ")
        if not space or not count.isdecimal():
            raise CheckpointError(
                f"Line {number} of {DICTIONARY} should be a word, a space and a number."
            )
        words.append(word)
    return words


def _weights_file(folder: Path) -> Path:
    paths = {path.name: path for path in sorted(folder.glob("*.pt"))}
    usual = [name for name in _PREFERRED if name in paths]
    if len(paths) == 1 or usual:
        return paths[(usual or list(paths))[0]]
    there = f"it has {', '.join(paths)}" if paths else "it has none"
    raise CheckpointError(
        f"The model's folder {folder.name} has a fairseq {DICTIONARY}, so it should have one .pt "
        f"file, or one called {_PREFERRED[0]}; {there}."
    )


def _settings(content: Mapping[Any, Any]) -> dict[str, Any]:
    """The model's settings: a Namespace under args, or under cfg in newer files."""
    settings: Any = content.get("args")
    if settings is None:
        newer = _entries(content.get("cfg"))
        settings = newer.get("model", newer)
    return {k: v for k, v in _entries(settings).items() if isinstance(v, str | int | float)}


def _entries(settings: object) -> dict[str, Any]:
    if isinstance(settings, argparse.Namespace):
        settings = vars(settings)
    return {str(k): v for k, v in settings.items()} if isinstance(settings, Mapping) else {}
