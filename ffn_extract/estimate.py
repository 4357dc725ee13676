"""Estimate of an extraction from a model's outline; importable without torch.

Orders of magnitude for a person who decides, not promises: the constants were measured with small
models on a machine of two cores. Where a site has run extractions of its own, their rate counts.
"""

from dataclasses import dataclass

from ffn_extract.bundle.rows import MOST_PREFIXES
from ffn_extract.checkpoints.outline import Outline
from ffn_extract.chosen_vectors import require_enough, require_places
from ffn_extract.model_sizes import Sizes, sizes_of
from ffn_extract.options import ALL, ExtractOptions

DEFAULT_RATE = 1.3e10
"""Products of two numbers per second in the projection, where no extraction has shown another."""

_START_SECONDS = 4.0
_READ_BYTES = 300e6  # of weights per second, once for their digest
_MODEL_PRODUCTS = 8e9  # per second while a model runs, on one thread
_STATISTICS_SLOWER = 4.0  # than a projection of as many vectors
_STATISTICS_BYTES = 150  # of a vector, in a bundle and in the database
_SUMMED_PER_SECOND = 3e8  # numbers, in a fixed order of additions
_FROM_WEIGHTS = ("random", "random-covariance", "permuted")
_TEXT_TOKENS = 20  # of an average text of WordNet's
_LOADED_LISTS = 2_500  # into a database, per second
_GLOSSED_TOKENS = 6_000
_WORDNET_SECONDS = 5.0
_WIKI_SECONDS = 0.3  # per token that WordNet does not know
_IMPORTED_BYTES = 440e6  # Python with torch and transformers
_RUNNING_BYTES = 140e6  # what transformers needs besides, to run a model
_WORDNET_BYTES = 110e6
_BLOCK_BYTES = 64e6  # the unembedding's rows in work at a time
_MAPPED_BYTES = 128e6  # of the weights' files, at most
_LIST_ENTRY_BYTES = 6.5  # an id and a score in a bundle, compressed
_ROW_ENTRY_BYTES = 11  # and in the database, with its index
_ROW_BYTES = 300
_PREFIX_BYTES = 300  # a trigger prefix, in both
_ENTRY_BYTES = 27  # and in a list that is still growing
_KEYS_SENTENCES = 48_000  # of WordNet's, or of a corpus whose size is not known here
_TOKEN_BYTES = 450  # with its gloss, in both
_MANY_TOKENS = 4  # distinct tokens per list are about as many while lists are few


@dataclass(frozen=True)
class Estimate:
    """Cost of an extraction: seconds of one worker, bytes of memory and of disk, and lists."""

    lists: int
    tokens: int
    seconds: float
    memory_bytes: int
    disk_bytes: int
    products: int


def require_possible(sizes: Sizes, options: ExtractOptions) -> None:
    """Refuse value vectors that a model of these sizes does not have. Raises OptionError."""
    if options.vectors is not None:
        require_places(options.vectors, sizes.values)
    elif options.per_layer != ALL and "value" in options.kinds:
        require_enough(options.per_layer, sizes.values)


def estimate(outline: Outline, options: ExtractOptions, rate: float = DEFAULT_RATE) -> Estimate:
    """Estimate the cost of an extraction with these options.

    Parameters
    ----------
    outline
        What is known of the model.
    options
        The extraction's options.
    rate
        Products per second, `Estimate.products` over the seconds of an earlier projection.

    Raises
    ------
    ArchitectureError
        Where the model's family is not known or its sizes are not there.
    """
    sizes = sizes_of(outline, options)
    every = options.per_layer == ALL
    drawn = options.drawn_count
    require_possible(sizes, options)
    value = _chosen(sizes, options) if "value" in options.kinds else 0
    n_layers = sizes.n_read
    if options.vectors is not None:
        n_layers = len({layer for layer, _ in options.vectors})
    n_updates = drawn * n_layers if "update" in options.kinds else 0
    n_random = drawn * n_layers * sum(kind in _FROM_WEIGHTS for kind in options.kinds)
    n_shuffled = drawn * n_layers if "shuffled" in options.kinds else 0
    n_keys = _keys(sizes, options, n_layers) if options.has_keys else 0
    projected = value + n_updates + n_random + n_keys
    lists = projected + n_shuffled
    entries = options.top_k * (2 if sizes.signed else 1)
    tokens = min(sizes.vocab_size, lists * entries * 3 // _MANY_TOKENS)
    products = projected * sizes.vocab_size * sizes.d_model
    measured = sum(sizes.values) if options.value_statistics else 0
    return Estimate(
        lists=lists,
        tokens=tokens,
        seconds=_seconds(outline, options, products / rate, lists, n_updates, tokens)
        + _drawing_seconds(sizes, options)
        + measured * sizes.vocab_size * sizes.d_model * _STATISTICS_SLOWER / rate
        + measured / _LOADED_LISTS,
        memory_bytes=_memory(outline, options, sizes, lists, n_keys),
        disk_bytes=round(
            outline.to_fetch
            + lists * entries * (_LIST_ENTRY_BYTES * (2 if every else 1) + _ROW_ENTRY_BYTES)
            + lists * _ROW_BYTES
            + measured * _STATISTICS_BYTES
            + n_keys * (2 if sizes.signed else 1) * MOST_PREFIXES * _PREFIX_BYTES
            + tokens * _TOKEN_BYTES
        ),
        products=products,
    )


def _keys(sizes: Sizes, options: ExtractOptions, n_layers: int) -> int:
    """How many keys are taken, random ones among them."""
    drawn = options.drawn_count * n_layers
    count = drawn if "random-key" in options.kinds else 0
    if "key" not in options.kinds:
        return count
    if options.keys_of == "sample":
        return count + drawn
    if options.keys_of == "values":
        return count + _chosen(sizes, options)
    layers = {layer for layer, _ in options.vectors or ()}
    return count + sum(
        n for layer, n in enumerate(sizes.values) if options.vectors is None or layer in layers
    )


def _chosen(sizes: Sizes, options: ExtractOptions) -> int:
    """How many value vectors are taken."""
    if options.vectors is not None:
        return len(options.vectors)
    return sum(n if options.per_layer == ALL else options.per_layer for n in sizes.values if n)


def _seconds(
    outline: Outline,
    options: ExtractOptions,
    projection: float,
    lists: int,
    n_updates: int,
    tokens: int,
) -> float:
    seconds = _START_SECONDS + outline.weight_bytes / _READ_BYTES + projection
    seconds += lists / _LOADED_LISTS + tokens / _GLOSSED_TOKENS
    if n_updates:
        seconds += n_updates * _TEXT_TOKENS * outline.parameters / _MODEL_PRODUCTS
    if options.has_keys:
        seconds += _KEYS_SENTENCES * _TEXT_TOKENS * outline.parameters / _MODEL_PRODUCTS
    if "wordnet" in options.glosses or n_updates:
        seconds += _WORDNET_SECONDS
    if "wikipedia" in options.glosses:
        seconds += tokens * _WIKI_SECONDS
    return seconds


def _drawing_seconds(sizes: Sizes, options: ExtractOptions) -> float:
    """Of draws with a covariance: each one sums every value vector of its layer."""
    if "random-covariance" not in options.kinds:
        return 0.0
    layers = {layer for layer, _ in options.vectors or ()}
    summed = sum(
        n for layer, n in enumerate(sizes.values) if options.vectors is None or layer in layers
    )
    return options.drawn_count * summed * sizes.d_model / _SUMMED_PER_SECOND


def _memory(
    outline: Outline, options: ExtractOptions, sizes: Sizes, lists: int, n_keys: int
) -> int:
    """Bytes at the peak: of the unembedding and the running model, which do not meet."""
    unembedding = sizes.vocab_size * sizes.d_model
    every = options.by_layer
    # Held as it is stored and in the first pass's precision; else in blocks of some rows.
    projecting = unembedding * 6.0 if every else _BLOCK_BYTES + lists * sizes.d_model * 24.0
    running = 0.0
    if "update" in options.kinds or options.has_keys:
        running = _RUNNING_BYTES + outline.parameters * 4.0
    common = _IMPORTED_BYTES + min(_MAPPED_BYTES, outline.weight_bytes)
    if "wordnet" in options.glosses or "update" in options.kinds:
        common += _WORDNET_BYTES
    growing = n_keys * (2 if sizes.signed else 1) * MOST_PREFIXES * _ENTRY_BYTES
    return round(common + max(projecting, running + growing))
