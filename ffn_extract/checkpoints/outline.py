"""Outline of a model: config.json and the headers of its files, without weights and torch."""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ffn_extract.checkpoints.config import read_config
from ffn_extract.checkpoints.model_files import (
    CONFIG,
    SAFETENSORS,
    SAFETENSORS_INDEX,
    TOKENIZER_FILES,
    WEIGHT_FILES,
    require_small,
    shard_names,
)
from ffn_extract.checkpoints.other_formats import other_format, require_content, require_no_adapter
from ffn_extract.errors import CheckpointError
from ffn_extract.gguf_format.choice import chosen_files
from ffn_extract.gguf_format.head import total_bytes
from ffn_extract.gguf_format.model import open_gguf
from ffn_extract.json_files import MOST_INDEX_BYTES, parse_json, read_json
from ffn_extract.quantised_formats.declared import count_parameters, is_read

_MOST_PER_BYTE = 2  # four bits are the least that a number takes
_MOST_NAME = 1_000  # characters of a tensor's name


@dataclass(frozen=True)
class Outline:
    """A model's settings and tensor shapes, without its weights.

    `shapes` are those of its tensors, by name, and empty where no file says them; `unreadable` are
    the types of those that are stored in one that is not read. `weight_bytes` is the size of the
    weights' files, and `to_fetch` what still has to come over the network. Of a quantised model
    whose format is read, `counted` is the number of parameters, and the shapes are left out: those
    in memory are not those in the file.
    """

    config: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    weight_bytes: int = 0
    to_fetch: int = 0
    unreadable: Mapping[str, str] = field(default_factory=dict)
    counted: int = 0

    @property
    def parameters(self) -> int:
        """Number of parameters; a guess from the size if the tensors are not known."""
        if self.counted:
            return self.counted
        if self.shapes:
            return sum(math.prod(shape) for shape in self.shapes.values())
        return self.weight_bytes // 2


def outline_of_folder(folder: Path, gguf_file: str | None = None) -> Outline:
    """The outline of a model in a folder, or in a GGUF file.

    Raises CheckpointError, as the extraction itself would, where config.json or the weights are
    missing, empty or damaged.
    """
    if folder.is_file():
        return _outline_of_gguf(
            folder.parent, chosen_files(os.listdir(folder.parent), folder.name, folder.parent.name)
        )
    held = os.listdir(folder)
    require_no_adapter(held, folder.name, folder)
    gguf_files = chosen_files(held, gguf_file, folder.name)
    if gguf_files:
        return _outline_of_gguf(folder, gguf_files)
    config = read_config(folder, folder.name)
    first = next((name for name in WEIGHT_FILES if (folder / name).is_file()), None)
    if first is None:
        raise CheckpointError(
            f"The model's folder {folder.name} has no weights: one of {', '.join(WEIGHT_FILES)} "
            f"is needed.{other_format(held)}"
        )
    names = shard_names(folder / first) if first.endswith(".index.json") else [first]
    paths = [folder / name for name in names]
    size = sum(_size(path) for path in paths)
    for path in paths:
        require_content(path)
    shapes = _shapes(paths) if first in (SAFETENSORS, SAFETENSORS_INDEX) else {}
    if is_read(config) and shapes:
        return Outline(config, {}, size, counted=count_parameters(shapes, config))
    return Outline(config, shapes, size)


def _outline_of_gguf(folder: Path, names: Sequence[str]) -> Outline:
    paths = [folder / name for name in names]
    model = open_gguf(paths)
    shapes = {name: tensor.shape for name, tensor in model.tensors.items()}
    return Outline(model.config, shapes, total_bytes(paths), unreadable=model.unreadable)


def outline_on_hub(
    model: str, revision: str | None, seconds: float, gguf_file: str | None = None
) -> Outline | None:
    """The outline of a model on the hub; None if there is no response within about `seconds`.

    Of a GGUF model too nothing is known before its file is fetched.

    Raises CheckpointError when the hub answers that there is no such model, or revision.
    """
    # Here, because the hub's errors load its client: for models that are in no folder.
    import huggingface_hub
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    revision = revision or "main"
    try:
        info = huggingface_hub.HfApi().model_info(
            model, revision=revision, timeout=seconds, files_metadata=True
        )
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
        if chosen_files(sizes, gguf_file, f"{model} on the hub"):
            return None
        if CONFIG not in sizes:
            raise CheckpointError(
                f"{model} has no {CONFIG} on the hub, so it is no model that can be read. Name "
                f"another.{other_format(sizes)}"
            )
        require_no_adapter(sizes, model)
        if not set(WEIGHT_FILES).intersection(sizes):
            raise CheckpointError(
                f"{model} on the hub has none of {', '.join(WEIGHT_FILES)}.{other_format(sizes)}"
            )
        require_small(model, sizes)
        path = huggingface_hub.hf_hub_download(
            model, CONFIG, revision=revision, etag_timeout=seconds
        )
        config = read_json(Path(path))
    except GatedRepoError as error:
        raise CheckpointError(
            f"The hub does not let this site read {model}: ask for access on its page, and set "
            "HF_TOKEN."
        ) from error
    except RevisionNotFoundError as error:
        raise CheckpointError(
            f"{model} has no revision {revision} on the hub. Look up its branches there."
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise CheckpointError(
            f"The hub has no model {model} (or it is private: then set HF_TOKEN), and the models "
            "folder has none of that name. Look up its name on the hub."
        ) from error
    except CheckpointError:
        raise
    except ValueError as error:
        raise CheckpointError(f"{CONFIG} of {model} is no valid JSON: {error}.") from error
    except Exception:  # whatever the hub's client raises: an estimate is worth no error page
        return None
    if not isinstance(config, dict):
        return None
    weights = _weights_among(sizes)
    others = sum(sizes.get(name, 0) for name in (CONFIG, *TOKENIZER_FILES))
    return Outline(config, {}, weights, weights + others)


def _weights_among(sizes: Mapping[str, int]) -> int:
    """Bytes of the weights that would be fetched, of all files by name."""
    first = next((name for name in WEIGHT_FILES if name in sizes), None)
    if first is None:
        return 0
    if not first.endswith(".index.json"):
        return sizes[first]
    kind = ".safetensors" if first == SAFETENSORS_INDEX else ".bin"
    return sum(size for name, size in sizes.items() if name.endswith(kind) and "/" not in name)


def _size(path: Path) -> int:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise CheckpointError(
            f"The folder lacks {path.name}, which its index names. Copy the model again."
        ) from error
    if size == 0:
        raise CheckpointError(f"{path.name} is empty. Copy the model again.")
    return size


def _shapes(paths: Iterable[Path]) -> dict[str, tuple[int, ...]]:
    """Shapes by tensor, from the JSON that a safetensors file begins with."""
    shapes: dict[str, tuple[int, ...]] = {}
    left = MOST_INDEX_BYTES
    for path in paths:
        try:
            with path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                size = path.stat().st_size
                if length > size:
                    raise ValueError("its head is longer than the file")
                if (left := left - length) < 0:
                    raise ValueError(f"the heads are longer than {MOST_INDEX_BYTES:,} bytes")
                head = parse_json(file.read(length))
            aliases = head.pop("__metadata__", {})
            for name, entry in head.items():
                shapes[name] = _possible(name, entry["shape"], size)
            for name, kept in aliases.items():  # names of one tensor, of which a file keeps one
                if kept in head and name not in head:
                    shapes[name] = shapes[kept]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"{path.name} is not a complete safetensors file: {error}. Copy the model again."
            ) from error
    return shapes


def _possible(name: str, shape: list[int], file_bytes: int) -> tuple[int, ...]:
    """The shape of a tensor, unless a file of that size cannot hold it. Raises ValueError."""
    if len(name) > _MOST_NAME:
        raise ValueError(f"the name of a tensor has {len(name):,} characters")
    if not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"the shape of {name} is no list of sizes")
    if math.prod(shape) > _MOST_PER_BYTE * file_bytes:
        raise ValueError(f"{name} is larger than the file")
    return tuple(shape)
