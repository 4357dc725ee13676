"""From the residual stream to scores over the vocabulary, and ranks among them."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import linear

from ffn_extract.architectures.declaration import NormNames
from ffn_extract.errors import ArchitectureError
from ffn_extract.running import one_thread

_ROWS = 8_192  # of a half-precision unembedding that are widened at a time
_ODD = 1e-3  # relative; a norm of another kind than its family's is off by far more


@dataclass(frozen=True)
class LinearLogit:
    """The logit of one token as a linear function of the residual stream.

    It holds at one state, where the final norm's scale is taken as fixed: the logit there, before
    the model caps it, is `direction` · state + `bias`. Float64.
    """

    direction: torch.Tensor
    bias: float

    def push(self, vectors: torch.Tensor) -> torch.Tensor:
        """How much vectors of the stream add to the logit: (..., d_model) to (...)."""
        return vectors.to(torch.float64) @ self.direction


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

    @property
    def factor(self) -> float:
        """By what the model multiplies scores before it caps them."""
        config = self._config
        times = getattr(config, "logit_scale", None) or 1
        return float(times / (getattr(config, "logits_scaling", None) or 1))

    def logits(self, scores: torch.Tensor) -> torch.Tensor:
        """The model's own logits from scores: scaled and capped as it does."""
        scaled = scores * self.factor
        cap = getattr(self._config, "final_logit_softcapping", None)
        return cap * torch.tanh(scaled / cap) if cap else scaled

    def linear_logit(self, state: torch.Tensor, token_id: int, norm: NormNames) -> LinearLogit:
        """The logit of a token around the state (d_model,), with the norm's own scale there.

        `norm` is the family's declaration of the final norm: e_w·(g ⊙ (s − mean(s)))/σ for a
        LayerNorm, e_w·(g ⊙ s)/σ for an RMSNorm, and its bias and the head's in `bias`. Raises
        ArchitectureError where the model's norm is none such.
        """
        with torch.inference_mode(), one_thread():
            normed = self._norm(state[None])[0].to(torch.float64)
            token = self.directions(torch.tensor(token_id, device=state.device)).double()
            gain, bias = (self._of_norm(name, normed) for name in ("weight", "bias"))
            gain = torch.ones_like(normed) if gain is None else gain + norm.gain_offset
            bias = torch.zeros_like(normed) if bias is None else bias
            # norm(h) = r·g ⊙ (h − mean(h)) + β, and r is what fits: each class has its own epsilon.
            unscaled = gain * _centred(state.to(torch.float64), norm.kind)
            size = float(unscaled @ unscaled)
            scale = float((normed - bias) @ unscaled) / size if size else 0.0
            odd = torch.linalg.vector_norm(normed - bias - scale * unscaled)
            if float(odd) > _ODD * float(torch.linalg.vector_norm(normed - bias)):
                raise ArchitectureError(
                    "The model's final norm is not the one of its family, so what pushed a token "
                    "cannot be computed. Give another model."
                )
            constant = token @ bias
            for one in (self._narrow_bias(token_id), self._head_bias(token_id)):
                constant = constant + one
            direction = _centred(token * gain, norm.kind) * scale
            return LinearLogit(direction * self.factor, float(constant) * self.factor)

    def _of_norm(self, name: str, like: torch.Tensor) -> torch.Tensor | None:
        found = getattr(self._norm, name, None)
        return found.detach().to(like) if isinstance(found, torch.Tensor) else None

    def _narrow_bias(self, token_id: int) -> float:
        bias = getattr(self._narrow, "bias", None)
        if not isinstance(bias, torch.Tensor):
            return 0.0
        return float(self._rows[token_id].to(torch.float64) @ bias.detach().to(torch.float64))

    def _head_bias(self, token_id: int) -> float:
        return 0.0 if self._bias is None else float(self._bias[token_id])


def _centred(vector: torch.Tensor, kind: str) -> torch.Tensor:
    return vector if kind == "rms" else vector - vector.mean()


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
