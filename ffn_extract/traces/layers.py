"""Readings of one prompt at one position, and what pushed one token there.

Push of a vector s of the residual stream on a token w: e_w·(g ⊙ (s − mean(s)))/σ with the gain g
and the scale σ of the model's final norm at that position, so that the pushes of everything that
entered the stream, and the biases behind it, add up to w's logit before the model caps it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ffn_extract.errors import FFNExtractError
from ffn_extract.traces.request import ENTRIES
from ffn_extract.tracing.batches import Batch
from ffn_extract.tracing.reader import LayerReading, Reader
from ffn_extract.tracing.unembed import LinearLogit

ROWS = 32
"""States that are scored at once."""
NOT_FINITE = (
    "The model's numbers are not finite at this prompt{when}, so nothing can be read. {way_out}"
)


@dataclass(frozen=True)
class LayerStates:
    """One layer at the position: m (n_values,) and the factor of each sub-update, sizes ‖s_i‖ in
    float64, o and x̃ (d_model,)."""

    m: torch.Tensor
    scale: float
    sizes: torch.Tensor
    update: torch.Tensor
    after: torch.Tensor

    @property
    def before(self) -> torch.Tensor:
        """x = x̃ − o, in float64: with float32, parts of a large stream would not add up."""
        return self.after.to(torch.float64) - self.update.to(torch.float64)


@dataclass(frozen=True)
class PromptStates:
    """All layers of one pass, what entered the first, and what the decoder gives at the end."""

    layers: list[LayerStates]
    entry: torch.Tensor
    output: torch.Tensor
    cache: Any

    @property
    def final(self) -> torch.Tensor:
        """The stream that the final norm reads at the position, shape (d_model,)."""
        return self.layers[-1].after


def read_prompt(
    reader: Reader,
    ids: Sequence[int],
    position: int,
    *,
    keep_cache: bool,
    done: Callable[[int], None],
) -> PromptStates:
    """Run the model once over a prompt; `done` gets the number of layers that are read."""
    layers: list[LayerStates] = []

    def visit(reading: LayerReading) -> None:
        layers.append(
            LayerStates(
                m=reading.m[0].to(torch.float64),
                scale=float(reading.scale[0]),
                sizes=reading.sizes()[0],
                update=reading.update[0],
                after=reading.after[0],
            )
        )
        done(len(layers))

    batch = Batch(
        torch.tensor([list(ids)]),
        torch.ones(1, len(ids), dtype=torch.long),
        torch.zeros(1, dtype=torch.long),
        torch.tensor([position]),
    )
    found = reader.run_whole(batch, visit, keep_cache=keep_cache)
    return PromptStates(layers, found.entry[0], found.output, found.cache)


def require_finite(states: PromptStates, when: str, way_out: str) -> None:
    """Refuse numbers that are not finite, as half precision can give. Raises FFNExtractError."""
    every = [one.after for one in states.layers] + [one.sizes for one in states.layers]
    if not all(bool(torch.isfinite(one).all()) for one in (*every, states.output)):
        raise FFNExtractError(NOT_FINITE.format(when=when, way_out=way_out))


@dataclass(frozen=True)
class Prediction:
    """The ten tokens with the highest score, with probabilities, and the rank of the followed."""

    token_ids: list[int]
    probabilities: list[float]
    rank: int
    followed: float
    logit: float


def predictions(
    reader: Reader, states: Sequence[torch.Tensor], token_id: int, dtype: torch.dtype
) -> list[Prediction]:
    """Predictions of the model from states (d_model,) of the stream, taken as `dtype`.

    Through its final norm; probabilities are the softmax of its own logits, capped as it does.
    Order and rank are those of scores before caps; ties: the lower id.
    """
    found: list[Prediction] = []
    unembed = reader.unembed
    stacked = torch.stack([one.to(dtype) for one in states])
    for scores in unembed.in_blocks(stacked, ROWS):
        probabilities = torch.softmax(unembed.logits(scores).to(torch.float64), dim=1)
        followed = scores[:, token_id]
        before = torch.arange(scores.shape[1], device=scores.device) < token_id
        higher = scores > followed[:, None]
        equal = (scores == followed[:, None]) & before
        ranks = (higher.sum(dim=1) + equal.sum(dim=1) + 1).tolist()
        for row, rank in enumerate(ranks):
            ids = best(scores[row])
            found.append(
                Prediction(
                    ids,
                    probabilities[row, ids].tolist(),
                    rank,
                    float(probabilities[row, token_id]),
                    float(followed[row]) * unembed.factor,
                )
            )
    return found


def best(scores: torch.Tensor, count: int = ENTRIES) -> list[int]:
    """Places of the largest numbers, largest first; ties: the lower place."""
    count = min(count, len(scores))
    least = scores.topk(count).values[-1]
    places = (scores >= least).nonzero()[:, 0]
    order = torch.sort(scores[places], descending=True, stable=True).indices
    chosen: list[int] = places[order[:count]].tolist()
    return chosen


@dataclass(frozen=True)
class Parts:
    """Pushes of what entered the stream, each a sum, and of the biases behind it."""

    embedding: float
    attention: list[float]
    ffn: list[float]
    bias: float


def parts_of(states: PromptStates, logit: LinearLogit) -> Parts:
    """Pushes of the embedding, and of attention and FFN of each layer.

    Attention's is that of all that entered the stream between two layers' FFNs.
    """
    attention, ffn = [], []
    before = states.entry.to(torch.float64)
    for layer in states.layers:
        attention.append(float(logit.push(layer.before - before)))
        ffn.append(float(logit.push(layer.update)))
        before = layer.after.to(torch.float64)
    return Parts(float(logit.push(states.entry)), attention, ffn, logit.bias)


def pushes_of(reader: Reader, states: PromptStates, logit: LinearLogit) -> list[torch.Tensor]:
    """The push of every sub-update, float64, (n_values,) for each layer."""
    found = []
    with torch.inference_mode():
        for values, layer in zip(reader.values, states.layers, strict=True):
            along = values.products(logit.direction, layer.m != 0)
            found.append(layer.m * layer.scale * along)
    return found


def pushed_most(pushes: Sequence[torch.Tensor]) -> list[tuple[int, int]]:
    """Layer and index of the ten largest pushes of all; ties: lower layer, then lower index."""
    every = torch.cat(list(pushes))
    places = []
    for place in best(every):
        layer = 0
        while place >= len(pushes[layer]):
            place -= len(pushes[layer])
            layer += 1
        places.append((layer, place))
    return places
