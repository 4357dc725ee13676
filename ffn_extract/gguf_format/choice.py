"""Choose the GGUF file, or the split files, of a folder or repository."""

import re
from collections.abc import Collection

from ffn_extract.checkpoints.model_files import WEIGHT_FILES
from ffn_extract.errors import CheckpointError

SUFFIX = ".gguf"
_PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf", re.IGNORECASE)
_BESIDE = "mmproj"
"""Begins the names of what llama.cpp keeps beside a model that sees pictures."""


def is_gguf(name: str) -> bool:
    """Whether a file name ends in .gguf."""
    return name.lower().endswith(SUFFIX)


def chosen_files(names: Collection[str], wanted: str | None, model: str) -> tuple[str, ...]:
    """The files of the GGUF model among `names`, in order; empty if there is another format.

    A model of transformers comes first unless `wanted` names a file. Of a split model any part
    names the whole. Raises CheckpointError where several could be meant, or a part is missing.
    """
    found = sorted(name for name in names if is_gguf(name) and "/" not in name)
    if wanted is not None:
        if wanted not in found:
            there = f"it has {', '.join(found[:20])}" if found else "it has no GGUF file"
            raise CheckpointError(
                f"{model} has no GGUF file {wanted}; {there}. Give one of these with --gguf-file."
            )
        return _whole(wanted, found, model)
    if not found or any(name in names for name in WEIGHT_FILES):
        return ()
    models = {_whole_name(name): name for name in reversed(found)}
    if len(models) > 1:
        models = {k: n for k, n in models.items() if not n.lower().startswith(_BESIDE)} or models
    if len(models) > 1:
        shown = ", ".join(sorted(models.values())[:20])
        raise CheckpointError(
            f"{model} has {len(models)} GGUF models: {shown}. Name one with --gguf-file."
        )
    return _whole(next(iter(models.values())), found, model)


def stem_of(name: str) -> str:
    """A file's name without its extension and the number of its part.

    Examples
    --------
    >>> stem_of("tiny-Q4_0-00001-of-00002.gguf")
    'tiny-Q4_0'
    """
    match = _PART.fullmatch(name)
    return match[1] if match else name[: -len(SUFFIX)] if is_gguf(name) else name


def _whole_name(name: str) -> str:
    match = _PART.fullmatch(name)
    return f"{match[1]}-of-{match[3]}" if match else name


def _whole(name: str, found: Collection[str], model: str) -> tuple[str, ...]:
    if not _PART.fullmatch(name):
        return (name,)
    match = _PART.fullmatch(name)
    count = int(match[3]) if match else 1
    parts = tuple(one for one in sorted(found) if _whole_name(one) == _whole_name(name))
    if len(parts) != count:
        raise CheckpointError(
            f"{model} has {len(parts)} of the {count} files into which {stem_of(name)} is split. "
            "Copy the others too."
        )
    return parts
