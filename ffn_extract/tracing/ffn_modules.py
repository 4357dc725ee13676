"""The FFN of one layer in a transformers model: where its coefficients and its update are.

Coefficients are what multiplies the value vectors: the input of the value matrix; of experts the
same times the router's weight, and 0 where an expert was not chosen. Experts keep theirs inside one
function, so they are computed again, at the places that are wanted, from what that function read.

Tokens of a batch are numbered row by row: number = row · length + column.
"""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch.nn.functional import linear
from torch.utils.hooks import RemovableHandle
from transformers.pytorch_utils import Conv1D

from ffn_extract.architectures import FFN, Architecture
from ffn_extract.errors import CheckpointError
from ffn_extract.tracing.layout import Layout

_NOTHING = torch.empty(0)
Change = Callable[[torch.Tensor], torch.Tensor]
"""From one number per token of a batch, in any shape, to changed ones."""


class FFNModules(Protocol):
    """One layer's FFN."""

    @property
    def update(self) -> torch.nn.Module:
        """The module whose output, or the first part of it, is what the FFN gives, u."""

    def value_parts(self) -> list[torch.Tensor]:
        """Value matrices with a vector per row, in the order of indices; views, not copies."""

    def watch(self) -> list[RemovableHandle]:
        """Hooks that keep what `coefficients` needs during a forward pass."""

    def coefficients(self, tokens: torch.Tensor) -> torch.Tensor:
        """m at some tokens of the pass, shape (tokens, n_values), once `update` has answered."""

    def watch_factors(self) -> list[RemovableHandle]:
        """Hooks, beside those of `watch`, that keep what `up_is_positive` needs."""

    def up_is_positive(
        self, tokens: torch.Tensor, places: torch.Tensor, indices: torch.Tensor
    ) -> torch.Tensor | None:
        """Whether the second factor of some coefficients is above 0; None in an FFN without one.

        They are those of the vectors `indices` at `tokens[places]`, shape (n,); `tokens` are those
        of the last call of `coefficients`.
        """

    def forget(self) -> None:
        """Let go of what was kept."""

    def change_coefficient(self, index: int, change: Change) -> list[RemovableHandle]:
        """Change m of one vector in every pass until the handles are removed."""

    def change_input(self, index: int, change: Change) -> list[RemovableHandle]:
        """Change what one vector's activation reads, instead."""


class DenseFFN:
    """An FFN without experts: its value matrix is a module, and its key matrix another."""

    def __init__(
        self,
        value: torch.nn.Module,
        key: torch.nn.Module | None,
        part: str = "all",
        up: torch.nn.Module | None = None,
        up_part: str = "all",
    ) -> None:
        self._value, self._key, self._part = value, key, part
        self._up, self._up_part = up, up_part
        self._read = self._up_read = self._key_input = _NOTHING

    @property
    def update(self) -> torch.nn.Module:
        """The value matrix."""
        return self._value

    def value_parts(self) -> list[torch.Tensor]:
        """The one value matrix, which Conv1D keeps with vectors as rows and Linear as columns."""
        weight: torch.Tensor = self._value.weight  # type: ignore[assignment]
        if isinstance(self._value, Conv1D):
            return [weight.detach()]
        if isinstance(self._value, torch.nn.Linear):
            return [weight.detach().T]
        raise CheckpointError(
            f"The value matrix is a {type(self._value).__name__}, of which it is not known whether "
            "its vectors are rows or columns."
        )

    def watch(self) -> list[RemovableHandle]:
        """A hook on the value matrix's input."""

        def keep(_: object, inputs: tuple[torch.Tensor, ...]) -> None:
            self._read = inputs[0]

        return [self._value.register_forward_pre_hook(keep)]

    def coefficients(self, tokens: torch.Tensor) -> torch.Tensor:
        """The value matrix's input at some tokens; a copy."""
        return self._read.reshape(-1, self._read.shape[-1])[tokens]

    def watch_factors(self) -> list[RemovableHandle]:
        """Hooks on the input of the key matrix and on the output of its partner."""

        def keep_input(_: object, inputs: tuple[torch.Tensor, ...]) -> None:
            self._key_input = inputs[0]

        def keep_up(_: object, __: object, output: torch.Tensor) -> None:
            self._up_read = output

        handles = []
        if self._key is not None:
            handles.append(self._key.register_forward_pre_hook(keep_input))
        if self._up is not None:
            handles.append(self._up.register_forward_hook(keep_up))
        return handles

    def up_is_positive(
        self, tokens: torch.Tensor, places: torch.Tensor, indices: torch.Tensor
    ) -> torch.Tensor | None:
        """By what the key matrix's partner gave."""
        if self._up is None:
            return None
        read = self._up_read.reshape(-1, self._up_read.shape[-1])
        return read[tokens[places], _columns(indices, self._up_part, read.shape[-1])] > 0

    def key_input(self, tokens: torch.Tensor) -> torch.Tensor:
        """Inputs of the key matrix at some tokens, shape (tokens, d_model); a copy."""
        if self._key is None:
            raise CheckpointError("The key matrix of this FFN is not a module of its own.")
        return self._key_input.reshape(-1, self._key_input.shape[-1])[tokens]

    @property
    def is_gated(self) -> bool:
        """Whether a coefficient has two factors."""
        return self._up is not None

    def biases(self) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Biases of the keys' products, and of their partners', shape (n_values,)."""
        return _bias(self._key, self._part), _bias(self._up, self._up_part)

    def forget(self) -> None:
        """Let go of inputs."""
        self._read = self._up_read = self._key_input = _NOTHING

    def change_coefficient(self, index: int, change: Change) -> list[RemovableHandle]:
        """Change a column of the value matrix's input."""

        def changed(_: object, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            m = inputs[0].clone()
            m[..., index] = change(m[..., index])
            return (m, *inputs[1:])

        return [self._value.register_forward_pre_hook(changed)]

    def change_input(self, index: int, change: Change) -> list[RemovableHandle]:
        """Change a column of the key matrix's output."""
        if self._key is None:
            raise CheckpointError(
                "The key matrix of this FFN is not a module of its own, so nothing can be set "
                "before the activation. Set the coefficient, after it."
            )

        def changed(_: object, __: object, output: torch.Tensor) -> torch.Tensor:
            column = _column(index, self._part, output.shape[-1])
            output = output.clone()
            output[..., column] = change(output[..., column])
            return output

        return [self._key.register_forward_hook(changed)]


class ExpertFFN:
    """Experts behind a router, and beside them perhaps one that every token visits.

    `container` is the whole; `experts` holds the stacked matrices. With `transposed` they are
    (experts, from, to), as `x @ W` takes them, else (experts, to, from). With `weigh_input` the
    router's weight multiplies what the experts read, and every expert reads every token.
    """

    def __init__(
        self,
        container: torch.nn.Module,
        experts: torch.nn.Module,
        *,
        transposed: bool,
        weigh_input: bool,
        shared: DenseFFN | None = None,
        gate: torch.nn.Module | None = None,
    ) -> None:
        self._container, self._experts = container, experts
        self._transposed, self._weigh_input = transposed, weigh_input
        self._shared, self._gate = shared, gate
        values = self._stack("down_proj")
        self._n_experts, self._width = len(values), values.shape[1 if transposed else 2]
        self._read = _NOTHING
        self._routes: tuple[torch.Tensor, torch.Tensor] | None = None
        self._gated: torch.Tensor | None = None
        self._keeps_factors = False
        self._gate_is_positive = self._last = _NOTHING
        self._changes: dict[int, tuple[Change, bool]] = {}

    @property
    def update(self) -> torch.nn.Module:
        """The whole."""
        return self._container

    def value_parts(self) -> list[torch.Tensor]:
        """A matrix for each expert, and the shared one's."""
        stack = self._stack("down_proj")
        routed = [one if self._transposed else one.T for one in stack]
        return routed + (self._shared.value_parts() if self._shared else [])

    def watch(self) -> list[RemovableHandle]:
        """Hooks on the experts' input, the shared expert's value matrix and its gate."""

        def keep(_: object, args: tuple[torch.Tensor, ...], named: dict[str, Any]) -> None:
            read = [*args, *named.values()]
            if self._weigh_input:
                self._read = read[0].reshape(self._n_experts, -1, read[0].shape[-1])
            else:
                self._read, self._routes = read[0], (read[1], read[2])

        def keep_gate(_: object, __: object, output: torch.Tensor) -> None:
            self._gated = torch.sigmoid(output.reshape(-1))

        handles = [self._experts.register_forward_pre_hook(keep, with_kwargs=True)]
        handles += self._shared.watch() if self._shared else []
        handles += [self._gate.register_forward_hook(keep_gate)] if self._gate else []
        return handles

    def coefficients(self, tokens: torch.Tensor) -> torch.Tensor:
        """m of every expert at some tokens, computed from what the experts read."""
        x = self._read[..., tokens, :]
        routed = x.new_zeros((len(tokens), self._n_experts, self._width))
        for expert in range(self._n_experts):
            weights = self._weights(expert)[tokens]
            chosen = weights != 0
            if self._weigh_input:
                routed[:, expert] = self._activated(x[expert], expert, slice(None))
            elif chosen.any():
                active = self._activated(x[chosen], expert, slice(None))
                routed[chosen, expert] = active * weights[chosen, None]
        parts = [routed.reshape(len(tokens), -1)]
        if self._keeps_factors:
            self._gate_is_positive = self._gates(tokens)
        if self._shared is not None:
            m = self._shared.coefficients(tokens)
            parts.append(m if self._gated is None else m * self._gated[tokens, None])
        m = torch.cat(parts, dim=1)
        for index in self._changes:
            m[:, index] = self._changed(index)[1][tokens]
        if self._keeps_factors:
            self._last = m
        return m

    def watch_factors(self) -> list[RemovableHandle]:
        """Have `coefficients` keep the signs of gates, and the shared expert what it needs."""
        self._keeps_factors = True
        handles = self._shared.watch_factors() if self._shared else []
        return [*handles, _Undo(self._forget_factors)]  # type: ignore[list-item]

    def _forget_factors(self) -> None:
        self._keeps_factors = False
        self._gate_is_positive = _NOTHING

    def _gates(self, tokens: torch.Tensor) -> torch.Tensor:
        """Whether each expert's activated gates are above 0, shape (tokens, experts · width)."""
        x = self._read[..., tokens, :]
        found = torch.zeros(
            (len(tokens), self._n_experts, self._width), dtype=torch.bool, device=x.device
        )
        for expert in range(self._n_experts):
            chosen = self._weights(expert)[tokens] != 0
            if chosen.any():
                read = self._products(x[expert] if self._weigh_input else x[chosen], expert)
                rows = slice(None) if self._weigh_input else chosen
                found[rows, expert] = self._gate_of(read) > 0
        return found.reshape(len(tokens), -1)

    def up_is_positive(
        self, tokens: torch.Tensor, places: torch.Tensor, indices: torch.Tensor
    ) -> torch.Tensor | None:
        """By the sign of each coefficient and of its gate; a router's weights are above 0."""
        routed = self._n_experts * self._width
        found = torch.zeros(len(indices), dtype=torch.bool, device=indices.device)
        own = indices < routed
        gates = self._gate_is_positive[places[own], indices[own]]
        found[own] = gates == (self._last[places[own], indices[own]] > 0)
        if self._shared is not None:
            shared = self._shared.up_is_positive(tokens, places[~own], indices[~own] - routed)
            if shared is not None:
                found[~own] = shared
        return found

    def forget(self) -> None:
        """Let go of inputs."""
        self._read, self._routes, self._gated = _NOTHING, None, None
        self._last = self._gate_is_positive = _NOTHING
        if self._shared is not None:
            self._shared.forget()

    def change_coefficient(self, index: int, change: Change) -> list[RemovableHandle]:
        """Add to the whole's output what the changed coefficient adds."""
        return self._correct(index, change, before=False)

    def change_input(self, index: int, change: Change) -> list[RemovableHandle]:
        """The same, where an expert is chosen; the shared expert's key matrix is a module."""
        routed = self._n_experts * self._width
        if index >= routed and self._shared is not None:
            return self._shared.change_input(index - routed, change)
        return self._correct(index, change, before=True)

    def _correct(self, index: int, change: Change, *, before: bool) -> list[RemovableHandle]:
        self._changes[index] = (change, before)
        parts = self.value_parts()
        start = 0
        while index >= start + len(parts[0]):
            start += len(parts.pop(0))
        value = parts[0][index - start]

        def corrected(_: object, __: object, output: Any) -> Any:
            u = output[0] if isinstance(output, tuple) else output
            old, new = self._changed(index)
            added = ((new - old)[:, None] * value).reshape(u.shape)
            return (u + added, *output[1:]) if isinstance(output, tuple) else u + added

        handle = self._container.register_forward_hook(corrected)
        return [*self.watch(), _Undo(lambda: self._changes.pop(index, None)), handle]  # type: ignore[list-item]

    def _changed(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """One vector's coefficient at every token, as it was and as it is changed."""
        change, before = self._changes[index]
        expert, column = divmod(index, self._width)
        if expert >= self._n_experts and self._shared is not None:
            every = torch.arange(self._read.shape[-2], device=self._read.device)
            shared = self._shared.coefficients(every)[:, index - self._n_experts * self._width]
            old = shared if self._gated is None else shared * self._gated
            return old, change(old)
        x = self._read[expert] if self._weigh_input else self._read
        weights = self._weights(expert)
        old = self._activated(x, expert, column)[:, 0] * weights
        if not before:
            return old, change(old)
        new = self._activated(x, expert, column, change)[:, 0] * weights
        return old, new

    def _weights(self, expert: int) -> torch.Tensor:
        """The factor of an expert's output at every token; its sign of not being chosen is 0."""
        if self._routes is None:
            return self._read.new_ones(self._read.shape[-2])
        chosen, weights = self._routes
        return torch.where(chosen == expert, weights, 0).sum(dim=1).to(self._read.dtype)

    def _activated(
        self, x: torch.Tensor, expert: int, column: int | slice, change: Change | None = None
    ) -> torch.Tensor:
        """act(gate)·up of one expert, for one of its vectors or for all."""
        read = self._products(x, expert, column)
        if change is not None:
            read[..., 0] = change(read[..., 0])
        apply: Any = getattr(self._experts, "_apply_gate", None)
        if apply is not None:
            return apply(read)  # type: ignore[no-any-return]
        gate, up = read.chunk(2, dim=-1)
        activation: Any = self._experts.act_fn
        return activation(gate) * up  # type: ignore[no-any-return]

    def _products(
        self, x: torch.Tensor, expert: int, column: int | slice = slice(None)
    ) -> torch.Tensor:
        """Products of one expert's gate and up, side by side or in turns as the family has them."""
        matrix = self._stack("gate_up_proj")[expert]
        matrix = matrix.T if self._transposed else matrix  # (2 · width, d_model)
        bias = getattr(self._experts, "gate_up_proj_bias", None)
        bias = None if bias is None else bias.detach()[expert]
        if isinstance(column, int):
            # Of one vector, gate and up are neighbours and halves alike.
            interleaved = bool(getattr(self._experts, "is_concatenated", True)) is False
            both = [2 * column, 2 * column + 1] if interleaved else [column, column + self._width]
            matrix, bias = matrix[both], None if bias is None else bias[both]
        return linear(x, matrix, bias)

    def _gate_of(self, read: torch.Tensor) -> torch.Tensor:
        """A number with the sign of each activated gate."""
        if bool(getattr(self._experts, "is_concatenated", True)) is False:
            return read[..., ::2]  # gate · sigmoid(α · gate), which has the gate's sign
        activation: Any = self._experts.act_fn
        return activation(read.chunk(2, dim=-1)[0])  # type: ignore[no-any-return]

    def _stack(self, name: str) -> torch.Tensor:
        stack: torch.Tensor = getattr(self._experts, name)
        return stack.detach()


class _Undo:
    """Handle whose removal undoes something."""

    def __init__(self, undo: Callable[[], object]) -> None:
        self.remove = undo


def ffn_modules(architecture: Architecture, place: Layout, layer: int) -> FFNModules:
    """The FFN of a layer, in the first of the family's forms that the model has there.

    Raises CheckpointError where the model has none.
    """
    whole = place.module(place.value_module, layer)
    experts = getattr(whole, "experts", None)
    mixed = bool(architecture.ffns[0].experts_keys)
    for form in architecture.ffns:
        if form.experts_keys and isinstance(experts, torch.nn.Module):
            return _experts(form, place, layer, whole, experts)
        if not form.experts_keys:
            return _dense(form, place, layer, None if mixed else place.value_module)
    raise CheckpointError(f"The model has no FFN of its family in layer {layer}.")


def _dense(form: FFN, place: Layout, layer: int, value: str | None = None) -> DenseFFN:
    """`value` is its module's name, where that is not the name of the tensor on disk."""
    module = place.module(value or form.value.name.removesuffix(".weight"), layer)
    if form.key is None:
        return DenseFFN(module, None)
    key = place.optional(form.key.name.removesuffix(".weight"), layer)
    if form.up is None:
        return DenseFFN(module, key, form.key.part)
    up = place.module(form.up.name.removesuffix(".weight"), layer)
    return DenseFFN(module, key, form.key.part, up, form.up.part)


def _experts(
    form: FFN, place: Layout, layer: int, whole: torch.nn.Module, experts: torch.nn.Module
) -> ExpertFFN:
    shared = form.then
    gate = None if shared is None else shared.gate_module
    return ExpertFFN(
        whole,
        experts,
        # Experts stacked on disk are stacked alike in memory; others become Linear's orientation.
        transposed=form.value.orientation == "row",
        weigh_input=form.routed == "input",
        shared=None if shared is None else _dense(shared, place, layer),
        gate=None if gate is None else place.module(gate, layer),
    )


def _column(index: int, part: str, width: int) -> int:
    """Where a matrix with two parts has a vector of one of them."""
    return int(_columns(torch.tensor(index), part, width))


def _columns(indices: torch.Tensor, part: str, width: int) -> torch.Tensor:
    """The same of many vectors."""
    match part:
        case "second half":
            return width // 2 + indices
        case "even":
            return 2 * indices
        case "odd":
            return 2 * indices + 1
        case _:
            return indices


def _bias(module: torch.nn.Module | None, part: str) -> torch.Tensor | None:
    """The bias of a matrix, for one of its parts' vectors."""
    bias = getattr(module, "bias", None)
    if not isinstance(bias, torch.Tensor):
        return None
    n = len(bias) if part == "all" else len(bias) // 2
    indices = torch.arange(n, device=bias.device)
    return bias.detach()[_columns(indices, part, len(bias))]
