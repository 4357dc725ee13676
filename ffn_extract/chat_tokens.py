"""Token ids of chat messages, by the tokenizer's own chat template."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from ffn_extract.errors import FFNExtractError

Messages = Sequence[Mapping[str, str]]
_MARK = re.compile("\ue000([0-9]+)\ue001")  # of the private use area: in no template


def chat_tokens(tokenizer: PreTrainedTokenizerBase, messages: Messages, name: str) -> list[int]:
    """The ids of a conversation, up to where the model's next message begins.

    The template's own marks become special tokens; those that a message spells stay characters, so
    no message can end itself. `name` is the model's, for the sentence.

    Raises FFNExtractError where the tokenizer has no template, or one that fails at messages of
    these roles or changes what they say.
    """
    if not tokenizer.chat_template:
        raise FFNExtractError(
            f"{name} has no chat template, so it cannot be asked to annotate. Give a model that "
            "was trained to reply to instructions; its name often ends in Instruct or Chat."
        )
    try:
        parts = _parts(tokenizer, messages)
    except Exception as first:  # a stranger's template
        try:  # some take no role system
            parts = _parts(tokenizer, messages := _without_system(messages))
        except Exception:  # whatever a stranger's template raises, the model cannot be asked
            reason = next(iter(str(first).strip().splitlines()), type(first).__name__)[:200]
            raise FFNExtractError(
                f"The chat template of {name} cannot write the messages: {reason.rstrip('.')}. "
                "Give another model."
            ) from first
    ids: list[int] = []
    for place, part in enumerate(parts):
        is_message = place % 2 == 1
        text = messages[int(part)]["content"] if is_message else part
        if text:
            coded = tokenizer(text, add_special_tokens=False, split_special_tokens=is_message)
            ids += coded["input_ids"]
    return ids


def _parts(tokenizer: PreTrainedTokenizerBase, messages: Messages) -> list[str]:
    """The template's texts, and between them the numbers of the messages, in turn."""
    marked = [
        {"role": one["role"], "content": f"\ue000{number}\ue001"}
        for number, one in enumerate(messages)
    ]
    written: Any = tokenizer.apply_chat_template(marked, tokenize=False, add_generation_prompt=True)
    parts = _MARK.split(str(written))
    if parts[1::2] != [str(number) for number in range(len(messages))]:
        raise ValueError("it leaves out messages, or changes them")
    return parts


def _without_system(messages: Messages) -> Messages:
    """The messages with what the system says at the beginning of the first user's."""
    first, second, *rest = messages
    if (first["role"], second["role"]) != ("system", "user"):
        return messages
    joined = f"{first['content']}\n\n{second['content']}"
    return [{"role": "user", "content": joined}, *rest]
