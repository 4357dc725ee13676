"""Settings in config.json, of text models and of the text part of others."""

from collections.abc import Mapping
from typing import Any

from ffn_extract.architectures.declaration import FFN, Architecture
from ffn_extract.errors import ArchitectureError
from ffn_extract.limits import MOST_WIDTH

TEXT_PARTS = ("text_config", "llm_config", "language_config")
"""Under which keys a multimodal model's config.json keeps its text part."""


def text_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The entries of the text part; empty for a model of text alone."""
    parts = (config.get(key) for key in TEXT_PARTS)
    return next((part for part in parts if isinstance(part, Mapping)), {})


def settings_for(family: Architecture, config: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that describe `family`: the model's own, and those of its text part.

    Where both have a key, the one counts that has the family's model_type.
    """
    text = {key: value for key, value in text_part(config).items() if value is not None}
    own = {key: value for key, value in config.items() if value is not None}
    if text.get("model_type") == family.model_type:
        return {**own, **text}
    return {**text, **own}


def size_of(settings: Mapping[str, Any], keys: tuple[str, ...], most: int = MOST_WIDTH) -> int:
    """The size under the first key that exists.

    Raises ArchitectureError when none is, or it is no whole number from 1 to `most`.
    """
    key = next((key for key in keys if settings.get(key) is not None), keys[0])
    size = settings.get(key)
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ArchitectureError(
            f"config.json must give {key} as a whole number of at least 1, not {size!r}."
        )
    if size > most:
        raise ArchitectureError(
            f"config.json gives {key} as more than {most:,}, the most that can be read. Correct it."
        )
    return size


def width_of(ffn: FFN, settings: Mapping[str, Any], d_model: int) -> int | None:
    """The number of an FFN's (or of each expert's) value vectors; None where only files tell.

    Raises ArchitectureError as `size_of` does.
    """
    known = any(settings.get(key) is not None for key in ffn.d_ff_keys)
    if ffn.d_ff_factor is not None and not known:
        return ffn.d_ff_factor * d_model
    if not ffn.d_ff_keys:
        return None
    times = ffn.d_ff_times is not None and settings.get(ffn.d_ff_times) is not None
    factor = size_of(settings, (str(ffn.d_ff_times),)) if times else 1
    return factor * size_of(settings, ffn.d_ff_keys)


def tie_word_embeddings(config: Mapping[str, Any]) -> bool | None:
    """Whether config.json ties the head to the embeddings; None when it does not say.

    Raises ArchitectureError when the model and its text part disagree.
    """
    said = {
        value
        for part in (config, text_part(config))
        if isinstance(value := part.get("tie_word_embeddings"), bool)
    }
    if len(said) > 1:
        raise ArchitectureError(
            "config.json says tie_word_embeddings: true in one place and false in another, and the "
            "file has no head. Name the unembedding with --unembedding-tensor."
        )
    return said.pop() if said else None
