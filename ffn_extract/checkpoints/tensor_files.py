"""Weights on disk, read tensor by tensor and row by row; pickled objects are never loaded."""

import math
import os
import pickle  # only its error's class  # nosec B403
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open

from ffn_extract.checkpoints.model_files import (
    SAFETENSORS,
    SAFETENSORS_INDEX,
    WEIGHT_FILES,
    shard_names,
)
from ffn_extract.checkpoints.other_formats import other_format, require_content
from ffn_extract.errors import CheckpointError

MAPPED_ELEMENTS = 1 << 25
"""How many elements of mapped files are read before these are closed."""
MAPPED_AT_ONCE = 1 << 20
"""A system maps much more of a file than is asked for: about so many elements."""

_DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip
"""Torch's names for those of safetensors."""
_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
FLOAT_TYPES = frozenset(str(dtype).removeprefix("torch.") for dtype in _FLOATS)
"""The types that can be read, by their names."""
_MODEL_KEYS = ("state_dict", "model_state_dict", "model", "module")
"""Under which keys trainers keep a model's tensors in a file of theirs."""


class TensorFiles(Protocol):
    """Named tensors on disk."""

    @property
    def names(self) -> frozenset[str]: ...

    def shape(self, name: str) -> tuple[int, ...]: ...

    def dtype(self, name: str) -> str:
        """How numbers are stored, in torch's words: float32, bfloat16, int8, …"""
        ...

    def rows(self, name: str, start: int, stop: int, place: int | None = None) -> torch.Tensor:
        """Rows start..stop of a tensor in its stored precision; nothing else is read.

        Of a stack of matrices, those of the one at `place`.
        """
        ...

    def columns(self, name: str, start: int, stop: int, place: int | None = None) -> torch.Tensor:
        """Columns start..stop of a matrix in its stored precision, shape (rows, stop - start)."""
        ...


class StoredFiles(TensorFiles, Protocol):
    """Tensors of safetensors or torch files, whatever type they are stored in."""

    def part(self, name: str, *places: int | slice) -> torch.Tensor:
        """A part of a tensor in its stored type, by places along its axes; all without any."""
        ...


class SafetensorsFiles:
    """One or several safetensors files, mapped into memory and sliced lazily.

    What was read of a mapped file counts as this process's memory until the file is closed, so
    files are opened anew from time to time.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths: dict[str, Path] = {}
        self._open: dict[Path, Any] = {}  # safetensors has no types
        self._touched = 0
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._aliases: dict[str, str] = {}  # names of one tensor, of which a file keeps one
        for path in paths:
            file = self._file(path)
            stored = set(file.keys())
            self._paths.update(dict.fromkeys(stored, path))
            for name, kept in (file.metadata() or {}).items():
                if kept in stored and name not in stored:
                    self._aliases[name] = kept
                    self._paths[name] = path
        self._names = frozenset(self._paths)

    @property
    def names(self) -> frozenset[str]:
        return self._names

    def shape(self, name: str) -> tuple[int, ...]:
        if name not in self._shapes:
            file = self._file(self._paths[name])
            self._shapes[name] = tuple(file.get_slice(self._stored(name)).get_shape())
        return self._shapes[name]

    def dtype(self, name: str) -> str:
        stored = str(self._file(self._paths[name]).get_slice(self._stored(name)).get_dtype())
        return _DTYPES.get(stored, stored)

    def part(self, name: str, *places: int | slice) -> torch.Tensor:
        if not places:
            whole: torch.Tensor = self._file(self._paths[name]).get_tensor(self._stored(name))
            return whole.clone()
        kept = (
            len(range(size)[place])
            for size, place in zip(self.shape(name), places, strict=False)
            if isinstance(place, slice)
        )
        stored = self._slice(name, math.prod((*kept, *self.shape(name)[len(places) :])))
        found: torch.Tensor = stored[places]
        return found

    def rows(self, name: str, start: int, stop: int, place: int | None = None) -> torch.Tensor:
        shape = self.shape(name)[1:] if place is None else self.shape(name)[2:]
        stored = self._slice(name, (stop - start) * math.prod(shape))
        return _floats(name, stored[start:stop] if place is None else stored[place, start:stop])

    def columns(self, name: str, start: int, stop: int, place: int | None = None) -> torch.Tensor:
        stored = self._slice(name, math.prod(self.shape(name)[-2:]))
        some = stored[:, start:stop] if place is None else stored[place, :, start:stop]
        return _floats(name, some)

    def _slice(self, name: str, n_elements: int) -> Any:
        """A tensor of which so many elements are about to be read or mapped."""
        touched = max(MAPPED_AT_ONCE, n_elements)
        if self._touched + touched > MAPPED_ELEMENTS:
            self._open.clear()
            self._touched = 0
        self._touched += touched
        return self._file(self._paths[name]).get_slice(self._stored(name))

    def _stored(self, name: str) -> str:
        return self._aliases.get(name, name)

    def _file(self, path: Path) -> Any:
        if path not in self._open:
            try:
                self._open[path] = safe_open(path, framework="pt")
            except (SafetensorError, OSError) as error:
                raise CheckpointError(f"{path.name} cannot be read: {error}.") from error
        return self._open[path]


class TorchBinFiles:
    """The tensors of torch's older files."""

    def __init__(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self._tensors = tensors
        self._names = frozenset(tensors)

    @property
    def names(self) -> frozenset[str]:
        return self._names

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._tensors[name].shape)

    def dtype(self, name: str) -> str:
        return str(self._tensors[name].dtype).removeprefix("torch.")

    def part(self, name: str, *places: int | slice) -> torch.Tensor:
        tensor = self._tensors[name]
        return tensor[places] if places else tensor

    def rows(self, name: str, start: int, stop: int, place: int | None = None) -> torch.Tensor:
        return _floats(name, self._matrix(name, place)[start:stop])

    def columns(self, name: str, start: int, stop: int, place: int | None = None) -> torch.Tensor:
        return _floats(name, self._matrix(name, place)[:, start:stop])

    def _matrix(self, name: str, place: int | None) -> torch.Tensor:
        tensor = self._tensors[name]
        return tensor if place is None else tensor[place]


def open_tensors(folder: Path) -> StoredFiles:
    """The weights in a model's folder, safetensors first.

    Raises CheckpointError when there are none, or a file is missing or damaged.
    """
    present = [name for name in WEIGHT_FILES if (folder / name).is_file()]
    if not present:
        raise CheckpointError(
            f"The model's folder {folder.name} has no weights: one of {', '.join(WEIGHT_FILES)} "
            f"is needed.{other_format(os.listdir(folder))}"
        )
    first = present[0]
    names = shard_names(folder / first) if first.endswith(".index.json") else [first]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(
            f"{first} names files that the folder does not have: {', '.join(missing)}."
        )
    paths = [folder / name for name in names]
    for path in paths:
        require_content(path)
    if first in (SAFETENSORS, SAFETENSORS_INDEX):
        return SafetensorsFiles(paths)
    tensors: dict[str, torch.Tensor] = {}
    for path in paths:
        tensors.update(only_tensors(load_weights_only(path)))
    return TorchBinFiles(tensors)


def load_weights_only(path: Path, allowed: Sequence[type] = ()) -> dict[Any, Any]:
    """The dictionary in a torch file, memory-mapped if its format allows.

    Of pickled objects, plain values and tensors are made, and those of the classes in `allowed`;
    nothing that the file names is called. Raises CheckpointError for any other file.
    """
    try:
        with torch.serialization.safe_globals(list(allowed)):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except pickle.UnpicklingError as error:
        besides = "".join(f" and {one.__module__}.{one.__name__}" for one in allowed)
        raise CheckpointError(
            f"{path.name} holds pickled objects other than tensors{besides}, which are never "
            "loaded; convert it to safetensors."
        ) from error
    except Exception as error:  # a stranger's file: torch's reader raises many kinds
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
        raise CheckpointError(f"{path.name} cannot be read: {reason}.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path.name} is no dictionary of tensors.")
    return content


def only_tensors(content: Mapping[Any, Any]) -> dict[str, torch.Tensor]:
    """The tensors of a dictionary by name; in a trainer's file, those of the model in it."""
    while not any(isinstance(value, torch.Tensor) for value in content.values()):
        inner = (content.get(key) for key in _MODEL_KEYS)
        found = next((part for part in inner if isinstance(part, Mapping)), None)
        if found is None:
            break
        content = found
    return {str(k): v for k, v in content.items() if isinstance(v, torch.Tensor)}


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
    """The first of the names that exist in the files."""
    return next((name for name in names if name in files.names), None)
