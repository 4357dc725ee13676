"""An extraction with open inputs: from vectors to rows and the bundle."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from ffn_extract.architectures import ModelWeights
from ffn_extract.bundle import (
    Manifest,
    ModelInfo,
    TokenRow,
    VectorRow,
    write_bundle,
)
from ffn_extract.bundle.manifest import digest_of
from ffn_extract.bundle.writing import Tables
from ffn_extract.checkpoints.find import Checkpoint
from ffn_extract.controls import covariance_vectors, permuted_vectors, with_shuffled
from ffn_extract.corpora import Corpus
from ffn_extract.environment import environment, packages
from ffn_extract.glosses import GlossSource, gloss_each
from ffn_extract.keys.work import KeyWork
from ffn_extract.lists import prepared, rows_of, token_ids_of
from ffn_extract.options import ExtractOptions
from ffn_extract.possible import layers_of
from ffn_extract.progress import Steps
from ffn_extract.projection.projector import project
from ffn_extract.sampling import Moments
from ffn_extract.updates import UpdateReader
from ffn_extract.vectors import (
    Vector,
    chosen_value_vectors,
    key_vectors,
    moments_of_model,
    random_key_vectors,
    random_vectors,
    update_vectors,
    value_vectors,
)
from ffn_extract.vocabulary import Vocabulary

_FURTHER = {"random-covariance": covariance_vectors, "permuted": permuted_vectors}
_DRAWN_FROM_WEIGHTS = ("random", *_FURTHER)


@dataclass
class Run:
    """An extraction with open inputs, shared by the steps from vectors to the bundle."""

    out: Path
    options: ExtractOptions
    checkpoint: Checkpoint
    weights: ModelWeights
    tokenizer: PreTrainedTokenizerBase
    vocabulary: Vocabulary
    corpus: Corpus | None
    device: torch.device
    sources: Sequence[GlossSource]
    info: ModelInfo
    parameters: dict[str, Any]
    keys: KeyWork | None = None
    _reader: UpdateReader | None = None
    _of_model: Moments | None = None

    def sampled(self, count: int, steps: Steps) -> tuple[Iterable[VectorRow], list[int]]:
        """The lists of `count` value vectors per layer, or of chosen ones, with baseline and
        updates.

        Rows in the bundle's order, and the ascending ids in them.
        """
        layers = layers_of(self.options, self.weights.layers)
        chosen = self.options.vectors
        vectors: list[Vector] = []
        if "value" in self.options.kinds:
            with steps.step("vectors") as done:
                for number, layer in enumerate(layers, start=1):
                    if chosen is None:
                        vectors += value_vectors(self.weights, layer, count, self.options.seed)
                    else:
                        own = [place for place in chosen if place[0] == layer]
                        vectors += chosen_value_vectors(self.weights, own)
                    done(number, len(layers))
                # The moments of a random baseline for every layer read every value vector.
                if "random" not in self.options.kinds or chosen is not None:
                    self.weights.require_finite()
        vectors += self.drawn(layers, steps)
        for layer in layers if self.keys is not None else ():
            vectors += chain.from_iterable(self.key_vectors(layer))
        self.forget_model()
        vectors.sort(key=lambda vector: vector.place)
        n_rows = self.weights.dimensions.vocab_size
        with steps.step("projection") as done:
            projection = project(
                prepared(vectors, self.options.projection, self.weights),
                self.weights.unembedding,
                self.allowed(),
                self.options.top_k,
                both_sides=self.weights.signed,
                device=self.device,
                report=lambda rows: done(len(vectors) * rows // n_rows, len(vectors)),
            )
        rows = with_shuffled(rows_of(vectors, projection, self.vocabulary), self.options)
        return rows, token_ids_of(projection)

    def drawn(self, layers: Sequence[int], steps: Steps) -> list[Vector]:
        """The random baseline, the further controls and the updates of some layers.

        What serves every layer stays until the next call: the moments of a whole model, and the
        model that gives updates, which `forget_model` lets go.
        """
        vectors = list(self._random(layers, steps))
        if "update" in self.options.kinds and layers:
            with steps.step("updates") as done:
                total = len(layers) * self.options.drawn_count
                reader = self.open_reader()
                vectors += update_vectors(reader, layers, self.options, lambda n: done(n, total))
        return vectors

    def _random(self, layers: Sequence[int], steps: Steps) -> Iterator[Vector]:
        """The vectors that are drawn from the weights alone."""
        kinds = [kind for kind in _DRAWN_FROM_WEIGHTS if kind in self.options.kinds]
        if not kinds or not layers:
            return
        weights, options = self.weights, self.options
        n_layers = weights.dimensions.n_layers
        with steps.step("random") as done:
            for number, kind in enumerate(kinds):

                def counted(layer: int, before: int = number * n_layers) -> None:
                    done(before + layer, len(kinds) * n_layers)

                if kind in _FURTHER:
                    yield from _FURTHER[kind](weights, options, layers, counted)
                    continue
                if options.random_grain == "model" and self._of_model is None:
                    self._of_model = moments_of_model(weights, counted)
                yield from random_vectors(
                    weights, options, layers, counted, of_model=self._of_model
                )

    def key_vectors(self, layer: int) -> Iterator[list[Vector]]:
        """The keys of a layer, sampled and random ones, in batches."""
        if self.keys is None:
            return
        yield from key_vectors(self.weights, layer, self.keys.indices[layer])
        if self.keys.n_random[layer]:
            yield random_key_vectors(self.weights, self.options, layer)

    def open_reader(self) -> UpdateReader:
        """The model for updates, opened on first use. Raises CheckpointError."""
        if self.corpus is None:
            raise ValueError("no texts, no updates")
        if self._reader is None:
            architecture = self.weights.architecture
            self._reader = UpdateReader(
                self.checkpoint, architecture, self.tokenizer, self.corpus, self.device
            )
        return self._reader

    def forget_model(self) -> None:
        """Release the memory of the model for updates."""
        self._reader = None

    def allowed(self) -> NDArray[np.bool_]:
        """Rows of the unembedding that may appear in a list, shape (vocab,)."""
        n_rows = self.weights.dimensions.vocab_size
        return self.vocabulary.allowed(n_rows, drop_special=self.options.drop_special)

    def write(
        self,
        rows: Iterable[VectorRow] | Tables,
        token_ids: Sequence[int],
        steps: Steps,
        statistics: Tables | None = None,
    ) -> Manifest:
        """Run the model for keys, look up glosses and write the bundle."""
        prefixes, key_pass = None, None
        if self.keys is not None:
            prefixes, key_pass = self.keys.rows(self._kept_blocks(), steps)
        tokens = _tokens(steps, token_ids, self.vocabulary, self.sources)
        with steps.step("bundle") as done:
            manifest = write_bundle(
                self.out,
                model=self.info,
                parameters=self.parameters,
                vectors=rows,
                tokens=tokens,
                environment=environment(str(self.device), steps.seconds) | self._files(),
                value_statistics=statistics,
                trigger_prefixes=prefixes,
            )
            done(1, 1)
        if key_pass is not None:
            key_pass.forget()
        return manifest

    def _files(self) -> dict[str, list[str]]:
        """The names of GGUF files: of several in a folder, no digest says which one was read."""
        names = self.checkpoint.gguf_files
        return {"gguf_files": list(names)} if names else {}

    def _kept_blocks(self) -> Path:
        """The folder in which a pass for keys keeps what it has done, for equal inputs alone."""
        inputs = [asdict(self.info), self.parameters, packages(), self.device.type]
        return self.out.parent / f".{self.out.name}.{digest_of(inputs)[:32]}.keys.parts"


def _tokens(
    steps: Steps, ids: Sequence[int], vocabulary: Vocabulary, sources: Sequence[GlossSource]
) -> list[TokenRow]:
    """The tokens that occur in a list, by ascending id, with their glosses."""
    forms = [vocabulary.form(token_id) for token_id in ids]
    rows: list[TokenRow] = []
    with steps.step("glosses") as done:
        reported = time.monotonic()
        glosses = gloss_each([form.surface for form in forms], sources)
        for token_id, form, gloss in zip(ids, forms, glosses, strict=True):
            found = (
                (gloss.text, gloss.source, gloss.lemma, gloss.part, gloss.senses) if gloss else ()
            )
            rows.append(TokenRow(token_id, vocabulary.texts[token_id], form.display, *found))
            if len(rows) == len(ids) or time.monotonic() - reported > 0.1:
                done(len(rows), len(ids))
                reported = time.monotonic()
    return rows
