"""Estimate of a measurement's time and memory from a model's sizes; importable without torch.

Orders of magnitude for a person who decides. The rates are those of one thread of an AMD EPYC
(docs/measurements.md); where a site has run measurements of its own, their times count.
"""

from dataclasses import dataclass

from ffn_extract.bundle.rows import MOST_PREFIXES
from ffn_extract.measurements import RUN_NO_MODEL
from ffn_extract.measurements.limits import NEW_TOKENS
from ffn_extract.measurements.memory import memory_bytes
from ffn_extract.measurements.options import MeasureOptions

_FLOAT = 4  # bytes
_LIBRARIES = 600e6  # bytes of Python with torch and transformers
_START_SECONDS = 8.0
_READ_BYTES = 300e6  # of weights per second
_MODEL_PRODUCTS = 3e10  # per second while the model runs
_SCORE_PRODUCTS = 1.9e10  # per second while states are scored over the vocabulary
_SCORES = 2  # of x and of x̃, per layer
_RESAMPLED = 4e7  # values per second, in the bootstrap
_CONDITIONS = 3  # of `suppression`: none, chosen and random vectors
_NORM_PRODUCTS = 1.3e10
_SENTENCE = 2  # times the tokens of an average prefix
_KEY_PASS = 2  # times the time of plain passes, at most
_ENTRY = 40  # bytes of an entry of a running list, and of what is found of a block
_LISTS = 4  # value and random vectors, with and without the norm


@dataclass(frozen=True)
class Sizes:
    """Sizes of a model: `parameters` in all, `d_ff` value vectors in the widest layer."""

    parameters: int
    layers: int
    d_model: int
    d_ff: int
    vocab_size: int


@dataclass(frozen=True)
class Estimate:
    """Seconds of one worker, and bytes of memory at the peak."""

    seconds: float
    memory_bytes: int


def estimate(
    name: str, sizes: Sizes, options: MeasureOptions, *, tokens: float, workers: int
) -> Estimate:
    """Estimate one measurement.

    Parameters
    ----------
    name
        A key of `MEASUREMENTS`.
    sizes
        Of the model.
    tokens
        Of an average prefix.
    workers
        Processes that run batches.
    """
    start = _START_SECONDS + _FLOAT * sizes.parameters / _READ_BYTES
    width = sizes.vocab_size * sizes.d_model
    if name in RUN_NO_MODEL:
        vectors = options.model.per_layer if isinstance(options.model.per_layer, int) else 0
        products = _LISTS * vectors * sizes.layers * width
        return Estimate(start + products / _NORM_PRODUCTS, _of_norm(sizes))
    if name == "suppression":
        continued = options.suppression.prompt_count * options.suppression.beams * NEW_TOKENS
        read = continued + options.suppression.perplexity_tokens
        seconds = (
            _CONDITIONS * read * (sizes.parameters / _MODEL_PRODUCTS + width / _SCORE_PRODUCTS)
        )
        return Estimate(start + seconds / workers, _of_texts(sizes, options, workers))
    values = sizes.layers * sizes.d_ff * width / _SCORE_PRODUCTS
    if name == "key-value-agreement":
        plain = options.examples * _SENTENCE * tokens * sizes.parameters / _MODEL_PRODUCTS
        seconds = _KEY_PASS * plain + values
        return Estimate(start + seconds / workers, _of_keys(sizes, options, workers))
    reading = tokens * sizes.parameters / _MODEL_PRODUCTS
    reading += _SCORES * sizes.layers * width / _SCORE_PRODUCTS
    passes = 2 if options.control else 1
    resampled = options.resamples * options.examples / _RESAMPLED
    seconds = passes * options.examples * reading + (values if name == "composition" else 0)
    return Estimate(
        start + seconds / workers + resampled * sizes.layers,
        _of_texts(sizes, options, workers),
    )


def _of_texts(sizes: Sizes, options: MeasureOptions, workers: int) -> int:
    return memory_bytes(
        sizes.parameters,
        options,
        layers=sizes.layers,
        d_model=sizes.d_model,
        d_ff=sizes.d_ff,
        vocab_size=sizes.vocab_size,
        workers=workers,
    )


def _of_keys(sizes: Sizes, options: MeasureOptions, workers: int) -> int:
    lists = sizes.layers * sizes.d_ff * MOST_PREFIXES * _ENTRY
    return _of_texts(sizes, options, workers) + lists


def _of_norm(sizes: Sizes) -> int:
    return int(_LIBRARIES + 2 * _FLOAT * sizes.vocab_size * sizes.d_model)
