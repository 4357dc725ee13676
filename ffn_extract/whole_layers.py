"""Every value vector of a model: layer after layer, in memory that no number of vectors fills."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from ffn_extract.architectures import ModelWeights
from ffn_extract.bundle import VectorRow
from ffn_extract.bundle.parts import Parts
from ffn_extract.lists import prepared, rows_of
from ffn_extract.options import ExtractOptions
from ffn_extract.projection import Projector
from ffn_extract.vectors import Vector, all_value_vectors
from ffn_extract.vocabulary import Vocabulary

VectorReport = Callable[[int, int, int], None]
"""Vectors done, of how many, and how many of the done ones an earlier run did."""


def project_layers(
    weights: ModelWeights,
    vocabulary: Vocabulary,
    projector: Projector,
    options: ExtractOptions,
    drawn: Sequence[Vector],
    parts: Parts,
    report: VectorReport,
) -> None:
    """Write a part for every layer that has none: its value vectors, then those in `drawn`.

    A killed run loses the layer it was in and nothing else.
    """
    n_layers = weights.dimensions.n_layers
    n_others = sum(options.drawn_count for kind in options.kinds if kind != "value")
    finished = parts.finished(n_layers)
    sizes = [weights.n_values(layer) + n_others for layer in range(n_layers)]
    count = _Count(weights, sizes, finished, report)

    def rows(layer: int) -> Iterator[VectorRow]:
        for vectors in _batches(weights, layer, drawn):
            matrix = prepared(vectors, options.projection, weights)
            projection = projector.project(matrix, count.within(len(vectors)))
            yield from rows_of(vectors, projection, vocabulary)

    for layer in sorted(set(range(n_layers)) - set(finished)):
        parts.write(layer, rows(layer))


class _Count:
    """Counts vectors, also while a batch of them is on its way through the vocabulary."""

    def __init__(
        self,
        weights: ModelWeights,
        sizes: Sequence[int],
        finished: Iterable[int],
        report: VectorReport,
    ) -> None:
        self._n_rows = weights.dimensions.vocab_size
        self._total = sum(sizes)
        self._before = self._done = sum(sizes[layer] for layer in finished)
        self._report = report
        report(self._done, self._total, self._before)

    def within(self, batch: int) -> Callable[[int], None]:
        """What tells that the next `batch` vectors have met so many rows of the unembedding."""
        start = self._done
        self._done += batch
        return lambda rows: self._report(
            start + batch * rows // self._n_rows, self._total, self._before
        )


def _batches(
    weights: ModelWeights, layer: int, drawn: Sequence[Vector]
) -> Iterator[Sequence[Vector]]:
    yield from all_value_vectors(weights, layer)
    others = [vector for vector in drawn if vector.layer == layer]
    if others:
        yield others
