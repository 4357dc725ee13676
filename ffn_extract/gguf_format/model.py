"""A model in GGUF files: tensors, and settings in the form of config.json. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ffn_extract.architectures.in_gguf import IN_GGUF, model_type_in_gguf
from ffn_extract.errors import CheckpointError
from ffn_extract.gguf_format.head import READABLE, Head, StoredTensor, read_head

_SIZES = {
    "block_count": "num_hidden_layers", "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size", "vocab_size": "vocab_size",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "attention.layer_norm_epsilon": "layer_norm_eps", "expert_count": "num_experts",
}  # fmt: skip
"""Settings under a family's name that lists depend on, and transformers' names for them."""
_NEEDED = ("block_count", "embedding_length")
_MODEL = "model"


@dataclass(frozen=True)
class GGUFModel:
    """The files of one model. The settings are those of the first file."""

    heads: tuple[Head, ...]

    @property
    def settings(self) -> dict[str, Any]:
        """All settings by their whole name; a list is returned unread."""
        return dict(self.heads[0].settings)

    @property
    def family(self) -> str:
        """The family's name in GGUF."""
        return str(self.heads[0].settings["general.architecture"])

    @cached_property
    def tensors(self) -> dict[str, StoredTensor]:
        """The tensors of all files by name."""
        return {name: tensor for head in self.heads for name, tensor in head.tensors.items()}

    @cached_property
    def config(self) -> dict[str, Any]:
        """The settings that lists depend on, under transformers' names."""
        own = {
            name: value
            for key, name in _SIZES.items()
            if isinstance(value := self.settings.get(f"{self.family}.{key}"), int | float)
        }
        # Without a head in the file, llama.cpp multiplies by the embeddings.
        tied = {} if "output.weight" in self.tensors else {"tie_word_embeddings": True}
        return {
            **own, **tied, IN_GGUF: True,
            "model_type": model_type_in_gguf(self.family, own.get("num_experts")),
        }  # fmt: skip

    def types_of(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Names of tensors by the type in which they are stored."""
        types: dict[str, list[str]] = {}
        for name in sorted(names):
            types.setdefault(self.tensors[name].type, []).append(name)
        return dict(sorted(types.items()))

    @property
    def unreadable(self) -> dict[str, str]:
        """Unreadable types of tensors, by the tensors' names."""
        return {n: t.type for n, t in self.tensors.items() if t.type not in READABLE}


def open_gguf(paths: Sequence[Path]) -> GGUFModel:
    """Open a model in these files, the first of which has the settings.

    Raises CheckpointError where they are damaged, no model, or not the parts of one.
    """
    model = GGUFModel(tuple(map(read_head, paths)))
    name = paths[0].name
    settings = model.heads[0].settings
    kind = settings.get("general.type", _MODEL)
    if kind != _MODEL:
        raise CheckpointError(
            f"{name} is not a model but of the type {str(kind)[:40]!r}. Name the model's own file "
            "with --gguf-file."
        )
    if not isinstance(settings.get("general.architecture"), str):
        raise CheckpointError(f"{name} does not name its family. Copy the model again.")
    for key in _NEEDED:
        _require_size(name, f"{model.family}.{key}", settings.get(f"{model.family}.{key}"))
    _require_parts(model, [path.name for path in paths])
    return model


def _require_size(name: str, key: str, value: object) -> None:
    if type(value) is not int or value < 1:
        raise CheckpointError(
            f"{name} must give {key[:80]} as a whole number of at least 1. Copy the model again."
        )


def _require_parts(model: GGUFModel, names: Sequence[str]) -> None:
    """Refuse files that are not all the parts of one model, in their order."""

    def said(head: Head, key: str) -> int | None:
        value = head.settings.get(f"split.{key}")
        return value if type(value) is int else None

    count = said(model.heads[0], "count") or 1
    if count != len(names):
        raise CheckpointError(
            f"{names[0]} is one of {count} files into which a model is split; give them all in one "
            "folder, named as llama.cpp names them (NAME-00001-of-00002.gguf)."
        )
    if len(names) == 1:
        return
    numbers = [said(head, "no") for head in model.heads]
    total = sum(len(head.tensors) for head in model.heads)
    stated = said(model.heads[0], "tensors.count")
    whole = len(model.tensors) == total and stated in (None, total)
    if numbers != list(range(count)) or not whole:
        raise CheckpointError(
            f"{', '.join(names[:3])} … are not the parts of one model. Copy the model again."
        )
