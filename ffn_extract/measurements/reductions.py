"""Reductions of a pass to a row per example, from readings that are let go of.

One pass serves several measurements: each names the reductions that it needs, and the pass runs
those once. Dominance as in Geva et al. (2022): the 10 sub-updates with the largest ‖s_i‖, ties by
lower index. Random: 10 of the layer's vectors drawn per example, dominant ones not excluded.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.errors import FFNExtractError
from ffn_extract.measurements.kept import Arrays
from ffn_extract.projection.fixed_order import fixed_order_sum
from ffn_extract.tracing.reader import LayerReading, Reader
from ffn_extract.tracing.unembed import Unembed, ranks, top
from ffn_extract.tracing.values import Values

Draws = NDArray[np.int64]
DOMINANT = 10
LARGEST_K = 100
_DRAWS = 2  # spawn key, beside those of examples


def drawn_indices(seed: int, example: int, sizes: Sequence[int]) -> Draws:
    """The random vectors of one example in every layer, shape (layers, 10), −1 beyond a layer's."""
    sequence = np.random.SeedSequence(seed, spawn_key=(_DRAWS, example))
    generator = np.random.Generator(np.random.PCG64(sequence))
    found = np.full((len(sizes), DOMINANT), -1, dtype=np.int64)
    for layer, size in enumerate(sizes):
        few = min(DOMINANT, size)
        found[layer, :few] = generator.choice(size, few, replace=False)
    return found


class Reduction(Protocol):
    """Keeps something of every layer of one batch, and then gives arrays of its examples."""

    def layer(self, reading: LayerReading) -> None:
        """Take what is needed of one layer, inside the pass."""

    def finish(self, found: Mapping[str, NDArray[Any]]) -> Arrays:
        """Arrays with a row per place, given those of reductions before this one."""


class Sizes:
    """Shares of the largest and of random sub-updates, effective number, dominant indices.

    With sizes ‖s_i‖: `shares`[…, k − 1] is that of the k largest in Σ ‖s_j‖, `random_share` that of
    the random ones, `effective` exp(entropy) of the shares (natural logarithm, 0·log 0 = 0). All
    are NaN where every m is 0. `signs` are those of the m of dominant ones, 0 where ‖s_i‖ is.
    """

    def __init__(self, reader: Reader, draws: Draws) -> None:
        self._draws = draws
        self._layers: list[tuple[NDArray[np.float64], ...]] = []
        self._dominant: list[Draws] = []
        self._signs: list[NDArray[np.int8]] = []

    def layer(self, reading: LayerReading) -> None:
        """Sizes of one layer, sorted; ties by lower index."""
        sizes = reading.sizes()
        _require_finite(reading, sizes)
        ordered, order = torch.sort(sizes, dim=1, descending=True, stable=True)
        every = sizes.cpu().numpy()
        n, width = every.shape
        total = fixed_order_sum(every.copy())
        divisor = np.where(total > 0, total, np.nan)
        shares = np.full((n, LARGEST_K), np.nan)
        largest = ordered[:, :LARGEST_K].cpu().numpy()
        shares[:, : min(LARGEST_K, width)] = np.cumsum(largest, axis=1) / divisor[:, None]
        few = min(DOMINANT, width)
        random = np.take_along_axis(every, self._draws[:, reading.layer, :few], axis=1)
        p = every / divisor[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(p > 0, -p * np.log(p), 0.0)
        effective = np.where(total > 0, np.exp(fixed_order_sum(terms)), np.nan)
        self._layers.append((shares, fixed_order_sum(random) / divisor, effective))
        dominant = np.full((n, DOMINANT), -1, dtype=np.int64)
        dominant[:, :few] = order[:, :few].cpu().numpy()
        self._dominant.append(dominant)
        signs = np.zeros((n, DOMINANT), dtype=np.int8)
        found = torch.sign(reading.m.gather(1, order[:, :few])) * (ordered[:, :few] > 0)
        signs[:, :few] = found.cpu().numpy()
        self._signs.append(signs)

    def finish(self, found: Mapping[str, NDArray[Any]]) -> Arrays:
        """Arrays of shape (places, layers, …)."""
        shares, random, effective = (
            np.stack(part, axis=1) for part in zip(*self._layers, strict=True)
        )
        return {
            "shares": shares,
            "random_share": random,
            "effective": effective,
            "dominant": np.stack(self._dominant, axis=1),
            "signs": np.stack(self._signs, axis=1),
        }


class Candidates:
    """Top tokens and ranks before and after each FFN update.

    `final` is w, the model's prediction, (places,); the others are (places, layers): `top_before`
    is the token with rank 1 in x, `top_after` in x̃, `rank_before` that of w in x, `rank_after`
    that of `top_before` in x̃.
    """

    def __init__(self, reader: Reader, block: int) -> None:
        self._unembed, self._block = reader.unembed, block
        self._before: list[torch.Tensor] = []
        self._after: list[torch.Tensor] = []

    def layer(self, reading: LayerReading) -> None:
        """x and x̃ of one layer; they are projected together, in blocks, after the pass."""
        self._before.append(reading.before)
        self._after.append(reading.after)

    def finish(self, found: Mapping[str, NDArray[Any]]) -> Arrays:
        """Project all states of the batch."""
        n, layers = len(self._after[0]), len(self._after)
        final = self._tops_and_ranks(self._after[-1], None)[0]
        top_before, rank_before = self._tops_and_ranks(
            torch.cat(self._before), final.repeat(layers)
        )
        top_after, rank_after = self._tops_and_ranks(torch.cat(self._after), top_before)
        arrays = {
            "top_before": top_before, "rank_before": rank_before,
            "top_after": top_after, "rank_after": rank_after,
        }  # fmt: skip
        return {
            "final": final.cpu().numpy(),
            **{name: one.reshape(layers, n).T.cpu().numpy() for name, one in arrays.items()},
        }

    def _tops_and_ranks(
        self, states: torch.Tensor, of: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Top tokens of states, and the ranks of given tokens in them."""
        tops: list[torch.Tensor] = []
        found: list[torch.Tensor] = []
        rows = self._block if of is not None else len(states)
        for scores in self._unembed.in_blocks(states, rows):
            start = sum(map(len, tops))
            tops.append(top(scores))
            if of is not None:
                found.append(ranks(scores, of[start : start + len(scores)]))
        return torch.cat(tops), torch.cat(found) if found else states.new_empty(0)


class Pushes:
    """Scores e_w·s_i of a reference token by dominant and by random sub-updates, without the norm.

    Shape (places, layers, 10), NaN beyond a layer's vectors: `dominant_top` and `random_top` for
    the token that is top in x, `dominant_final` and `random_final` for w.
    """

    def __init__(self, reader: Reader, draws: Draws) -> None:
        self._unembed, self._draws = reader.unembed, draws
        self._device = reader.device
        self._kept: list[tuple[torch.Tensor, torch.Tensor, Values]] = []

    def layer(self, reading: LayerReading) -> None:
        """Indices of both groups, and what multiplies their vectors."""
        few = min(DOMINANT, reading.m.shape[1])
        order = torch.sort(reading.sizes(), dim=1, descending=True, stable=True).indices[:, :few]
        random = torch.from_numpy(self._draws[:, reading.layer, :few]).to(order.device)
        indices = torch.cat([order, random], dim=1)
        factors = reading.m.gather(1, indices).to(torch.float64) * reading.scale[:, None]
        self._kept.append((indices, factors, reading.values))

    def finish(self, found: Mapping[str, NDArray[Any]]) -> Arrays:
        """Scores of every layer in turn."""
        shape = (len(found["final"]), len(self._kept), DOMINANT)
        names = ("dominant_top", "random_top", "dominant_final", "random_final")
        arrays = {name: np.full(shape, np.nan) for name in names}
        final = self._direction(found["final"])
        for layer, (indices, factors, values) in enumerate(self._kept):
            vectors = values.take(indices).to(torch.float64).cpu().numpy()
            top_before = self._direction(found["top_before"][:, layer])
            for name, e in (("top", top_before), ("final", final)):
                scores = fixed_order_sum(vectors * e[:, None, :]) * factors.cpu().numpy()
                few = scores.shape[1] // 2
                arrays[f"dominant_{name}"][:, layer, :few] = scores[:, :few]
                arrays[f"random_{name}"][:, layer, :few] = scores[:, few:]
        return dict(arrays)

    def _direction(self, token_ids: NDArray[Any]) -> NDArray[np.float64]:
        ids = torch.from_numpy(np.ascontiguousarray(token_ids)).to(self._device)
        e: NDArray[np.float64] = self._unembed.directions(ids).to(torch.float64).cpu().numpy()
        return e


class Active:
    """Which value vectors are active, and the top token of each FFN update by itself.

    `active` are the bits of m > 0, eight of a layer's vectors in a byte, shape (places, layers,
    bytes); `top_update` is the token with the highest E·o, without norm and bias, (places, layers).
    """

    def __init__(self, reader: Reader, block: int) -> None:
        self._unembed, self._block = reader.unembed, block
        self._active: list[NDArray[np.uint8]] = []
        self._updates: list[torch.Tensor] = []

    def layer(self, reading: LayerReading) -> None:
        """Signs of m, and o, of one layer."""
        _require_finite(reading, reading.update)
        self._active.append(np.packbits((reading.m > 0).cpu().numpy(), axis=1))
        self._updates.append(reading.update)

    def finish(self, found: Mapping[str, NDArray[Any]]) -> Arrays:
        """Score all updates of the batch."""
        scores = self._unembed.of_vectors
        tops = _tops(self._unembed, self._updates, self._block, scores)
        shape = (len(tops), len(self._active), max(one.shape[1] for one in self._active))
        active = np.zeros(shape, np.uint8)
        for layer, bits in enumerate(self._active):
            active[:, layer, : bits.shape[1]] = bits
        return {"active": active, "top_update": tops}


class Updates:
    """`update_top`, the top token of o read as x and x̃ are, (places, layers)."""

    def __init__(self, reader: Reader, block: int) -> None:
        self._unembed, self._block = reader.unembed, block
        self._updates: list[torch.Tensor] = []

    def layer(self, reading: LayerReading) -> None:
        """The update of one layer."""
        _require_finite(reading, reading.update)
        self._updates.append(reading.update)

    def finish(self, found: Mapping[str, NDArray[Any]]) -> Arrays:
        """Score all updates of the batch."""
        return {"update_top": _tops(self._unembed, self._updates, self._block)}


def _tops(
    unembed: Unembed,
    states: Sequence[torch.Tensor],
    block: int,
    scores: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> NDArray[np.int64]:
    """Top tokens of a state of every layer, shape (places, layers)."""
    tops = [top(one) for one in unembed.in_blocks(torch.cat(list(states)), block, scores)]
    found: NDArray[np.int64] = torch.cat(tops).reshape(len(states), -1).T.cpu().numpy()
    return found


def _require_finite(reading: LayerReading, numbers: torch.Tensor) -> None:
    """Raises FFNExtractError."""
    if not bool(torch.isfinite(numbers).all()):
        raise FFNExtractError(
            f"Layer {reading.layer}'s FFN gives values that are not finite numbers."
        )


class States:
    """x and o of every layer in float32: `before.LAYER` and `update.LAYER`, (places, d_model).

    They are the largest of all arrays, so a pass leaves them in its kept batches.
    """

    PREFIXES: ClassVar = ("before.", "update.")

    def __init__(self) -> None:
        self._states: Arrays = {}

    def layer(self, reading: LayerReading) -> None:
        """Both states of one layer."""
        for name, state in (("before", reading.before), ("update", reading.update)):
            self._states[f"{name}.{reading.layer}"] = state.to(torch.float32).cpu().numpy()

    def finish(self, found: Mapping[str, NDArray[Any]]) -> Arrays:
        """The states, as they are."""
        return self._states
