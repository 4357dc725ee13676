"""From the residual stream to scores over the vocabulary, and ranks among them."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn.functional import linear

from ffn_extract.running import one_thread

_ROWS = 8_192  # of a half-precision unembedding that are widened at a time


class Unembed:
    """The model's final norm, what narrows its output if anything does, and its head with the bias.

    Scores are those before the model scales or caps them, which changes no rank. With
    `normed=False` the norm is left out. Weights in half precision are widened, and the scores are
    float32: in half precision many would be equal.
    """

    def __init__(
        self,
        norm: torch.nn.Module,
        head: torch.nn.Module,
        narrow: torch.nn.Module | None,
        config: Any,
        *,
        normed: bool = True,
    ) -> None:
        self._norm = _widened(norm) if normed else torch.nn.Identity()
        self._narrow = _widened(narrow) if narrow else torch.nn.Identity()
        self._rows: torch.Tensor = head.weight.detach()  # type: ignore[operator]
        bias: torch.Tensor | None = getattr(head, "bias", None)
        self._bias = None if bias is None else _wide(bias.detach())
        self._config = config

    @property
    def vocab_size(self) -> int:
        """Rows of the unembedding."""
        return self._rows.shape[0]

    def scores(self, states: torch.Tensor) -> torch.Tensor:
        """Scores of states of the residual stream: (n, d_model) to (n, vocab_size)."""
        with torch.inference_mode(), one_thread():
            return self._product(self._narrow(self._norm(states)))

    def of_output(self, outputs: torch.Tensor) -> torch.Tensor:
        """The same of what the decoder gives, which has normed and narrowed it: (n, width)."""
        with torch.inference_mode(), one_thread():
            return self._product(_wide(outputs))

    def of_vectors(self, vectors: torch.Tensor) -> torch.Tensor:
        """Scores E·v of vectors of the residual stream, without norm and bias, as lists have them.

        (n, d_model) to (n, vocab_size).
        """
        with torch.inference_mode(), one_thread():
            return self._without_bias(self._narrow(_wide(vectors)))

    def _product(self, narrow: torch.Tensor) -> torch.Tensor:
        if self._rows.dtype == narrow.dtype:
            return linear(narrow, self._rows, self._bias)
        scores = self._without_bias(narrow)
        return scores if self._bias is None else scores + self._bias

    def _without_bias(self, narrow: torch.Tensor) -> torch.Tensor:
        if self._rows.dtype == narrow.dtype:
            return linear(narrow, self._rows)
        parts = [linear(narrow, _wide(rows)) for rows in torch.split(self._rows, _ROWS)]
        return torch.cat(parts, dim=1)

    def in_blocks(
        self,
        states: torch.Tensor,
        rows: int,
        scores: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> Iterator[torch.Tensor]:
        """Scores of `rows` states at a time, the last block filled up: never another shape.

        The number of states alone decides about the blocks. `scores` is a method of this object,
        by default `scores`. Yields shape (at most `rows`, vocab).
        """
        scores = scores or self.scores
        for start in range(0, len(states), rows):
            block = states[start : start + rows]
            n = len(block)
            if n < rows:
                block = torch.cat([block, block[-1:].expand(rows - n, -1)])
            yield scores(block)[:n]

    def directions(self, token_ids: torch.Tensor) -> torch.Tensor:
        """e_w of tokens as vectors of the residual stream, without the norm: (*ids, d_model)."""
        rows = _wide(self._rows[token_ids])
        if isinstance(self._narrow, torch.nn.Linear):
            return rows @ self._narrow.weight.detach()
        return rows

    def logits(self, scores: torch.Tensor) -> torch.Tensor:
        """The model's own logits from scores: scaled and capped as it does."""
        config = self._config
        scaled = scores * (getattr(config, "logit_scale", None) or 1)
        scaled = scaled / (getattr(config, "logits_scaling", None) or 1)
        cap = getattr(config, "final_logit_softcapping", None)
        return cap * torch.tanh(scaled / cap) if cap else scaled


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _widened(module: torch.nn.Module) -> torch.nn.Module:
    """The module, or a float32 copy of one in half precision."""
    if all(_wide(one).dtype == one.dtype for one in module.parameters()):
        return module
    return copy.deepcopy(module).float()


def ranks(scores: torch.Tensor, token_ids: torch.Tensor) -> torch.Tensor:
    """Rank(t) = 1 + #{higher} + #{equal with lower id}: (n, vocab), (n,) to (n,)."""
    own = scores.gather(1, token_ids[:, None])
    higher = (scores > own).sum(dim=1)
    equal = scores == own
    if bool((equal.sum(dim=1) > 1).any()):
        lower = torch.arange(scores.shape[1], device=scores.device) < token_ids[:, None]
        higher = higher + (equal & lower).sum(dim=1)
    return higher + 1


def top(scores: torch.Tensor) -> torch.Tensor:
    """The token of rank 1: (n, vocab) to (n,); of equal ones that with the lowest id."""
    return scores.argmax(dim=1)
