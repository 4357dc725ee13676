"""Weights on disk, read tensor by tensor and row by row; pickled objects are never loaded."""

import json
import pickle
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open

from ffn_extract.errors import CheckpointError

SAFETENSORS = "model.safetensors"
SAFETENSORS_INDEX = "model.safetensors.index.json"
TORCH_BIN = "pytorch_model.bin"
TORCH_BIN_INDEX = "pytorch_model.bin.index.json"
WEIGHT_FILES = (SAFETENSORS, SAFETENSORS_INDEX, TORCH_BIN, TORCH_BIN_INDEX)
"""Where weights are looked for, first come first."""

_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


class TensorFiles(Protocol):
    """Named tensors on disk."""

    @property
    def names(self) -> frozenset[str]: ...

    def shape(self, name: str) -> tuple[int, ...]: ...

    def rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Rows start..stop of a tensor in its stored precision; nothing else is read."""
        ...

    def columns(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Columns start..stop of a matrix in its stored precision, shape (rows, stop - start)."""
        ...


class SafetensorsFiles:
    """One or several safetensors files, mapped into memory and sliced lazily."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._files: dict[str, Any] = {}  # tensor name → open file; safetensors has no types
        for path in paths:
            try:
                file: Any = safe_open(path, framework="pt")
            except (SafetensorError, OSError) as error:
                raise CheckpointError(f"{path.name} cannot be read: {error}.") from error
            self._files.update(dict.fromkeys(file.keys(), file))

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._files)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._files[name].get_slice(name).get_shape())

    def rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        return _floats(name, self._files[name].get_slice(name)[start:stop])

    def columns(self, name: str, start: int, stop: int) -> torch.Tensor:
        return _floats(name, self._files[name].get_slice(name)[:, start:stop])


class TorchBinFiles:
    """torch's older files, opened with weights-only loading and mapped where their format can."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._tensors: dict[str, torch.Tensor] = {}
        for path in paths:
            self._tensors.update(_load_weights_only(path))

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._tensors[name].shape)

    def rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        return _floats(name, self._tensors[name][start:stop])

    def columns(self, name: str, start: int, stop: int) -> torch.Tensor:
        return _floats(name, self._tensors[name][:, start:stop])


def open_tensors(folder: Path) -> TensorFiles:
    """The weights in a model's folder, safetensors first.

    Raises CheckpointError when there are none, or a file is missing or damaged.
    """
    present = [name for name in WEIGHT_FILES if (folder / name).is_file()]
    if not present:
        raise CheckpointError(
            f"The model's folder {folder.name} has no weights: one of {', '.join(WEIGHT_FILES)} "
            "is needed."
        )
    first = present[0]
    names = shard_names(folder / first) if first.endswith(".index.json") else [first]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(
            f"{first} names files that the folder does not have: {', '.join(missing)}."
        )
    paths = [folder / name for name in names]
    if first in (SAFETENSORS, SAFETENSORS_INDEX):
        return SafetensorsFiles(paths)
    return TorchBinFiles(paths)


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


def _load_weights_only(path: Path) -> dict[str, torch.Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path.name} holds pickled objects other than tensors, which are never loaded; "
            "convert it to safetensors."
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path.name} cannot be read: {error}.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path.name} is no dictionary of tensors.")
    return {k: v for k, v in content.items() if isinstance(v, torch.Tensor)}


def _is_zip(path: Path) -> bool:
    """Whether torch can map the file: its formats before 1.6 are no zip archives."""
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _floats(name: str, tensor: torch.Tensor) -> torch.Tensor:
    if tensor.dtype not in _FLOATS:
        raise CheckpointError(
            f"{name} is stored as {str(tensor.dtype).removeprefix('torch.')}; only float32, "
            "float16, bfloat16 and float64 weights can be read. Give a model that is not quantised."
        )
    return tensor


def first_present(files: TensorFiles, names: Sequence[str]) -> str | None:
    """The first of the names that the files have."""
    return next((name for name in names if name in files.names), None)
