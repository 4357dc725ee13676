"""From a model, a corpus and chosen keys to rows of trigger prefixes."""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from ffn_extract.architectures import ModelWeights
from ffn_extract.bundle import TriggerPrefixRow
from ffn_extract.bundle.rows import MOST_PREFIXES, SIDES
from ffn_extract.checkpoints.config import Settings, context_of, heads_of
from ffn_extract.checkpoints.find import Checkpoint
from ffn_extract.corpora import Corpus
from ffn_extract.errors import ArchitectureError, OptionError
from ffn_extract.keys.passes import (
    BLOCK,
    FIRST_BLOCK,
    KeyPass,
    LayerKeys,
    needed_bytes,
    require_memory,
)
from ffn_extract.keys.random_keys import RandomKeys, activation_of, draw_random_keys
from ffn_extract.keys.sentences import Sentences
from ffn_extract.options import ExtractOptions
from ffn_extract.possible import layers_of
from ffn_extract.progress import Steps
from ffn_extract.running import Purpose, load_model
from ffn_extract.traceable import require_traceable, running_family
from ffn_extract.tracing.batches import BatchPlan
from ffn_extract.tracing.reader import Reader
from ffn_extract.vectors import key_indices

KEYS = Purpose(
    "the kinds key and random-key", "Leave them out with --kinds value,random", head=True
)
PLAN = BatchPlan()


@dataclass(frozen=True)
class KeyWork:
    """Inputs of the pass, open and checked. `indices` are the keys of each layer, ascending."""

    checkpoint: Checkpoint
    weights: ModelWeights
    options: ExtractOptions
    sentences: Sentences
    indices: Sequence[Sequence[int]]
    n_random: Sequence[int]
    device: torch.device
    limit: int | None

    @property
    def parameters(self) -> dict[str, Any]:
        """The entries of a manifest: what was read, what was left out, and in which batches."""
        return {
            **self.sentences.counted.to_json(),
            "batch_plan": {**PLAN.to_json(), "first_block": FIRST_BLOCK, "block": BLOCK},
            "prefixes": MOST_PREFIXES,
            "precision": "float32",
        }

    def rows(self, folder: Path, steps: Steps) -> tuple[Iterator[TriggerPrefixRow], KeyPass]:
        """The rows in a bundle's order, and the pass, whose kept files go when they are stored.

        `folder` keeps finished blocks. Raises FFNExtractError.
        """
        with steps.step("keys") as done:
            one = self.opened(folder)
            one.run(self.workers, done)
            one.let_go()
        return self._rows(one), one

    @property
    def workers(self) -> int:
        """Processes that run the model."""
        if self.device.type != "cpu":
            return 1
        return self.options.workers or len(os.sched_getaffinity(0))

    def require_memory(self, name: str) -> None:
        """Refuse a pass that does not fit into free memory. Raises OptionError."""
        files, sizes = self.checkpoint.tensors, self.weights.dimensions
        needed = needed_bytes(
            weights=sum(math.prod(files.shape(name)) for name in files.names),
            sizes=[len(one) + n for one, n in zip(self.indices, self.n_random, strict=True)],
            sides=2 if self.weights.signed else 1,
            length=MOST_PREFIXES,
            rows=PLAN.rows,
            longest=int(self.sentences.lengths.max()),
            d_model=sizes.d_model,
            d_ff=sizes.d_ff,
            heads=heads_of(self.checkpoint.config),
            workers=self.workers,
        )
        require_memory(name, needed)

    def opened(self, folder: Path) -> KeyPass:
        """The pass over a loaded model, before its start. Raises CheckpointError."""
        model = load_model(self.checkpoint, KEYS).to(self.device)
        family = running_family(self.weights.architecture)
        reader = Reader(model, family)
        keys = []
        for layer in reader.layers:
            random, count = None, self.n_random[layer]
            if count:
                rows = draw_random_keys(self.weights, layer, count, self.options.seed)
                activation = activation_of(family, reader.config)
                random = RandomKeys(rows, reader.ffns[layer], activation, layer, self.options.seed)
            keys.append(LayerKeys(np.array(self.indices[layer], np.int64), random, count))
        return KeyPass(
            reader, self.sentences, keys, PLAN, folder,
            signed=self.weights.signed, length=MOST_PREFIXES, limit=self.limit,
        )  # fmt: skip

    def _rows(self, one: KeyPass) -> Iterator[TriggerPrefixRow]:
        for layer, indices in enumerate(self.indices):
            gated = self.weights.layers and self.weights.is_gated(layer)
            places = [("key", index) for index in indices]
            places += [("random-key", index) for index in range(self.n_random[layer])]
            for number, (kind, index) in enumerate(places):
                for side, lists in zip(SIDES, one.lists, strict=False):
                    entries = lists[layer].entries[number]
                    yield from self._rows_of(kind, layer, index, side, entries, bool(gated))

    def _rows_of(
        self,
        kind: str,
        layer: int,
        index: int,
        side: str,
        entries: NDArray[np.void],
        gated: bool,
    ) -> Iterator[TriggerPrefixRow]:
        sign = 1 if side == SIDES[0] else -1
        for rank, entry in enumerate(entries[entries["copies"] > 0], start=1):
            sentence, position = int(entry["sentence"]), int(entry["position"])
            up = 1 if entry["up"] else -1
            yield TriggerPrefixRow(
                kind=kind,
                layer=layer,
                index=index,
                side=side,
                rank=rank,
                sentence=sentence,
                position=position,
                prefix=self.sentences.prefix(sentence, position),
                token_id=self.sentences.token(sentence, position),
                coefficient=sign * float(entry["m"]),
                copies=int(entry["copies"]),
                gate_sign=sign * up if gated else None,
                up_sign=up if gated else None,
            )


def open_keys(
    checkpoint: Checkpoint,
    weights: ModelWeights,
    options: ExtractOptions,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    device: torch.device,
) -> KeyWork:
    """Read the corpus's sentences and choose the keys. Raises FFNExtractError."""
    layers = frozenset(layers_of(options, weights.layers))
    every = range(weights.dimensions.n_layers)
    with_keys = layers if "key" in options.kinds else frozenset()
    with_random = layers if "random-key" in options.kinds else frozenset()
    limit = context_of(checkpoint.config)
    return KeyWork(
        checkpoint,
        weights,
        options,
        Sentences(corpus.texts, tokenizer, checkpoint, limit),
        [key_indices(weights, options, n) if n in with_keys else [] for n in every],
        [options.drawn_count if n in with_random else 0 for n in every],
        device,
        limit,
    )


def require_keys(weights: ModelWeights, options: ExtractOptions, config: Any) -> None:
    """Refuse a model whose keys have no trigger prefixes, before any work.

    Raises OptionError.
    """
    family = running_family(weights.architecture)
    if family.form != "causal":
        raise OptionError(
            f"A {family.model_type} model does not read texts from left to right, so no prefix of "
            "a text activates a key by itself. Leave the kinds key and random-key out of --kinds."
        )
    try:
        require_traceable(family, Settings(config))
        for layer in weights.layers[:1]:
            weights.key_rows(layer, 0, 1)
    except ArchitectureError as error:
        raise OptionError(
            f"{error} Or leave the kinds key and random-key out of --kinds."
        ) from error
    if "random-key" in options.kinds:
        for layer in weights.layers:
            if weights.has_experts(layer):
                draw_random_keys(weights, layer, 1, options.seed)
