"""One extraction, from a model's name to a bundle: the steps in their order."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from ffn_extract.architectures import (
    Architecture,
    ModelWeights,
    architecture_of,
    given_architecture,
)
from ffn_extract.bundle import Manifest, ModelInfo, TokenRow, VectorRow, write_bundle
from ffn_extract.bundle.writing import require_target
from ffn_extract.checkpoints import Checkpoint, find_checkpoint
from ffn_extract.corpora import Corpus, open_corpus
from ffn_extract.environment import environment
from ffn_extract.errors import FFNExtractError, OptionError
from ffn_extract.glosses import GLOSS_SOURCES, GlossSource, gloss_each
from ffn_extract.lists import prepared, rows_of, token_ids_of
from ffn_extract.options import ALL, ExtractOptions
from ffn_extract.progress import STEPS, Progress, Report, Steps, ignore
from ffn_extract.projection import project
from ffn_extract.sampling import Moments
from ffn_extract.updates import UpdateReader, require_runnable
from ffn_extract.vectors import (
    Vector,
    moments_of_model,
    random_vectors,
    update_vectors,
    value_vectors,
)
from ffn_extract.vocabulary import Vocabulary, load_tokenizer, read_vocabulary
from ffn_extract.weights_digest import weights_digest
from ffn_extract.whole_layers import LayeredExtraction

__all__ = ["STEPS", "Progress", "Run", "Steps", "extract", "open_run"]

_log = logging.getLogger(__name__)


def extract(model: str, out: Path, options: ExtractOptions, report: Report = ignore) -> Manifest:
    """Extract the lists of `model` (a folder or a hub id) into a bundle at `out`.

    `report` is called often; whatever it raises cancels the extraction and leaves nothing at
    `out`. An extraction of all vectors leaves its finished layers in a hidden folder beside `out`,
    where the same call finds them again and goes on.

    Raises
    ------
    FFNExtractError
        With a sentence that says what to do. Nothing half-written is left at `out`.
    """
    steps = Steps(report)
    run = open_run(model, out, options, steps)
    if options.per_layer == ALL:
        return LayeredExtraction(run).every_layer(steps)
    rows, token_ids = run.sampled(options.per_layer, steps)
    return run.write(rows, token_ids, steps)


def open_run(model: str, out: Path, options: ExtractOptions, steps: Steps) -> "Run":
    """Open and check everything that the extraction needs, before any long work.

    Raises FFNExtractError with a sentence that says what to do.
    """
    device = open_device(options.device)
    with steps.step("checkpoint") as done:
        checkpoint = find_checkpoint(model, options.revision, done)
        architecture = _architecture(options, checkpoint.config)
        weights = ModelWeights(
            architecture,
            checkpoint.config,
            checkpoint.tensors,
            through_head=options.through_head,
        )
        if "update" in options.kinds:
            require_runnable(architecture)
    with steps.step("vocabulary") as done:
        tokenizer = load_tokenizer(checkpoint.folder)
        vocabulary = read_vocabulary(tokenizer, checkpoint.folder)
        vocabulary.check_rows(weights.dimensions.vocab_size)
        done(1, 1)
    with steps.step("sources") as done:
        corpus = _corpus(options) if "update" in options.kinds else None
        done(1, 3)
        sources = _open_sources(options.glosses)
        done(2, 3)
        parameters = _parameters(options, weights, corpus, sources)
        notes = vocabulary.notes(weights.dimensions.vocab_size)
        parameters |= {"tokenizer": notes} if notes else {}
        name = options.name or checkpoint.name
        require_target(out, name, parameters)
        info = _model_info(checkpoint, name, weights, vocabulary)
        done(3, 3)
    return Run(
        out, options, checkpoint, weights, tokenizer, vocabulary, corpus, device,
        list(sources.values()), info, parameters,
    )  # fmt: skip


def _architecture(options: ExtractOptions, config: Mapping[str, Any]) -> Architecture:
    """The family as options describe it, else as the model's config.json names it."""
    given = options.tensors
    if given is None:
        return architecture_of(config)
    return given_architecture(
        config,
        value=given["value_tensor"],
        key=given["key_tensor"],
        unembedding=given["unembedding_tensor"],
        orientation="row" if given["orientation"] == "row" else "col",
    )


def open_device(wanted: str) -> torch.device:
    """The device of the option `device`. Raises OptionError when this machine has none such."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(wanted)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise OptionError(f"This machine has no device {wanted}; use --device cpu.")
    return device


def _corpus(options: ExtractOptions) -> Corpus:
    return open_corpus(options.corpus, options.corpus_field)


def _open_sources(names: Sequence[str]) -> dict[str, GlossSource]:
    """The gloss sources that can be had; of one that cannot, it is said once, here."""
    sources: dict[str, GlossSource] = {}
    for name in names:
        try:
            sources[name] = GLOSS_SOURCES[name]()
        except FFNExtractError as error:
            _log.warning("%s Going on without glosses from %s.", error, name)
    return sources


def _parameters(
    options: ExtractOptions,
    weights: ModelWeights,
    corpus: Corpus | None,
    sources: Mapping[str, GlossSource],
) -> dict[str, Any]:
    """What the lists depend on besides the model; nothing of this machine."""
    drawn = options.drawn_count
    return {
        "kinds": list(options.kinds),
        "per_layer": options.per_layer,
        **({} if drawn == options.per_layer else {"drawn_per_layer": drawn}),
        "top_k": options.top_k,
        "seed": options.seed,
        "projection": options.projection,
        "random_grain": options.random_grain,
        "drop_special": options.drop_special,
        "through_head": options.through_head,
        "bottom": weights.signed,
        "corpus": corpus
        and {"name": corpus.name, "texts": len(corpus.texts), "sha256": corpus.digest},
        "glosses": [{"source": name, "version": s.version} for name, s in sources.items()],
        **({"tensors": options.tensors} if options.tensors else {}),
    }


@dataclass
class Run:
    """An extraction whose inputs are open: what the steps from vectors to the bundle share."""

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
    _reader: UpdateReader | None = None
    _of_model: Moments | None = None

    def sampled(self, count: int, steps: Steps) -> tuple[Iterable[VectorRow], list[int]]:
        """The lists of `count` value vectors per layer and of what is drawn beside them.

        Rows in the bundle's order, and the ascending ids in them.
        """
        layers = range(self.weights.dimensions.n_layers)
        vectors: list[Vector] = []
        if "value" in self.options.kinds:
            with steps.step("vectors") as done:
                for layer in layers:
                    vectors += value_vectors(self.weights, layer, count, self.options.seed)
                    done(layer + 1, len(layers))
        vectors += self.drawn(layers, steps)
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
        return rows_of(vectors, projection, self.vocabulary), token_ids_of(projection)

    def drawn(self, layers: Sequence[int], steps: Steps) -> list[Vector]:
        """The random baseline and the updates of some layers.

        What serves every layer stays until the next call: the moments of a whole model, and the
        model that gives updates, which `forget_model` lets go.
        """
        vectors: list[Vector] = []
        if "random" in self.options.kinds and layers:
            n_layers = self.weights.dimensions.n_layers
            with steps.step("random") as done:
                if self.options.random_grain == "model" and self._of_model is None:
                    self._of_model = moments_of_model(
                        self.weights, lambda layer: done(layer, n_layers)
                    )
                vectors += random_vectors(
                    self.weights,
                    self.options,
                    layers,
                    lambda layer: done(layer, n_layers),
                    of_model=self._of_model,
                )
        if self.corpus is not None and layers:
            with steps.step("updates") as done:
                if self._reader is None:
                    architecture = self.weights.architecture
                    self._reader = UpdateReader(
                        self.checkpoint, architecture, self.tokenizer, self.corpus, self.device
                    )
                total = len(layers) * self.options.drawn_count
                vectors += update_vectors(
                    self._reader, layers, self.options, lambda n: done(n, total)
                )
        return vectors

    def forget_model(self) -> None:
        """Give back the memory of the model that gave updates."""
        self._reader = None

    def allowed(self) -> NDArray[np.bool_]:
        """Rows of the unembedding that may appear in a list, shape (vocab,)."""
        n_rows = self.weights.dimensions.vocab_size
        return self.vocabulary.allowed(n_rows, drop_special=self.options.drop_special)

    def write(self, rows: Iterable[VectorRow], token_ids: Sequence[int], steps: Steps) -> Manifest:
        """Look up glosses and write the bundle."""
        tokens = _tokens(steps, token_ids, self.vocabulary, self.sources)
        with steps.step("bundle") as done:
            manifest = write_bundle(
                self.out,
                model=self.info,
                parameters=self.parameters,
                vectors=rows,
                tokens=tokens,
                environment=environment(str(self.device), steps.seconds),
            )
            done(1, 1)
        return manifest


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
            found = (gloss.text, gloss.source, gloss.lemma) if gloss else (None, None, None)
            rows.append(TokenRow(token_id, vocabulary.texts[token_id], form.display, *found))
            if len(rows) == len(ids) or time.monotonic() - reported > 0.1:
                done(len(rows), len(ids))
                reported = time.monotonic()
    return rows


def _model_info(
    checkpoint: Checkpoint, name: str, weights: ModelWeights, vocabulary: Vocabulary
) -> ModelInfo:
    sizes = weights.dimensions
    return ModelInfo(
        name=name,
        revision=checkpoint.revision,
        model_type=weights.architecture.model_type,
        n_layers=sizes.n_layers,
        d_model=sizes.d_model,
        d_ff=sizes.d_ff,
        vocab_size=sizes.vocab_size,
        vocabulary=vocabulary.level,
        weights_digest=weights_digest(checkpoint.tensors, weights.used_tensors()),
    )
