"""Read x, m, o and x̃ of a causal model's layers while it runs over token ids.

Notation as in Geva et al. (2022): x̃ is the residual stream just after layer l's FFN update o was
added, x = x̃ − o; m_i multiplies value vector v_i. A parallel block's FFN never saw this x: its
attention was added, too. Behind a norm after the FFN, a sub-update is s_i = m_i·(g ⊙ v_i)/rms(u),
so that o = Σ s_i (+ bias) everywhere.

Threads of torch change last bits, so a pass takes one; several processes may each run batches.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from ffn_extract.architectures import Architecture
from ffn_extract.architectures.declaration import NormNames
from ffn_extract.errors import ArchitectureError, CheckpointError
from ffn_extract.running import one_thread
from ffn_extract.traceable import require_traceable
from ffn_extract.tracing.batches import Batch
from ffn_extract.tracing.ffn_modules import FFNModules, ffn_modules
from ffn_extract.tracing.layout import Layout
from ffn_extract.tracing.unembed import Unembed
from ffn_extract.tracing.values import Values

_NO_NORM = (
    "The norm before the unembedding is not known, so the model's predictions cannot be read. Name "
    "its gain with --norm-gain-tensor."
)


@dataclass(frozen=True)
class LayerReading:
    """One layer at n places of a batch, on the model's device.

    Attributes
    ----------
    m
        Coefficients, shape (n, n_values).
    update, after
        o and x̃ in float32 at least, shape (n, d_model).
    scale
        What every sub-update is multiplied by: 1, a factor of the family's, or that of the norm
        after the FFN, shape (n,) in float64.
    values
        The value vectors; behind a norm after the FFN multiplied by its gain.
    """

    layer: int
    m: torch.Tensor
    update: torch.Tensor
    after: torch.Tensor
    scale: torch.Tensor
    values: Values

    @property
    def before(self) -> torch.Tensor:
        """x = x̃ − o, shape (n, d_model)."""
        return self.after - self.update

    def sizes(self) -> torch.Tensor:
        """‖s_i‖ in float64, shape (n, n_values)."""
        return (self.m.to(torch.float64) * self.scale[:, None]).abs() * self.values.norms

    def sub_updates(self, indices: torch.Tensor) -> torch.Tensor:
        """s_i of k indices at each place in float64: (n, k) to (n, k, d_model)."""
        m = self.m.gather(1, indices).to(torch.float64) * self.scale[:, None]
        return m[..., None] * self.values.take(indices).to(torch.float64)


Visit = Callable[[LayerReading], None]


@dataclass(frozen=True)
class WholePass:
    """The results of a pass beside readings.

    Attributes
    ----------
    entry
        The residual stream before the first layer at each place, in float32 at least, shape
        (n, d_model).
    output
        What the decoder gives, normed and narrowed, at the last column, shape (rows, width).
    cache
        Keys and values, where they were to be kept.
    """

    entry: torch.Tensor
    output: torch.Tensor
    cache: Any


class Reader:
    """Runs a causal model of a family and reads its layers.

    Parameters
    ----------
    model
        A causal model of transformers, in evaluation mode. Its experts are made to run one after
        the other.
    architecture
        Its family.
    normed
        Whether scores go through the model's final norm.

    Raises
    ------
    ArchitectureError, CheckpointError
        For a family, or a model, that has no such readings, with the reason.
    """

    def __init__(self, model: Any, architecture: Architecture, *, normed: bool = True) -> None:
        self.model = model
        self.config = model.config.get_text_config(decoder=True)
        require_traceable(architecture, self.config)
        self.architecture = architecture
        self._place = place = Layout(model, architecture.value_module or "")
        self.base = place.base
        self.layers = range(self._count_layers())
        self.ffns = [ffn_modules(architecture, place, layer) for layer in self.layers]
        self._norms_after = [self._norm_after(layer) for layer in self.layers]
        self.values = [
            Values(ffn.value_parts(), self._gain_after(layer))
            for layer, ffn in zip(self.layers, self.ffns, strict=True)
        ]
        if any(form.experts_keys for form in architecture.ffns):
            model.set_experts_implementation("eager")
        narrow = architecture.project_out
        self.unembed = Unembed(
            place.module(self._norm_name()),
            model.get_output_embeddings(),
            None if narrow is None else place.optional(narrow.name.removesuffix(".weight")),
            self.config,
            normed=normed,
        )

    @property
    def final_norm(self) -> NormNames:
        """The family's declaration of the norm before the unembedding."""
        if self.architecture.norm is None:
            raise ArchitectureError(_NO_NORM)
        return self.architecture.norm

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.values[0].device

    def run(self, batch: Batch, visit: Visit, layers: Sequence[int] | None = None) -> None:
        """Run the model over a batch; `visit` gets each layer's reading inside the pass.

        A layer's coefficients are let go of when `visit` returns. What it raises ends the pass.
        """
        device = self.device
        rows, columns = batch.rows.to(device), batch.columns.to(device)
        places = _Places(rows, columns, batch.ids.shape[1])
        with ExitStack() as stack, torch.inference_mode(), one_thread():
            for layer in self.layers if layers is None else layers:
                stack.enter_context(self._watched(layer, places, visit))
            self._forward(batch)

    def run_ffns(self, batch: Batch, visit: Callable[[int, FFNModules], None]) -> None:
        """Run the model over a batch; `visit` gets each layer's FFN once it has answered.

        For coefficients alone, and their factors: `batch.rows` and `columns` are not used. What
        `visit` raises ends the pass.
        """
        with ExitStack() as stack, torch.inference_mode(), one_thread():
            for layer, ffn in zip(self.layers, self.ffns, strict=True):
                stack.enter_context(_answering(layer, ffn, visit))
            self._forward(batch)

    def run_whole(self, batch: Batch, visit: Visit, *, keep_cache: bool) -> "WholePass":
        """The same, and what entered the first layer and left the last norm.

        With `keep_cache` the model can go on where the batch ends.
        """
        entries: list[torch.Tensor] = []
        rows, columns = batch.rows.to(self.device), batch.columns.to(self.device)
        places = _Places(rows, columns, batch.ids.shape[1])

        def enter(_: object, args: tuple[Any, ...], named: dict[str, Any]) -> None:
            entries.append(places.of(args[0] if args else named["hidden_states"]))

        handle = self._place.block(0).register_forward_pre_hook(enter, with_kwargs=True)
        try:
            with ExitStack() as stack, torch.inference_mode(), one_thread():
                for layer in self.layers:
                    stack.enter_context(self._watched(layer, places, visit))
                given = self._forward(batch, use_cache=keep_cache)
        finally:
            handle.remove()
        output = given.last_hidden_state[:, -1]
        cache = given.past_key_values if keep_cache else None
        return WholePass(_at_least_float32(entries[0]), output, cache)

    def step(self, token_id: int, length: int, cache: Any) -> torch.Tensor:
        """The decoder's output, shape (1, width), at one more token behind a cache.

        `length` counts it and all before it; the cache grows in place.
        """
        with torch.inference_mode(), one_thread():
            given: Any = self.base(
                input_ids=torch.tensor([[token_id]], device=self.device),
                attention_mask=torch.ones(1, length, dtype=torch.long, device=self.device),
                past_key_values=cache,
                use_cache=True,
            )
        output: torch.Tensor = given.last_hidden_state[:, -1]
        return output

    def _forward(self, batch: Batch, *, use_cache: bool = False) -> Any:
        return self.base(
            input_ids=batch.ids.to(self.device),
            attention_mask=batch.mask.to(self.device),
            use_cache=use_cache,
        )

    def read(
        self,
        token_ids: Sequence[int],
        positions: Sequence[int],
        layers: Sequence[int] | None = None,
    ) -> list[LayerReading]:
        """Every reading of one text at some positions, all in memory: for a text or two.

        The text is read twice in one batch, because a batch of one row gives other last bits.
        """
        readings: list[LayerReading] = []
        batch = Batch(
            torch.tensor([list(token_ids)] * 2),
            torch.ones(2, len(token_ids), dtype=torch.long),
            torch.zeros(len(positions), dtype=torch.long),
            torch.tensor(list(positions)),
        )
        self.run(batch, readings.append, layers)
        return readings

    @contextmanager
    def _watched(self, layer: int, places: "_Places", visit: Visit) -> Iterator[None]:
        """Hooks of one layer, for one pass."""
        ffn, norm = self.ffns[layer], self._norms_after[layer]
        kept: dict[str, torch.Tensor] = {}

        def keep_update(_: object, __: object, output: Any) -> None:
            # A copy: Falcon adds attention to this tensor, in place.
            kept["u"] = places.of(_first(output))

        def keep_normed(_: object, __: object, output: torch.Tensor) -> None:
            kept["o"] = places.of(output)

        def finish(_: object, __: object, output: Any) -> None:
            reading = self._reading(layer, kept, places, places.of(_first(output)))
            ffn.forget()
            kept.clear()
            visit(reading)

        handles: list[Any] = [
            *ffn.watch(),
            ffn.update.register_forward_hook(keep_update),
            self._place.block(layer).register_forward_hook(finish),
        ]
        if norm is not None:
            handles.append(norm.register_forward_hook(keep_normed))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            ffn.forget()

    def _reading(
        self, layer: int, kept: dict[str, torch.Tensor], places: "_Places", after: torch.Tensor
    ) -> LayerReading:
        u = _at_least_float32(kept["u"])
        factor = self._update_factor()
        scale = torch.full((len(u),), factor, dtype=torch.float64, device=u.device)
        if "o" in kept:
            mean_square = (u.to(torch.float64) ** 2).mean(dim=1)
            scale = factor * (mean_square + self._epsilon_after(layer)) ** -0.5
        return LayerReading(
            layer=layer,
            m=self.ffns[layer].coefficients(places.tokens),
            update=_at_least_float32(kept.get("o", kept["u"])) * factor,
            after=_at_least_float32(after),
            scale=scale,
            values=self.values[layer],
        )

    def _count_layers(self) -> int:
        for key in self.architecture.layers_keys:
            if (count := getattr(self.config, key, None)) is not None:
                return int(count)
        raise CheckpointError("The model's settings do not say how many layers it has.")

    def _norm_after(self, layer: int) -> torch.nn.Module | None:
        names = self.architecture.after_ffn
        if names is None:
            return None
        return self._place.module(names.gain[0].removesuffix(".weight"), layer)

    def _gain_after(self, layer: int) -> torch.Tensor | None:
        norm, names = self._norms_after[layer], self.architecture.after_ffn
        if norm is None or names is None:
            return None
        weight: Any = norm.weight
        gain: torch.Tensor = weight.detach() + names.gain_offset
        return gain

    def _epsilon_after(self, layer: int) -> float:
        norm: Any = self._norms_after[layer]
        return float(getattr(norm, "variance_epsilon", None) or norm.eps)

    def _update_factor(self) -> float:
        key = self.architecture.update_factor_key
        return 1.0 if key is None else float(getattr(self.config, key))

    def _norm_name(self) -> str:
        names = self.architecture.norm
        own = self.architecture.norm_module
        if own is None and names is not None and names.gain and "{layer}" not in names.gain[0]:
            own = names.gain[0].removesuffix(".weight")
        if own is None:
            raise ArchitectureError(_NO_NORM)
        return own


@contextmanager
def _answering(
    layer: int, ffn: FFNModules, visit: Callable[[int, FFNModules], None]
) -> Iterator[None]:
    """Hooks that keep one layer's coefficients and factors until it was visited, for one pass."""

    def finish(*_: object) -> None:
        visit(layer, ffn)
        ffn.forget()

    handles = [*ffn.watch(), *ffn.watch_factors()]
    handles.append(ffn.update.register_forward_hook(finish))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        ffn.forget()


@dataclass(frozen=True)
class _Places:
    """Places of a batch, as rows and columns and as numbers of tokens in one axis."""

    rows: torch.Tensor
    columns: torch.Tensor
    length: int

    @property
    def tokens(self) -> torch.Tensor:
        return self.rows * self.length + self.columns

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        """A copy of a tensor's vectors at the places; (batch, length, d) or (tokens, d)."""
        return tensor.reshape(-1, tensor.shape[-1])[self.tokens]


def _first(output: Any) -> torch.Tensor:
    # Some modules with experts give their router's scores too; some blocks give tuples.
    first: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return first


def _at_least_float32(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
