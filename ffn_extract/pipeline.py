"""Run an extraction, from a model's name to a bundle."""

import logging
import os
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from ffn_extract.architectures import ModelWeights, family_of
from ffn_extract.architectures.given import names_of_norms_after_ffn
from ffn_extract.bundle import (
    Manifest,
    ModelInfo,
    UnembeddingInfo,
)
from ffn_extract.bundle.writing import require_target
from ffn_extract.checkpoints.find import Checkpoint, find_checkpoint
from ffn_extract.checkpoints.fingerprint import fingerprint
from ffn_extract.collector import only_new_objects
from ffn_extract.corpora import Corpus, open_corpus, stored_corpus
from ffn_extract.errors import FFNExtractError, OptionError
from ffn_extract.glosses import GLOSS_SOURCES, GlossSource
from ffn_extract.keys.work import open_keys, require_keys
from ffn_extract.names import model_name
from ffn_extract.options import LISTED, ExtractOptions
from ffn_extract.possible import layers_of, require_possible, require_texts, require_top_k
from ffn_extract.progress import STEPS, Progress, Report, Steps, ignore
from ffn_extract.run import Run
from ffn_extract.tensor_names import Shape
from ffn_extract.updates import require_runnable
from ffn_extract.vocabulary import Vocabulary, open_vocabulary
from ffn_extract.whole_layers import LayeredExtraction

__all__ = ["STEPS", "Progress", "Run", "Steps", "extract", "open_run"]

_log = logging.getLogger(__name__)


def extract(
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    options: ExtractOptions,
    report: Report = ignore,
) -> Manifest:
    """Extract the lists of `model` (a folder or a hub id) into a bundle at `out`.

    `report` is called often; whatever it raises cancels the extraction and leaves nothing at
    `out`. An extraction of all vectors leaves its finished layers in a hidden folder beside `out`,
    where the same call finds them again and goes on.

    Raises
    ------
    FFNExtractError
        With a sentence that says what to do. Nothing half-written is left at `out`.

    Examples
    --------
    >>> from ffn_extract import ExtractOptions, extract, open_bundle
    >>> options = ExtractOptions(kinds=("value",), per_layer=2, top_k=3, glosses=())
    >>> manifest = extract(model, folder / "bundle", options)
    >>> manifest.counts.kinds  # 2 value vectors of each of the model's 2 layers
    {'value': 4}
    >>> bundle = open_bundle(folder / "bundle")
    >>> bundle.manifest.digest == manifest.digest
    True
    >>> first = next(bundle.iter_vectors())[0]
    >>> len(first.token_ids), len(first.scores)
    (3, 3)
    """
    steps = Steps(report)
    run = open_run(os.fspath(model), Path(out), options, steps)
    with only_new_objects():
        if options.by_layer:
            return LayeredExtraction(run).every_layer(steps)
        rows, token_ids = run.sampled(int(options.per_layer), steps)
        return run.write(rows, token_ids, steps)


def open_run(model: str, out: Path, options: ExtractOptions, steps: Steps) -> Run:
    """Open and check everything that the extraction needs, before any long work.

    Raises FFNExtractError with a sentence that says what to do.
    """
    device = open_device(options.device)
    with steps.step("checkpoint") as done:
        checkpoint = find_checkpoint(model, options.revision, done, gguf_file=options.gguf_file)
        weights = open_weights(checkpoint, options)
        require_possible(options, weights)
        if "update" in options.kinds:
            require_runnable(weights.architecture)
        if options.has_keys:
            require_keys(weights, options, checkpoint.config)
    with steps.step("vocabulary") as done:
        tokenizer, vocabulary = open_vocabulary(checkpoint)
        n_rows = weights.dimensions.vocab_size
        vocabulary.check_rows(n_rows)
        weights.forget_rows(~vocabulary.allowed(n_rows, drop_special=False))
        done(1, 1)
    with steps.step("sources") as done:
        corpus = _corpus(options) if options.has_keys or "update" in options.kinds else None
        if corpus is not None and "update" in options.kinds:
            require_texts(options, corpus)
        done(1, 3)
        keys = None
        if corpus is not None and options.has_keys:
            keys = open_keys(checkpoint, weights, options, tokenizer, corpus, device)
        sources = _open_sources(options.glosses)
        done(2, 3)
        parameters = _parameters(options, weights, corpus, sources)
        notes = vocabulary.notes(n_rows)
        parameters |= {"tokenizer": notes} if notes else {}
        parameters |= {"keys": keys.parameters} if keys is not None else {}
        name = model_name(checkpoint, options)
        if keys is not None:
            keys.require_memory(name)
        require_target(out, name, parameters)
        info = model_info(checkpoint, name, weights, vocabulary)
        done(3, 3)
    run = Run(
        out, options, checkpoint, weights, tokenizer, vocabulary, corpus, device,
        list(sources.values()), info, parameters, keys,
    )  # fmt: skip
    require_top_k(options.top_k, int(run.allowed().sum()))
    if "update" in options.kinds and options.describes_family:
        run.open_reader().require_modules(layers_of(options, weights.layers))
    return run


def open_weights(checkpoint: Checkpoint, options: ExtractOptions) -> ModelWeights:
    """Open the weights, by the family in the options or in config.json.

    Says in the log what has no effect here, or looks left out. Raises FFNExtractError.
    """
    shapes: dict[str, Shape] = {}
    if options.describes_family:
        shapes = {name: checkpoint.tensors.shape(name) for name in checkpoint.tensors.names}
    family = family_of(checkpoint.config, options, shapes)
    for name in islice(names_of_norms_after_ffn(options, shapes), 1):
        _log.warning(
            "The file has %s, which may be a norm between the FFN and the residual stream; if so, "
            "give it with --norm-after-ffn-tensor.", name,
        )  # fmt: skip
    if options.revision is not None and checkpoint.revision is None:
        _log.warning("%s is a folder: --revision has no effect.", checkpoint.name)
    return ModelWeights(
        family.architecture,
        family.config,
        checkpoint.tensors,
        through_head=options.through_head,
        unembedding=options.unembedding_tensor,
        allow_fewer_layers=options.allow_fewer_layers,
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
    # Keys need every sentence, in their order; a corpus can be larger than memory.
    read = stored_corpus if options.has_keys else open_corpus
    corpus = read(options.corpus, options.corpus_field)
    return corpus.split() if options.split_sentences else corpus


def _open_sources(names: Sequence[str]) -> dict[str, GlossSource]:
    """The gloss sources that can be had; of one that cannot, it is said once, here."""
    sources: dict[str, GlossSource] = {}
    for name in names:
        try:
            sources[name] = GLOSS_SOURCES[name]()
        except FFNExtractError as error:
            _log.warning("%s Continuing without glosses from %s.", error, name)
    return sources


def _parameters(
    options: ExtractOptions,
    weights: ModelWeights,
    corpus: Corpus | None,
    sources: Mapping[str, GlossSource],
) -> dict[str, Any]:
    """Everything that the lists depend on besides the model; nothing of this machine."""
    drawn = options.drawn_count
    per_layer = options.per_layer if options.vectors is None else LISTED
    return {
        **options.recorded(),
        "per_layer": per_layer,
        **({} if drawn == per_layer else {"drawn_per_layer": drawn}),
        "bottom": weights.signed,
        "corpus": corpus
        and {"name": corpus.name, "texts": len(corpus.texts), "sha256": corpus.digest},
        "glosses": [{"source": name, "version": s.version} for name, s in sources.items()],
    }


def model_info(
    checkpoint: Checkpoint, name: str, weights: ModelWeights, vocabulary: Vocabulary
) -> ModelInfo:
    """The model's entry in a manifest."""
    sizes, used = weights.dimensions, weights.used_tensors()
    return ModelInfo(
        name=name,
        revision=checkpoint.revision,
        model_type=weights.architecture.model_type,
        n_layers=sizes.n_layers,
        d_model=sizes.d_model,
        d_ff=sizes.d_ff,
        vocab_size=sizes.vocab_size,
        vocabulary=vocabulary.level,
        fingerprint=fingerprint(checkpoint.tensors, used),
        unembedding=UnembeddingInfo(weights.unembedding.names, weights.chosen),
        layers_read=None if len(weights.layers) == sizes.n_layers else list(weights.layers),
        stored_as=checkpoint.stored_as(used),
    )
