"""Recognise folders and repositories in formats that cannot be read; loads without torch."""

from collections.abc import Collection
from pathlib import Path

from ffn_extract.errors import CheckpointError
from ffn_extract.json_files import read_json

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_FILES = (ADAPTER_CONFIG, "adapter_model.safetensors", "adapter_model.bin")
_LFS = b"version https://git-lfs.github.com/"
_CONVERT = "Give the model's folder with config.json and model.safetensors"
_FORMATS = (
    (".h5", "TensorFlow weights", "transformers loads them with from_tf=True in version 4"),
    (".msgpack", "Flax weights", "transformers loads them with from_flax=True in version 4"),
    (".onnx", "an ONNX graph", "the model from which it was exported"),
    (".npz", "numpy arrays", "save them under transformers' names"),
    (".pth", "the original PyTorch weights", "transformers has a script that converts them"),
    (".ckpt", "a trainer's checkpoint", "load it there and call save_pretrained"),
    (".pt", "a trainer's checkpoint", "load it there and call save_pretrained"),
    (".safetensors", "weights under another name", "rename the file to model.safetensors"),
    (".bin", "weights under another name", "rename the file to pytorch_model.bin"),
)


def require_no_adapter(names: Collection[str], model: str, folder: Path | None = None) -> None:
    """Refuse an adapter, alone or beside a base model, whose lists would leave it out.

    `folder` is where the files are, if they are here. Raises CheckpointError.
    """
    found = [name for name in ADAPTER_FILES if name in names]
    if not found:
        return
    said = _adapter(folder / ADAPTER_CONFIG) if folder is not None else ""
    raise CheckpointError(
        f"{model} holds an adapter ({', '.join(found)}{said}), which changes the weights and is "
        "not merged into them. Load it with peft, call merge_and_unload(), save the result with "
        "save_pretrained, and give that folder."
    )


def _adapter(path: Path) -> str:
    try:
        said = read_json(path)
        return f": {said['peft_type']} for {said['base_model_name_or_path']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def other_format(names: Collection[str]) -> str:
    """A sentence about the first file of a known other format, with a remedy; else empty."""
    for ending, title, way_out in _FORMATS:
        found = next((name for name in sorted(names) if name.lower().endswith(ending)), None)
        if found is not None:
            return f" {found} is {title}, which is not read. {_CONVERT}: {way_out}."
    return ""


def require_content(path: Path) -> None:
    """Refuse a Git LFS pointer in place of a file. Raises CheckpointError."""
    try:
        with path.open("rb") as file:
            pointer = file.read(len(_LFS)) == _LFS
    except OSError:
        return  # whoever opens the file next says why it cannot be read
    if pointer:
        raise CheckpointError(
            f"{path.name} is a Git LFS pointer and not the file itself. Run `git lfs pull` in the "
            "folder, or download the model with `hf download`."
        )
