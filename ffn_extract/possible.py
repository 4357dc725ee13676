"""Check options against a model before any work."""

from collections.abc import Sequence

from ffn_extract.architectures import ModelWeights
from ffn_extract.chosen_vectors import require_enough, require_places
from ffn_extract.corpora import Corpus
from ffn_extract.errors import CorpusError, OptionError
from ffn_extract.options import ALL, ExtractOptions


def require_possible(options: ExtractOptions, weights: ModelWeights) -> None:
    """Refuse vectors that the model does not have, and an unknown norm.

    Raises
    ------
    OptionError, ArchitectureError
    """
    sizes = [weights.n_values(layer) for layer in range(weights.dimensions.n_layers)]
    if options.vectors is not None:
        require_places(options.vectors, sizes)
    elif options.per_layer != ALL and "value" in options.kinds:
        require_enough(options.per_layer, sizes)
    if options.projection != "raw":
        for layer in weights.layers:
            weights.norm(layer)


def require_texts(options: ExtractOptions, corpus: Corpus) -> None:
    """Refuse a corpus with fewer texts than updates in a layer. Raises CorpusError."""
    if len(corpus.texts) < options.drawn_count:
        raise CorpusError(
            f"The corpus has {len(corpus.texts)} texts; {options.drawn_count} updates per layer, "
            "at one position per text, need more. Give a larger --corpus or a smaller "
            f"{'--per-layer' if options.drawn_per_layer is None else '--drawn-per-layer'}."
        )


def require_top_k(top_k: int, n_tokens: int) -> None:
    """Refuse lists longer than the vocabulary. Raises OptionError."""
    if n_tokens < top_k:
        raise OptionError.about(
            "top_k",
            f"is {top_k}, and the vocabulary has {n_tokens:,} tokens that may appear in a list. "
            "Give a smaller number.",
        )


def layers_of(options: ExtractOptions, read: Sequence[int]) -> Sequence[int]:
    """The layers that get random vectors and updates, ascending, among those that are read."""
    if options.vectors is None:
        return read
    return sorted({layer for layer, _ in options.vectors})
