"""A model's vocabulary, read with its own tokenizer."""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from ffn_extract.checkpoints.fairseq import SPECIAL, is_fairseq, read_dictionary
from ffn_extract.checkpoints.find import Checkpoint
from ffn_extract.errors import CheckpointError
from ffn_extract.gguf_format.tokenizer import tokenizer_in_gguf
from ffn_extract.tokenizer_files import open_tokenizer, tokenizer_json
from ffn_extract.tokens import Marking, TokenForm, token_form
from ffn_extract.word_marks import marking_of

_log = logging.getLogger(__name__)
_HIGHEST_ID = 10_000_000
_UNUSED = re.compile(
    r"\[unused\d+\]|<unused\d+>|<\|?reserved_special_token_\d+\|?>|<extra_id_\d+>|<\|extra_\d+\|>"
    r"|madeupword\d{4}"  # fairseq fills its dictionaries up to a multiple of 8
)


@dataclass(frozen=True)
class Vocabulary:
    """Entries of a vocabulary by token id, its special ids and its word marks.

    `added` are the ids that were added to a tokenizer after it was trained, special or not.
    """

    texts: Mapping[int, str]
    special: frozenset[int]
    marking: Marking
    added: frozenset[int] = frozenset()

    @property
    def level(self) -> str:
        """ "word" or "subword"."""
        return "word" if self.marking.whole_words else "subword"

    def form(self, token_id: int) -> TokenForm:
        """The display form of a token."""
        return token_form(self.texts[token_id], self.marking, special=token_id in self.special)

    def allowed(self, n_rows: int, *, drop_special: bool) -> NDArray[np.bool_]:
        """The rows of the unembedding that may appear in lists, shape (n_rows,).

        Rows that no entry names never do; special and unused tokens do unless they are dropped.
        """
        mask = np.zeros(n_rows, dtype=np.bool_)
        mask[[token_id for token_id in self.texts if 0 <= token_id < n_rows]] = True
        if drop_special:
            mask[[token_id for token_id in self._unwanted if 0 <= token_id < n_rows]] = False
        return mask

    def check_rows(self, n_rows: int) -> None:
        """Compare the entries with the unembedding's rows; warn where many rows have no entry.

        Raises CheckpointError, with both numbers, where an entry has no row: a tokenizer with such
        entries is not the one that the model was trained with.
        """
        self._require_rows(n_rows)
        spare = self.spare_rows(n_rows)
        if spare:
            _log.warning(
                "The tokenizer has %s entries and the unembedding %s rows: %s rows (%.0f%%) have "
                "no entry and stay out of every list. Check that the tokenizer is this model's.",
                *(f"{n:,}" for n in (len(self.texts), n_rows, spare)),
                100 * spare / n_rows,
            )
        if self.marking.known != "starts":
            _log.warning(
                "The tokenizer marks %s, so whether a token starts a word is not known, and no "
                "token gets a gloss.",
                "only where a word ends" if self.marking.known == "ends" else "no words",
            )

    def _require_rows(self, n_rows: int) -> None:
        beyond = [token_id for token_id in self.texts if token_id >= n_rows]
        if not beyond:
            return
        shown = ", ".join(f"{i} ({self.form(i).display})" for i in beyond[:3])
        more = ", …" if len(beyond) > 3 else ""
        only_added = self.added.issuperset(beyond)
        way_out = (
            "They were added to the tokenizer and not to the model: take them out of its files "
            "(added_tokens in tokenizer.json, added_tokens.json, added_tokens_decoder in "
            "tokenizer_config.json)."
            if only_added
            else "Put the tokenizer with which the model was trained beside the weights."
        )
        raise CheckpointError(
            f"The tokenizer has {len(self.texts):,} entries and the unembedding {n_rows:,} rows; "
            f"it has none for {shown}{more}. {way_out}"
        )

    def spare_rows(self, n_rows: int) -> int:
        """Number of rows without an entry, if more than a model's padding; else 0.

        Padding is at most 2% of the rows, or at most 8, or below 128 where the rows are a multiple
        of 8.
        """
        spare = n_rows - sum(1 for token_id in self.texts if 0 <= token_id < n_rows)
        padded = spare < 128 and n_rows % 8 == 0
        return 0 if padded or spare <= max(8, n_rows // 50) else spare

    def notes(self, n_rows: int) -> dict[str, Any]:
        """Notes on an unusual tokenizer for readers of a bundle; empty if it is usual."""
        notes: dict[str, Any] = {}
        if self.marking.known != "starts":
            notes["words_marked_by"] = self.marking.known
        if self.spare_rows(n_rows):
            notes["entries"] = len(self.texts)
        return notes

    @cached_property
    def _unwanted(self) -> frozenset[int]:
        unused = (i for i, text in self.texts.items() if _UNUSED.fullmatch(text))
        return self.special.union(unused)


def open_vocabulary(checkpoint: Checkpoint) -> tuple[PreTrainedTokenizerBase, Vocabulary]:
    """A model's tokenizer and vocabulary.

    Raises CheckpointError when it has none that can be read, with what to do.
    """
    if checkpoint.gguf is not None:
        tokenizer = tokenizer_in_gguf(checkpoint.gguf)
        return tokenizer, read_vocabulary(tokenizer)
    tokenizer = load_tokenizer(checkpoint.folder)
    return tokenizer, read_vocabulary(tokenizer, checkpoint.folder)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer in a model's folder; no code of the model is ever run.

    Raises CheckpointError when the folder has none that can be read, with what to do.
    """
    if is_fairseq(folder):
        return _word_tokenizer(read_dictionary(folder))
    return open_tokenizer(folder)


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


def read_vocabulary(tokenizer: PreTrainedTokenizerBase, folder: Path | None = None) -> Vocabulary:
    """The vocabulary of a tokenizer, tokens added later included.

    How it marks words is read from the tokenizer.json in `folder`, where there is one: a class of
    transformers can make its own pipeline of such a file.
    """
    entries: dict[str, int] = tokenizer.get_vocab()
    texts: dict[int, str] = {}
    for text, token_id in sorted(entries.items(), reverse=True):
        texts[token_id] = text  # of two names for one id, the alphabetically first
    added = tokenizer.added_tokens_decoder
    special = frozenset(i for i, token in added.items() if token.special)
    description = tokenizer_json(folder) if folder is not None else None
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if description is None and backend is not None:
        _require_near_ids(texts)
        description = json.loads(backend.to_str())
    return Vocabulary(
        dict(sorted(texts.items())),
        special.union(tokenizer.all_special_ids),
        marking_of(tokenizer, description, texts.values()),
        frozenset(added),
    )


def _require_near_ids(texts: Mapping[int, str]) -> None:
    """Refuse ids that would fill memory: `to_str` keeps a place for each up to the highest."""
    highest = max(texts, default=0)
    if highest > _HIGHEST_ID:
        raise CheckpointError(
            f"The tokenizer's entry {ascii(texts[highest])[:50]} has the token id {highest:,}; ids "
            f"up to {_HIGHEST_ID:,} are read. Copy the model again."
        )
