"""A model's vocabulary, read through its own tokenizer."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from ffn_extract.errors import CheckpointError
from ffn_extract.fairseq import SPECIAL, is_fairseq, read_dictionary
from ffn_extract.model_files import VOCABULARY_FILES
from ffn_extract.tokens import Marking, TokenForm, token_form

_UNUSED = re.compile(
    r"\[unused\d+\]|<unused\d+>|<\|?reserved_special_token_\d+\|?>|<extra_id_\d+>|<\|extra_\d+\|>"
    r"|madeupword\d{4}"  # fairseq fills its dictionaries up to a multiple of 8
)


@dataclass(frozen=True)
class Vocabulary:
    """The entries of a vocabulary by token id, its special ids and its way to mark words."""

    texts: Mapping[int, str]
    special: frozenset[int]
    marking: Marking

    @property
    def level(self) -> str:
        """ "word" or "subword"."""
        return "word" if self.marking is Marking.WHOLE_WORDS else "subword"

    def form(self, token_id: int) -> TokenForm:
        """What people see of a token."""
        return token_form(self.texts[token_id], self.marking, special=token_id in self.special)

    def allowed(self, n_rows: int, *, drop_special: bool) -> NDArray[np.bool_]:
        """Which rows of the unembedding may appear in lists, shape (n_rows,).

        Rows that no entry names never do; special and unused tokens do unless they are dropped.
        """
        mask = np.zeros(n_rows, dtype=np.bool_)
        mask[[token_id for token_id in self.texts if 0 <= token_id < n_rows]] = True
        if drop_special:
            mask[[token_id for token_id in self._unwanted if 0 <= token_id < n_rows]] = False
        return mask

    @cached_property
    def _unwanted(self) -> frozenset[int]:
        unused = (i for i, text in self.texts.items() if _UNUSED.fullmatch(text))
        return self.special.union(unused)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer in a model's folder; no code of the model's is ever run.

    Raises CheckpointError when the folder has none that transformers can read.
    """
    if is_fairseq(folder):
        return _word_tokenizer(read_dictionary(folder))
    if not any((folder / name).is_file() for name in VOCABULARY_FILES):
        # transformers would make a tokenizer of special tokens only, without a word of warning.
        raise CheckpointError(
            f"No tokenizer can be read in the model's folder {folder.name}: one of "
            f"{', '.join(VOCABULARY_FILES)} is needed beside the weights."
        )
    try:
        return AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )  # a folder  # nosec B615
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        reason = str(error).strip().splitlines()[:1]
        raise CheckpointError(
            f"No tokenizer can be read in the model's folder {folder.name}: "
            f"{reason[0] if reason else type(error).__name__} "
            "Put the tokenizer's files (such as tokenizer.json) beside the weights."
        ) from error


def _word_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerBase:
    """A tokenizer of whole words, each by its place; of a word that is there twice, the last."""
    bos, pad, eos, unk = SPECIAL
    entries = {word: place for place, word in enumerate(words)}
    backend = Tokenizer(models.WordLevel(entries, unk_token=unk))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer: Any = PreTrainedTokenizerFast  # untyped
    made: PreTrainedTokenizerBase = tokenizer(
        tokenizer_object=backend, bos_token=bos, pad_token=pad, eos_token=eos, unk_token=unk
    )
    return made


def read_vocabulary(tokenizer: PreTrainedTokenizerBase) -> Vocabulary:
    """The vocabulary of a tokenizer, tokens added later included."""
    entries: dict[str, int] = tokenizer.get_vocab()
    texts: dict[int, str] = {}
    for text, token_id in sorted(entries.items(), reverse=True):
        texts[token_id] = text  # of two names for one id, the alphabetically first
    added = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    special = frozenset(added.union(tokenizer.all_special_ids))
    return Vocabulary(dict(sorted(texts.items())), special, _marking(tokenizer, texts))


def _marking(tokenizer: PreTrainedTokenizerBase, texts: Mapping[int, str]) -> Marking:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        return _declared_marking(json.loads(backend.to_str()))
    starts = {text[:1] for text in texts.values()}
    if any(text.startswith("##") for text in texts.values()):
        return Marking.WORDPIECE
    if Marking.BYTE_LEVEL.value in starts:
        return Marking.BYTE_LEVEL
    return Marking.METASPACE if Marking.METASPACE.value in starts else Marking.WHOLE_WORDS


def _declared_marking(description: Mapping[str, Any]) -> Marking:
    """The marking that a tokenizer.json declares by its model and its decoding steps."""
    model = description["model"]["type"]
    if model == "WordPiece":
        return Marking.WORDPIECE
    if model == "WordLevel":
        return Marking.WHOLE_WORDS
    steps = json.dumps([description.get("pre_tokenizer"), description.get("decoder")])
    return Marking.BYTE_LEVEL if '"ByteLevel"' in steps else Marking.METASPACE
