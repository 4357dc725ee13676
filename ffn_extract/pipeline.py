"""One extraction, from a model's name to a bundle: the steps in their order."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
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
from ffn_extract.fixed_order import fixed_order_norm
from ffn_extract.glosses import GLOSS_SOURCES, GlossSource, gloss_each
from ffn_extract.options import ExtractOptions
from ffn_extract.progress import STEPS, Progress, Report, ignore
from ffn_extract.projection import Projection, project
from ffn_extract.updates import UpdateReader
from ffn_extract.vectors import Vector, random_vectors, update_vectors, value_vectors
from ffn_extract.vocabulary import Vocabulary, load_tokenizer, read_vocabulary
from ffn_extract.weights_digest import weights_digest

__all__ = ["STEPS", "Progress", "extract"]

Floats = np.typing.NDArray[np.float64]
_log = logging.getLogger(__name__)


def extract(model: str, out: Path, options: ExtractOptions, report: Report = ignore) -> Manifest:
    """Extract the lists of `model` (a folder or a hub id) into a bundle at `out`.

    `report` is called often; whatever it raises cancels the extraction and leaves nothing at
    `out`.

    Raises
    ------
    FFNExtractError
        With a sentence that says what to do. Nothing half-written is left behind.
    """
    steps = _Steps(report)
    device = open_device(options.device)
    with steps.step("checkpoint") as done:
        checkpoint = find_checkpoint(model, options.revision, done)
        architecture = _architecture(options, checkpoint.config)
        weights = ModelWeights(architecture, checkpoint.config, checkpoint.tensors)
    with steps.step("vocabulary") as done:
        tokenizer = load_tokenizer(checkpoint.folder)
        vocabulary = read_vocabulary(tokenizer)
        corpus = _corpus(options) if "update" in options.kinds else None
        sources = _open_sources(options.glosses)
        parameters = _parameters(options, weights, corpus, sources)
        name = options.name or checkpoint.name
        require_target(out, name, parameters)
        done(1, 1)
    vectors = _vectors(steps, options, weights, checkpoint, tokenizer, corpus, device)
    projection = _project(steps, options, weights, vocabulary, vectors, device)
    tokens = _tokens(steps, projection, vocabulary, list(sources.values()))
    with steps.step("bundle") as done:
        info = _model_info(checkpoint, name, weights, vocabulary)
        done(1, 2)
        manifest = write_bundle(
            out,
            model=info,
            parameters=parameters,
            vectors=_rows(vectors, projection, vocabulary),
            tokens=tokens,
            environment=environment(str(device), steps.seconds),
        )
        done(2, 2)
    return manifest


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


class _Steps:
    """Passes progress on and measures how long each step takes."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, key: str) -> Iterator["_Done"]:
        start = time.monotonic()
        yield _Done(self._report, key)
        self.seconds[key] = round(time.monotonic() - start, 3)


class _Done:
    """Reports one step's progress: done and total."""

    def __init__(self, report: Report, key: str) -> None:
        self._report = report
        self._key = key
        self(0, 1)

    def __call__(self, done: int, total: int) -> None:
        self._report(Progress(self._key, done, total))


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
    return {
        "kinds": list(options.kinds),
        "per_layer": options.per_layer,
        "top_k": options.top_k,
        "seed": options.seed,
        "projection": options.projection,
        "random_grain": options.random_grain,
        "drop_special": options.drop_special,
        "bottom": weights.signed,
        "corpus": corpus
        and {"name": corpus.name, "texts": len(corpus.texts), "sha256": corpus.digest},
        "glosses": [{"source": name, "version": s.version} for name, s in sources.items()],
        **({"tensors": options.tensors} if options.tensors else {}),
    }


def _vectors(
    steps: _Steps,
    options: ExtractOptions,
    weights: ModelWeights,
    checkpoint: Checkpoint,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus | None,
    device: torch.device,
) -> list[Vector]:
    """Every vector of the extraction, in the bundle's order."""
    n_layers = weights.dimensions.n_layers
    vectors: list[Vector] = []
    if options.kinds != ("update",):
        with steps.step("vectors") as done:
            passes = [kind for kind in options.kinds if kind != "update"]
            if "value" in passes:
                for layer in range(n_layers):
                    vectors += value_vectors(weights, layer, options)
                    done(layer + 1, n_layers * len(passes))
            if "random" in passes:
                before = n_layers * (len(passes) - 1)
                vectors += random_vectors(
                    weights, options, lambda layer: done(before + layer, n_layers * len(passes))
                )
    if corpus is not None:
        with steps.step("updates") as done:
            reader = UpdateReader(checkpoint, weights.architecture, tokenizer, corpus, device)
            total = n_layers * options.per_layer
            vectors += update_vectors(reader, n_layers, options, lambda n: done(n, total))
    return sorted(vectors, key=lambda vector: vector.place)


def _project(
    steps: _Steps,
    options: ExtractOptions,
    weights: ModelWeights,
    vocabulary: Vocabulary,
    vectors: Sequence[Vector],
    device: torch.device,
) -> Projection:
    n_rows = weights.dimensions.vocab_size
    with steps.step("projection") as done:
        return project(
            _prepared(vectors, options.projection, weights),
            weights.unembedding,
            vocabulary.allowed(n_rows, drop_special=options.drop_special),
            options.top_k,
            both_sides=weights.signed,
            device=device,
            report=lambda rows: done(rows, n_rows),
        )


def _prepared(vectors: Sequence[Vector], mode: str, weights: ModelWeights) -> Floats:
    """What is multiplied with the unembedding in a projection mode, shape (n, its width)."""
    values = np.stack([vector.values for vector in vectors])
    layers = np.array([vector.layer for vector in vectors])
    for layer in range(weights.dimensions.n_layers) if mode != "raw" else ():
        norm, rows = weights.norm(layer), layers == layer
        values[rows] = norm.folded(values[rows]) if mode == "fold" else norm.normed(values[rows])
    return weights.before_unembedding(values)


def _tokens(
    steps: _Steps, projection: Projection, vocabulary: Vocabulary, sources: Sequence[GlossSource]
) -> list[TokenRow]:
    """The tokens that occur in a list, by ascending id, with their glosses."""
    sides = [projection.top, projection.bottom]
    ids = np.unique(np.concatenate([side.token_ids.ravel() for side in sides if side])).tolist()
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


def _rows(
    vectors: Sequence[Vector], projection: Projection, vocabulary: Vocabulary
) -> Iterator[VectorRow]:
    norms = fixed_order_norm(np.stack([vector.values for vector in vectors]))
    top, bottom = projection.top, projection.bottom
    for i, vector in enumerate(vectors):
        update = vector.update
        yield VectorRow(
            kind=vector.kind,
            layer=vector.layer,
            index=vector.index,
            norm=float(norms[i]),
            token_ids=top.token_ids[i].tolist(),
            scores=top.scores[i].tolist(),
            bottom_token_ids=bottom.token_ids[i].tolist() if bottom else None,
            bottom_scores=bottom.scores[i].tolist() if bottom else None,
            context=update.text if update else None,
            context_position=update.position if update else None,
            context_token=vocabulary.form(update.token_id).display if update else None,
        )


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
