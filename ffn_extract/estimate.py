"""What an extraction will take, from a model's outline; importable without torch.

Orders of magnitude for a person who decides, not promises: the constants were measured with small
models on a machine of two cores. Where a site has run extractions of its own, their rate counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ffn_extract.architectures import family_of
from ffn_extract.architectures.declaration import FFN, NEVER_NEGATIVE, Architecture, Matrix
from ffn_extract.chosen_vectors import require_enough, require_places
from ffn_extract.errors import ArchitectureError
from ffn_extract.options import ALL, ExtractOptions
from ffn_extract.outline import Outline

DEFAULT_RATE = 1.3e10
"""Products of two numbers per second in the projection, where no extraction has shown another."""

_START_SECONDS = 4.0
_READ_BYTES = 300e6  # of weights per second, once for their digest
_MODEL_PRODUCTS = 8e9  # per second while a model runs, on one thread
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
_TOKEN_BYTES = 450  # with its gloss, in both
_MANY_TOKENS = 4  # distinct tokens per list are about as many while lists are few


@dataclass(frozen=True)
class Sizes:
    """Sizes of a model: `values` counts the value vectors of each layer."""

    d_model: int
    vocab_size: int
    values: tuple[int, ...]
    signed: bool

    @property
    def n_layers(self) -> int:
        """How many layers there are."""
        return len(self.values)


@dataclass(frozen=True)
class Estimate:
    """What an extraction takes: seconds of one worker, bytes of memory and of disk, and lists."""

    lists: int
    tokens: int
    seconds: float
    memory_bytes: int
    disk_bytes: int
    products: int


def sizes_of(outline: Outline, options: ExtractOptions) -> Sizes:
    """The sizes of a model. Raises ArchitectureError where its family or a tensor is not known."""
    family, config = _family(outline, options)
    outline = replace(outline, config=config)
    prefix = _prefix(family, outline)
    unembedding = _unembedding(family, outline, prefix)
    d_model = _size(outline.config, family.d_model_keys) if family.d_model_keys else unembedding[1]
    n_layers = _layers(family, outline, prefix)
    values = tuple(_values(family, outline, prefix, layer, d_model) for layer in range(n_layers))
    forms = [_form(family, outline, prefix, layer) for layer in range(n_layers)]
    gated = any(form.up is not None for form in forms)
    activation = outline.config.get(family.activation_key, family.default_activation)
    signed = gated or activation not in NEVER_NEGATIVE
    return Sizes(d_model, unembedding[0], values, signed)


def require_possible(sizes: Sizes, options: ExtractOptions) -> None:
    """Refuse value vectors that a model of these sizes does not have. Raises OptionError."""
    if options.vectors is not None:
        require_places(options.vectors, sizes.values)
    elif options.per_layer != ALL and "value" in options.kinds:
        require_enough(options.per_layer, sizes.values)


def estimate(outline: Outline, options: ExtractOptions, rate: float = DEFAULT_RATE) -> Estimate:
    """What an extraction with these options takes.

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
    n_layers = sizes.n_layers
    if options.vectors is not None:
        n_layers = len({layer for layer, _ in options.vectors})
    n_updates = drawn * n_layers if "update" in options.kinds else 0
    n_random = drawn * n_layers if "random" in options.kinds else 0
    lists = value + n_updates + n_random
    entries = options.top_k * (2 if sizes.signed else 1)
    tokens = min(sizes.vocab_size, lists * entries * 3 // _MANY_TOKENS)
    products = lists * sizes.vocab_size * sizes.d_model
    return Estimate(
        lists=lists,
        tokens=tokens,
        seconds=_seconds(outline, options, products / rate, lists, n_updates, tokens),
        memory_bytes=_memory(outline, options, sizes, lists),
        disk_bytes=round(
            outline.to_fetch
            + lists * entries * (_LIST_ENTRY_BYTES * (2 if every else 1) + _ROW_ENTRY_BYTES)
            + lists * _ROW_BYTES
            + tokens * _TOKEN_BYTES
        ),
        products=products,
    )


def _chosen(sizes: Sizes, options: ExtractOptions) -> int:
    """How many value vectors are taken."""
    if options.vectors is not None:
        return len(options.vectors)
    return sum(n if options.per_layer == ALL else options.per_layer for n in sizes.values)


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
    if "wordnet" in options.glosses or n_updates:
        seconds += _WORDNET_SECONDS
    if "wikipedia" in options.glosses:
        seconds += tokens * _WIKI_SECONDS
    return seconds


def _memory(outline: Outline, options: ExtractOptions, sizes: Sizes, lists: int) -> int:
    """Bytes at the peak: of the unembedding and the running model, which do not meet."""
    unembedding = sizes.vocab_size * sizes.d_model
    every = options.per_layer == ALL
    # Held as it is stored and in the first pass's precision; else in blocks of some rows.
    projecting = unembedding * 6.0 if every else _BLOCK_BYTES + lists * sizes.d_model * 24.0
    running = 0.0
    if "update" in options.kinds:
        running = _RUNNING_BYTES + outline.parameters * 4.0
    common = _IMPORTED_BYTES + min(_MAPPED_BYTES, outline.weight_bytes)
    if "wordnet" in options.glosses or "update" in options.kinds:
        common += _WORDNET_BYTES
    return round(common + max(projecting, running))


def _family(outline: Outline, options: ExtractOptions) -> tuple[Architecture, Mapping[str, Any]]:
    found = family_of(outline.config, options, outline.shapes)
    return found.architecture, found.config


def _prefix(family: Architecture, outline: Outline) -> str:
    if not outline.shapes:
        return ""
    names = [prefix + family.embedding for prefix in family.prefixes]
    name = next((name for name in names if name in outline.shapes), None)
    if name is None:
        raise ArchitectureError(
            f"The weights have no {' or '.join(names)}: they are not those of a "
            f"{family.model_type} model."
        )
    return name.removesuffix(family.embedding)


def _unembedding(family: Architecture, outline: Outline, prefix: str) -> tuple[int, int]:
    """Rows and width of the unembedding."""
    names = (*family.heads, prefix + family.embedding)
    found = next((outline.shapes[name] for name in names if name in outline.shapes), None)
    if found is None:
        vocab_size = _size(outline.config, ("vocab_size",))
        return vocab_size, _size(outline.config, family.d_model_keys or ("hidden_size",))
    if len(found) != 2:
        raise ArchitectureError(f"The unembedding has shape {found}; it should be a matrix.")
    return found[0], found[1]


def _layers(family: Architecture, outline: Outline, prefix: str) -> int:
    if family.layers_keys:
        return _size(outline.config, family.layers_keys)
    mark = family.ffns[0].mark
    n_layers = 0
    while _name(prefix, mark, n_layers) in outline.shapes:
        n_layers += 1
    if n_layers == 0:
        raise ArchitectureError(
            f"The weights have no {_name(prefix, mark, 0)}. Look up the tensor's name."
        )
    return n_layers


def _values(family: Architecture, outline: Outline, prefix: str, layer: int, d_model: int) -> int:
    """How many value vectors a layer has, all experts together."""
    ffn: FFN | None = _form(family, outline, prefix, layer)
    total = 0
    while ffn is not None:
        experts = _size(outline.config, ffn.experts_keys) if ffn.experts_keys else 1
        total += experts * _d_ff(ffn, outline, prefix, layer, d_model)
        ffn = ffn.then
    return total


def _form(family: Architecture, outline: Outline, prefix: str, layer: int) -> FFN:
    """The form that a layer's FFN has; the family's first where the tensors are not known."""
    present = (f for f in family.ffns if _name(prefix, f.mark, layer) in outline.shapes)
    return next(present, family.ffns[0])


def _d_ff(ffn: FFN, outline: Outline, prefix: str, layer: int, d_model: int) -> int:
    known = any(outline.config.get(key) is not None for key in ffn.d_ff_keys)
    if ffn.d_ff_factor is not None and not known:
        return ffn.d_ff_factor * d_model
    if ffn.d_ff_keys:
        return _size(outline.config, ffn.d_ff_keys)
    name = _name(prefix, ffn.value, layer)
    shape = outline.shapes.get(name)
    if shape is None:
        raise ArchitectureError(f"The weights have no {name}. Look up the tensor's name.")
    return shape[-2 if ffn.value.orientation == "row" else -1]


def _name(prefix: str, matrix: Matrix, layer: int) -> str:
    return prefix + matrix.name.format(layer=layer, expert=0)


def _size(config: Mapping[str, object], keys: tuple[str, ...]) -> int:
    key = next((key for key in keys if config.get(key) is not None), keys[0])
    size = config.get(key)
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ArchitectureError(
            f"config.json must give {key} as a whole number of at least 1, not {size!r}."
        )
    return size
