"""Set, scale or zero coefficients while a model runs or writes.

Geva et al. (2022, section 6.1) turn value vectors on: m_i := c at every position. Their released
code sets what the activation reads instead, so that m = gelu(3) = 2.996 for c = 3; that is
`before_activation`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch

from ffn_extract.errors import OptionError
from ffn_extract.tracing.reader import Reader


@dataclass(frozen=True)
class Intervention:
    """A change of the coefficient of one value vector, by layer and index, both from 0.

    Attributes
    ----------
    action, value
        "set" makes m `value`, "scale" multiplies it by `value`, "zero" makes it 0. Of an expert, m
        includes the router's weight: setting it turns the vector on even where the expert is not
        chosen.
    before_activation
        Change what the activation reads instead of m; in gated FFNs the gate's side of it.
    from_position
        The first position, counted from 0 over padding too, at which it applies.
    """

    layer: int
    index: int
    action: Literal["set", "scale", "zero"]
    value: float = 0.0
    before_activation: bool = False
    from_position: int = 0


@contextmanager
def intervened(reader: Reader, interventions: Sequence[Intervention]) -> Iterator[None]:
    """Within the block, `reader.model` runs with changed coefficients, `generate` included.

    The reader's readings show them too. With a key–value cache, positions go on where the cache
    ends. Raises OptionError for a vector that the model does not have, or that is named twice.
    """
    _check(reader, interventions)
    window = _Window()
    handles: list[Any] = [reader.base.register_forward_pre_hook(window.open, with_kwargs=True)]
    try:
        for one in interventions:
            ffn = reader.ffns[one.layer]
            change = ffn.change_input if one.before_activation else ffn.change_coefficient
            handles += change(one.index, _Changed(one, window))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _check(reader: Reader, interventions: Sequence[Intervention]) -> None:
    seen: set[tuple[int, int]] = set()
    for one in interventions:
        if one.layer not in reader.layers:
            raise OptionError(
                f"The model has the layers 0 to {len(reader.layers) - 1}, not {one.layer}."
            )
        n = len(reader.values[one.layer])
        if not 0 <= one.index < n:
            raise OptionError(f"Layer {one.layer} has value vectors 0 to {n - 1}, not {one.index}.")
        if (one.layer, one.index) in seen:
            raise OptionError(f"The vector {one.layer}:{one.index} is named twice; name it once.")
        if one.from_position < 0:
            raise OptionError("The first position is counted from 0.")
        seen.add((one.layer, one.index))


class _Window:
    """Positions of the tokens that the model reads in the pass that has begun."""

    def __init__(self) -> None:
        self.positions = torch.empty(0)

    def open(self, _: object, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Note shape and past of what the base model is called with."""
        ids = named.get("input_ids", args[0] if args else None)
        ids = named["inputs_embeds"][..., 0] if ids is None else ids
        past = named.get("past_key_values")
        start = 0 if past is None else int(past.get_seq_length())
        columns = torch.arange(start, start + ids.shape[1], device=ids.device)
        self.positions = columns.expand(ids.shape[0], -1)


@dataclass(frozen=True)
class _Changed:
    """An intervention as a function of one number per token."""

    one: Intervention
    window: _Window

    def __call__(self, numbers: torch.Tensor) -> torch.Tensor:
        changed = {
            "set": lambda: torch.full_like(numbers, self.one.value),
            "scale": lambda: numbers * self.one.value,
            "zero": lambda: torch.zeros_like(numbers),
        }[self.one.action]()
        within = self.window.positions.reshape(numbers.shape) >= self.one.from_position
        return torch.where(within, changed, numbers)
