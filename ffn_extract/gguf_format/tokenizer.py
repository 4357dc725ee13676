"""Tokenizer of a GGUF file, by transformers' converter, checked against the file."""

import json
import logging
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.integrations.gguf import gguf_tokenizer_mapping

from ffn_extract.errors import CheckpointError
from ffn_extract.gguf_format.model import GGUFModel

_log = logging.getLogger(__name__)
_theirs: Any = gguf_tokenizer_mapping  # untyped
_WAY_OUT = (
    "Give the model from which the file was made, as a folder with config.json, safetensors and "
    "the tokenizer's files."
)
_CONTROL, _USER_DEFINED, _UNUSED = 3, 4, 5
_GPT2_SPLITS = frozenset({None, "default", "gpt-2", "gpt2", "smollm", "starcoder", "mpt", "bloom"})
"""Ways to cut texts into words that are GPT-2's, or come to the same with their vocabularies."""


def tokenizer_in_gguf(model: GGUFModel) -> PreTrainedTokenizerBase:
    """The tokenizer that a model's first file describes.

    Rows that llama.cpp filled up ("[PAD50257]") get no entry, as they have none in the model's own
    tokenizer. Raises CheckpointError where transformers makes none of it, or another one.
    """
    head = model.heads[0]
    name, kind = head.path.name, head.settings.get("tokenizer.ggml.model")
    tokens = head.entries("tokenizer.ggml.tokens")
    if not tokens:
        raise CheckpointError(f"{name} has no tokenizer. {_WAY_OUT}")
    try:
        _, described, settings = _theirs.get_gguf_tokenizer(str(head.path))
        backend, _ = _theirs.convert_gguf_tokenizer(model.family, described)
        backend = _with_the_files_names(backend, tokens, head.entries("tokenizer.ggml.token_type"))
        fast: Any = PreTrainedTokenizerFast  # untyped
        made: PreTrainedTokenizerBase = fast(tokenizer_object=backend, **settings)
    except Exception as error:  # a stranger's file: the backend raises plain Exception as well
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
        raise CheckpointError(
            f"The tokenizer in {name} ({str(kind)[:40]}) cannot be read: {reason}. {_WAY_OUT}"
        ) from error
    _require_entries(made, len(tokens), name)
    split = head.settings.get("tokenizer.ggml.pre")
    known = _GPT2_SPLITS.union(_theirs.GGUF_PRE_TOKENIZER_SPLITS)
    if kind == "gpt2" and split not in known:
        _log.warning(
            "%s cuts texts into words in its own way (%s), which is not known here: positions of "
            "updates may be other tokens than the model's own tokenizer makes. Lists of value "
            "vectors do not depend on it.", name, str(split)[:40],
        )  # fmt: skip
    return made


def _with_the_files_names(backend: Tokenizer, tokens: list[Any], types: list[Any]) -> Tokenizer:
    """A tokenizer with the file's control and added tokens alone, and without the filled rows.

    The converter spells some of them in GPT-2's alphabet of bytes, as it does other tokens, and
    its classes add tokens of their own ("<|endoftext|>") where the file has none.
    """
    spelled: dict[int, str] = {}
    filled: set[int] = set()
    for token_id, (token, kind) in enumerate(zip(tokens, types, strict=False)):
        if kind == _UNUSED and token == f"[PAD{token_id}]":
            filled.add(token_id)
        elif kind in (_CONTROL, _USER_DEFINED) and backend.id_to_token(token_id) != token:
            spelled[token_id] = token
    added = {i: one.content for i, one in backend.get_added_tokens_decoder().items()}
    strange = {i for i, text in added.items() if i >= len(tokens) or tokens[i] != text} - {*spelled}
    if not (spelled or filled or strange):
        return backend
    content = json.loads(backend.to_str())
    vocab = content["model"]["vocab"]
    if isinstance(vocab, dict):
        entries = {i: text for text, i in vocab.items() if i not in filled | strange} | spelled
        content["model"]["vocab"] = {text: i for i, text in entries.items()}
    replaced = filled | strange | spelled.keys()
    kept = [one for one in content["added_tokens"] if one["id"] not in replaced]
    kept += [
        {"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": types[i] == _CONTROL}
        for i, text in spelled.items()
    ]  # fmt: skip
    content["added_tokens"] = sorted(kept, key=lambda one: one["id"])
    made: Tokenizer = Tokenizer.from_str(json.dumps(content))
    return made


def _require_entries(made: PreTrainedTokenizerBase, count: int, name: str) -> None:
    """Refuse a tokenizer that has entries beside the file's, or lacks many of them."""
    ids = set(made.get_vocab().values())
    beside = sum(1 for token_id in ids if token_id >= count)
    if beside or 2 * len(ids) < count:
        raise CheckpointError(
            f"{name} holds {count:,} tokens, of which transformers makes another tokenizer with "
            f"{len(ids):,}. {_WAY_OUT}"
        )
