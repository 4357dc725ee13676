"""Examples: one prefix of each sentence, read at its last position, and the token after it.

Geva et al. (2022) take random examples of a validation set (appendix A.3). The length of a prefix
is uniform between the shortest one that is read and one token less than the sentence.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from ffn_extract.checkpoints.find import Checkpoint
from ffn_extract.corpora import Corpus
from ffn_extract.errors import CorpusError, OptionError
from ffn_extract.measurements.limits import MOST_TOKENS
from ffn_extract.measurements.options import MeasureOptions
from ffn_extract.text_tokens import tokens_of

_COUNTED = 1_000  # texts at a time
_LENGTHS, _ORDER = 0, 1  # spawn keys: a sentence's length depends on no other sentence


@dataclass(frozen=True)
class Example:
    """A prefix of a sentence: ids up to the position that is read, and the token after it.

    `position` is counted from 0, over what was put before the text too.
    """

    sentence: int
    text: str
    ids: tuple[int, ...]
    position: int
    gold: int


@dataclass(frozen=True)
class Examples:
    """Drawn examples, and what was left out on the way.

    `prepended` are the ids before each text; `skipped` sentences are too short for a prefix and a
    token after it, `cut` ones longer than the model, or `MOST_TOKENS`, allows.
    """

    drawn: Sequence[Example]
    prepended: tuple[int, ...]
    min_prefix: int
    skipped: int
    cut: int
    corpus: Corpus

    @property
    def at_first_position(self) -> int:
        """Readings at position 0, which many models use as an attention sink."""
        return sum(example.position == 0 for example in self.drawn)

    def to_json(self) -> dict[str, Any]:
        """The entry of a manifest; nothing of this machine."""
        return {
            "count": len(self.drawn),
            "corpus": {
                "name": self.corpus.name,
                "texts": len(self.corpus.texts),
                "sha256": self.corpus.digest,
            },
            "prepended": list(self.prepended),
            "min_prefix": self.min_prefix,
            "skipped": self.skipped,
            "cut": self.cut,
            "at_position_0": self.at_first_position,
        }

    def lines(self) -> bytes:
        """`examples.jsonl`: an object per example, in their order."""
        rows = ({"example": i, **asdict(one)} for i, one in enumerate(self.drawn))
        return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode()


def draw_examples(
    corpus: Corpus,
    tokenizer: PreTrainedTokenizerBase,
    checkpoint: Checkpoint,
    options: MeasureOptions,
    limit: int | None = None,
) -> Examples:
    """`options.examples` examples by the seed; a larger number only adds to a smaller one's.

    `limit` is the number of tokens that the model can read. Raises CorpusError where the corpus has
    too few sentences, and OptionError for a token that cannot be put before texts.
    """
    before = prepended_ids(tokenizer, options)
    most = min(MOST_TOKENS, limit or MOST_TOKENS, tokenizer.model_max_length)
    drawn: list[Example] = []
    skipped = cut = 0
    shortest = options.min_prefix or 0
    prepended: tuple[int, ...] = ()
    for number in drawn_order(corpus, options.seed):
        if len(drawn) == options.examples:
            break
        read = tokens_of(tokenizer, checkpoint, corpus.texts[number])
        lead, own = read.lead, read.own
        lead = lead if before is None else before
        shortest = options.min_prefix or (1 if lead else 2)
        room = most - len(lead)
        cut += len(own) > room
        own = own[:room]
        if len(own) <= shortest:
            skipped += 1
            continue
        seeds = np.random.SeedSequence(options.seed, spawn_key=(_LENGTHS, number))
        length = int(np.random.Generator(np.random.PCG64(seeds)).integers(shortest, len(own)))
        prepended = tuple(lead)
        ids = (*prepended, *own[:length])
        drawn.append(Example(number, corpus.texts[number], ids, len(ids) - 1, own[length]))
    if len(drawn) < options.examples:
        raise CorpusError(
            f"The corpus has {len(drawn)} sentences of at least {shortest + 1} tokens; "
            f"{options.examples} examples need as many. Give a larger --corpus or a smaller "
            "--examples."
        )
    return Examples(drawn, prepended, shortest, skipped, cut, corpus)


def drawn_order(corpus: Corpus, seed: int) -> list[int]:
    """The numbers of a corpus's texts in the order in which a seed draws them."""
    sequence = np.random.SeedSequence(seed, spawn_key=(_ORDER,))
    order: list[int] = (
        np.random.Generator(np.random.PCG64(sequence)).permutation(len(corpus.texts)).tolist()
    )
    return order


def token_counts(
    corpus: Corpus,
    tokenizer: PreTrainedTokenizerBase,
    checkpoint: Checkpoint,
    n_rows: int,
    told: Callable[[int, int], None],
) -> NDArray[np.int64]:
    """How often each token occurs in all texts of a corpus, shape (n_rows,).

    What the tokenizer puts around a text does not count. `told` is called with texts done, and all.
    """
    counts = np.zeros(n_rows, dtype=np.int64)
    for start in range(0, len(corpus.texts), _COUNTED):
        texts = corpus.texts[start : start + _COUNTED]
        ids = [one for text in texts for one in tokens_of(tokenizer, checkpoint, text).own]
        counts += np.bincount(np.array(ids, dtype=np.int64), minlength=n_rows)
        told(start + len(texts), len(corpus.texts))
    return counts


def prepended_ids(tokenizer: PreTrainedTokenizerBase, options: MeasureOptions) -> list[int] | None:
    """The ids to put before every text; None for what the tokenizer does. Raises OptionError."""
    match options.prepend:
        case None:
            return None
        case "none":
            return []
        case "bos":
            bos = tokenizer.bos_token_id
            if not isinstance(bos, int):
                raise OptionError(
                    "The model's tokenizer has no BOS token. Give --prepend none or a token id."
                )
            return [bos]
        case int(token_id) if 0 <= token_id < len(tokenizer):
            return [token_id]
        case other:
            raise OptionError(
                f"The vocabulary has token ids 0 to {len(tokenizer) - 1}, not {other}."
            )
