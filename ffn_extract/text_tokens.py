"""Token ids of a text, without those that a tokenizer puts around it."""

from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from ffn_extract.checkpoints.find import Checkpoint
from ffn_extract.tokenizer_files import sentences_for


@dataclass(frozen=True)
class TextTokens:
    """The ids that the tokenizer puts before a text (`lead`), and the text's own.

    `ends` are the numbers of the text's characters up to the end of each of its own tokens, where
    they were asked for.
    """

    lead: list[int]
    own: list[int]
    ends: list[int]


def ending_tokens(model: Any, tokenizer: PreTrainedTokenizerBase, n_rows: int) -> list[int]:
    """Ids that end a text, by the model's settings, those for generation, and the tokenizer."""
    found: set[Any] = set()
    for holder in (model.generation_config, model.config, tokenizer):
        ids = getattr(holder, "eos_token_id", None)
        found.update(ids if isinstance(ids, list | tuple) else [ids])
    return sorted(i for i in found if isinstance(i, int) and 0 <= i < n_rows)


def tokens_of(
    tokenizer: PreTrainedTokenizerBase,
    checkpoint: Checkpoint,
    text: str,
    *,
    ends: bool = False,
    what: str = "a text of the corpus",
) -> TextTokens:
    """The tokens of a text; those that the tokenizer puts behind it are left out.

    A special token that a text spells is read as the characters it is spelled with. Raises
    CheckpointError, which calls the text `what`, where the tokenizer fails.
    """
    with sentences_for(checkpoint.folder, f"its tokenizer fails at {what}"):
        encoded = tokenizer(
            text,
            return_special_tokens_mask=True,
            split_special_tokens=True,
            return_offsets_mapping=ends,
        )
    ids: list[int] = encoded["input_ids"]
    special: list[int] = encoded["special_tokens_mask"]
    start = next((i for i, added in enumerate(special) if not added), len(ids))
    stop = len(ids) - next((i for i, added in enumerate(reversed(special)) if not added), 0)
    places: list[tuple[int, int]] = encoded["offset_mapping"][start:stop] if ends else []
    return TextTokens(ids[:start], ids[start:stop], [end for _, end in places])
