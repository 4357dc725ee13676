"""Name of a model without the option `--name`."""

import re
from pathlib import Path

from ffn_extract.checkpoints.find import Checkpoint
from ffn_extract.errors import OptionError
from ffn_extract.option_types import name_fault
from ffn_extract.options import ExtractOptions

_SAYS_NOTHING = frozenset(
    ("bin", "checkpoint", "files", "hf", "hf_model", "huggingface", "model", "model_files",
     "models", "output", "outputs", "pytorch", "safetensors", "snapshot", "transformers", "weights")
)  # fmt: skip
"""Folders that are called so tell one model from no other."""
_COMMIT = re.compile("[0-9a-f]{40}")
_HUB_CACHE = "models--"


def model_name(checkpoint: Checkpoint, options: ExtractOptions) -> str:
    """The name in the options, else the hub id, else that of the folder.

    A folder called as any other is (`model`) goes by the folder around it; one in the hub's cache
    by its hub id; a GGUF file by its own name. Raises OptionError for a name that no bundle can
    hold.
    """
    if options.name is not None:
        return options.name
    folder = checkpoint.folder.resolve()
    own = checkpoint.revision is not None or checkpoint.gguf_files
    name = checkpoint.name if own else folder_name(folder)
    fault = name_fault(name)
    if fault is not None:
        raise OptionError(f"The model's name {name[:40]!r} {fault}. Give another with --name.")
    return name


def folder_name(folder: Path) -> str:
    """The model's name by its folder.

    Examples
    --------
    >>> folder_name(Path("/home/ada/film-reviews/model"))
    'film-reviews'
    """
    if _COMMIT.fullmatch(folder.name) and folder.parent.parent.name.startswith(_HUB_CACHE):
        return folder.parent.parent.name.removeprefix(_HUB_CACHE).replace("--", "/")
    named = (one.name for one in (folder, *folder.parents) if one.name)
    return next((name for name in named if name.lower() not in _SAYS_NOTHING), folder.name)
