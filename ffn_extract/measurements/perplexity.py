"""Perplexity on a corpus, and predictions that change (section 6.1, table 5).

The texts at the beginning of the corpus, each with a line break behind it, are one stream of
tokens, cut into windows that the model reads one by one. A window's first token is not predicted,
unless a token that the tokenizer puts before texts stands before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.errors import CorpusError, FFNExtractError, OptionError
from ffn_extract.measurements.examples import prepended_ids
from ffn_extract.measurements.kept import Arrays
from ffn_extract.measurements.measurement import Opened
from ffn_extract.projection.fixed_order import fixed_order_sum
from ffn_extract.running import one_thread
from ffn_extract.text_tokens import tokens_of
from ffn_extract.tracing.batches import BatchPlan, batch_of
from ffn_extract.tracing.reader import Reader

MOST_WINDOW = 1_024
"""The context of GPT-2, which the paper reads; longer windows need memory with their square."""
MOST_BATCH_TOKENS = 4_096
BLOCK_ROWS = 256
"""Positions whose scores over the vocabulary are in memory at once."""


@dataclass(frozen=True)
class Windows:
    """Token ids of each window, with `lead` ones before the text in all of them.

    `size` is the length of a full window.
    """

    ids: Sequence[tuple[int, ...]]
    lead: int
    size: int

    @property
    def first(self) -> int:
        """The first position whose token is predicted."""
        return max(1, self.lead)

    @property
    def plan(self) -> BatchPlan:
        """How windows are read together; their number alone and their size decide."""
        return BatchPlan(rows=min(32, max(2, MOST_BATCH_TOKENS // self.size)), multiple=1)

    @property
    def batches(self) -> list[list[int]]:
        """Numbers of the windows in each batch."""
        return self.plan.batches([len(window) for window in self.ids])


def windows_of(opened: Opened) -> Windows:
    """The windows of the corpus's first tokens. Raises CorpusError and OptionError."""
    own = opened.options.suppression
    size = own.window or min(MOST_WINDOW, opened.limit or MOST_WINDOW)
    if opened.limit is not None and size > opened.limit:
        raise OptionError.about(
            "window", f"is {size:,}, and the model reads {opened.limit:,} tokens. Give fewer."
        )
    before = prepended_ids(opened.tokenizer, opened.options)
    stream: list[int] = []
    lead: list[int] = []
    for text in opened.corpus.texts:
        if len(stream) >= own.perplexity_tokens:
            break
        read = tokens_of(opened.tokenizer, opened.checkpoint, f"{text}\n")
        found, ids = read.lead, read.own
        lead = found if before is None else before
        stream += ids
    stream = stream[: own.perplexity_tokens]
    step = size - len(lead)
    if step < 1:
        raise OptionError.about("window", f"is {size:,}, which leaves no room for text.")
    windows = [(*lead, *stream[start : start + step]) for start in range(0, len(stream), step)]
    windows = [one for one in windows if len(one) > max(1, len(lead))]
    if not windows:
        raise CorpusError(
            "The corpus has no token after another one to measure perplexity on. Give a larger "
            "--corpus."
        )
    return Windows(windows, len(lead), size)


@dataclass(frozen=True)
class PerplexityReader:
    """Losses and predictions of a model over windows."""

    reader: Reader
    windows: Windows

    def compute(self, numbers: Sequence[int]) -> Arrays:
        """Of some windows: `loss`, the sum of −ln p, `tokens`, both of shape (windows,), and `top`,
        the predicted token at each position, −1 where none counts, of shape (windows, size).

        Raises FFNExtractError where a loss is not finite.
        """
        windows = self.windows
        texts = [windows.ids[number] for number in numbers]
        batch = batch_of(texts, [0] * len(texts), windows.plan)
        device = self.reader.device
        first = windows.first
        with torch.inference_mode(), one_thread():
            states = self.reader.base(
                input_ids=batch.ids.to(device),
                attention_mask=batch.mask.to(device),
                use_cache=False,
            )[0]
        places = [(row, at) for row, ids in enumerate(texts) for at in range(first, len(ids))]
        rows, columns = (torch.tensor(some, device=device) for some in zip(*places, strict=True))
        following = batch.ids.to(device)[rows, columns]
        losses, tops = self._read(states[rows, columns - 1], following)
        loss = np.zeros(len(texts))
        top = np.full((len(texts), windows.size), -1, dtype=np.int32)
        start = 0
        for row, ids in enumerate(texts):
            own = slice(start, start + len(ids) - first)
            loss[row] = fixed_order_sum(losses[own].copy(), axis=0)
            top[row, first : len(ids)] = tops[own]
            start = own.stop
        if not np.isfinite(loss).all():
            raise FFNExtractError(
                "The model gives probabilities that are not finite numbers. Where vectors are "
                "turned on, give a smaller coefficient."
            )
        tokens = np.array([len(ids) - first for ids in texts])
        return {"loss": loss, "tokens": tokens, "top": top}

    def _read(
        self, states: torch.Tensor, following: torch.Tensor
    ) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """−ln p of the token that follows, and the top token, both of shape (places,)."""
        losses, tops = [], []
        unembed = self.reader.unembed
        done = 0
        for scores in unembed.in_blocks(states, BLOCK_ROWS, unembed.of_output):
            own = following[done : done + len(scores)]
            done += len(scores)
            with torch.inference_mode(), one_thread():
                logits = unembed.logits(scores).to(torch.float64)
                chosen = logits.gather(1, own[:, None])[:, 0]
                losses.append((torch.logsumexp(logits, dim=1) - chosen).cpu().numpy())
                tops.append(scores.argmax(dim=1).cpu().numpy())
        return np.concatenate(losses), np.concatenate(tops).astype(np.int32)
