"""The sentences of a corpus as a model reads them, kept on disk while it does.

A corpus can be larger than memory, and prefixes are cut out of it long after it was read. So each
sentence is written once, with its ids and the ends of its tokens, to a file that has no name.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from ffn_extract.checkpoints.find import Checkpoint
from ffn_extract.errors import CheckpointError, CorpusError
from ffn_extract.text_tokens import tokens_of
from ffn_extract.unnamed_file import UnnamedFile

MOST_TOKENS = 512
"""Longer sentences are cut."""
_KEPT = 16_384  # sentences in memory, when prefixes are cut out of them


@dataclass(frozen=True)
class Counted:
    """Counts of a corpus' sentences: those that were read, and those that were left out.

    `prepended` are the ids before each sentence. Without any, position 0 is left out, in
    `at_position_0` sentences. `cut` ones are longer than `longest` tokens, `without_prefix` have no
    position that is read.
    """

    prepended: tuple[int, ...]
    longest: int
    cut: int
    at_position_0: int
    without_prefix: int

    @property
    def first(self) -> int:
        """The first position that is read."""
        return max(1, len(self.prepended))

    def to_json(self) -> dict[str, Any]:
        """The entries of a manifest."""
        return {
            "prepended": list(self.prepended),
            "longest": self.longest,
            "first_position": self.first,
            "cut": self.cut,
            "at_position_0": self.at_position_0,
            "without_prefix": self.without_prefix,
        }


class Sentences:
    """Ids, token ends and texts of a corpus, by the number of the sentence."""

    def __init__(
        self,
        texts: Iterable[str],
        tokenizer: PreTrainedTokenizerBase,
        checkpoint: Checkpoint,
        limit: int | None,
        before: Sequence[int] | None = None,
    ) -> None:
        """`limit` is the number of tokens that the model can read, `before` the ids that stand
        before each sentence in place of the tokenizer's own.

        Raises CorpusError.
        """
        if not tokenizer.is_fast:
            raise CheckpointError(
                f"The tokenizer of {checkpoint.name} does not say where a token ends in its text, "
                "so no prefix can be cut out. Put a tokenizer.json beside the weights, or leave "
                "out what needs keys."
            )
        longest = min(MOST_TOKENS, limit or MOST_TOKENS, tokenizer.model_max_length)
        lead: list[int] = []
        lengths = []
        cut = 0
        self._file = UnnamedFile()
        for text in texts:
            read = tokens_of(tokenizer, checkpoint, text, ends=True)
            own_lead = read.lead if before is None else list(before)
            own = read.own[: longest - len(own_lead)]
            ids = [*own_lead, *own] if own else []
            lead = own_lead if own else lead
            cut += len(own) < len(read.own)
            numbers = np.array([*ids, *read.ends[: len(own)]], np.int32)
            self._file.append(numbers.tobytes() + text.encode())
            lengths.append(len(ids))
        self._file.flush()
        self.lengths: NDArray[np.int32] = np.array(lengths, np.int32)
        """Tokens of each sentence, with those before it."""
        bare = int(np.count_nonzero(self.lengths)) if not lead else 0
        first = max(1, len(lead))
        without = int(np.count_nonzero(self.lengths <= first))
        self.counted = Counted(tuple(lead), longest, cut, bare, without)
        if without == len(lengths):
            raise CorpusError(
                "No sentence of the corpus has a prefix that is read: the first token is left out "
                "where nothing stands before it. Give a --corpus with longer sentences."
            )
        self._record = lru_cache(maxsize=_KEPT)(self._read)

    def __len__(self) -> int:
        return len(self.lengths)

    def ids(self, sentence: int) -> list[int]:
        """The ids of a sentence, those before it among them."""
        ids: list[int] = self._read(sentence)[0].tolist()
        return ids

    def token(self, sentence: int, position: int) -> int:
        """The id at a position."""
        return int(self._record(sentence)[0][position])

    def prefix(self, sentence: int, position: int) -> str:
        """The text of a sentence up to the end of the token at a position."""
        _, ends, text = self._record(sentence)
        return text[: int(ends[position - len(self.counted.prepended)])]

    def _read(self, sentence: int) -> tuple[NDArray[np.int32], NDArray[np.int32], str]:
        content = self._file.read(sentence)
        length = int(self.lengths[sentence])
        own = max(0, length - len(self.counted.prepended))
        numbers = np.frombuffer(content, np.int32, length + own)
        text = content[4 * len(numbers) :].decode()
        return numbers[:length], numbers[length:], text


def prefix_numbers(ids: Iterable[int]) -> NDArray[np.uint64]:
    """A number for each prefix of some ids, equal for equal prefixes: 64 bits of their digest."""
    content = hashlib.blake2b(digest_size=8)
    numbers = []
    for token_id in ids:
        content.update(token_id.to_bytes(4, "little"))
        numbers.append(content.copy().digest())
    return np.array([int.from_bytes(one, "little") for one in numbers], np.uint64)
