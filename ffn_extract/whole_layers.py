"""Extraction that reads every vector of a model: layer by layer, in bounded memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from ffn_extract.bundle import Manifest, ValueStatisticsRow, VectorRow
from ffn_extract.bundle.parts import Parts
from ffn_extract.controls import with_shuffled
from ffn_extract.environment import packages
from ffn_extract.lists import prepared, rows_of
from ffn_extract.options import ALL, FURTHER_CONTROLS
from ffn_extract.possible import layers_of
from ffn_extract.progress import Steps
from ffn_extract.projection.projector import Projector
from ffn_extract.projection.score_moments import ScoreMoments
from ffn_extract.projection.working_rows import HeldRows
from ffn_extract.run import Run
from ffn_extract.value_statistics import layer_statistics
from ffn_extract.vectors import (
    Vector,
    all_value_vectors,
    chosen_value_vectors,
    value_indices,
)

_DRAWN = ("random", "update", *FURTHER_CONTROLS)
"""The kinds of which each layer has `drawn_count`."""


class LayeredExtraction:
    """An extraction of every value vector, of every key or with statistics, cut into layers that
    any process may do.

    One process calls `begin`; then each layer is done once, by whoever shares the target's folder,
    in any order and also at once; then one process calls `finish`. The bundle is the same however
    the layers were spread. What layers share (the unembedding, the model that gives updates) is
    opened by the first layer and held until `rest`. Trigger prefixes of keys are no layer's: the
    process that calls `finish` runs the model for them.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        layers = range(run.weights.dimensions.n_layers)
        read = frozenset(layers_of(run.options, run.weights.layers))
        self._lists = tuple(self._size(layer) if layer in read else 0 for layer in layers)
        self.sizes = tuple(map(sum, zip(self._lists, self._measured(), strict=True)))
        """Vectors of each layer, those with statistics once more; 0 where the file lacks it."""
        self.inputs: dict[str, Any] = {
            "model": asdict(run.info),
            "parameters": run.parameters,
            "packages": packages(),
            "device": run.device.type,
        }
        """Everything that the lists depend on, ready for JSON: processes may work together where
        it is equal."""
        self._parts = Parts(run.out, self.inputs)
        self._projector: Projector | None = None
        self._unembedding: HeldRows | None = None
        self._drawn: dict[int, list[Vector]] = {}

    def _size(self, layer: int) -> int:
        run = self._run
        drawn = sum(1 for kind in run.options.kinds if kind in _DRAWN)
        n_keys = 0
        if run.keys is not None:
            n_keys = len(run.keys.indices[layer]) + run.keys.n_random[layer]
        return self._n_values(layer) + drawn * run.options.drawn_count + n_keys

    def _measured(self) -> list[int]:
        """Value vectors of each layer of which statistics are wanted."""
        weights, wanted = self._run.weights, self._run.options.value_statistics
        layers = range(weights.dimensions.n_layers)
        return [weights.n_values(layer) if wanted else 0 for layer in layers]

    def _n_values(self, layer: int) -> int:
        if "value" not in self._run.options.kinds:
            return 0
        return len(value_indices(self._run.weights, self._run.options, layer))

    def begin(self) -> None:
        """Make the folder of finished layers. Raises BundleError."""
        self._parts.begin()

    @property
    def begun(self) -> bool:
        """Whether `begin` was called for equal inputs, by any process that shares the folder."""
        return self._parts.begun

    def unfinished(self) -> list[int]:
        """The unfinished layers, ascending."""
        return sorted(set(range(len(self.sizes))) - set(self._parts.finished(len(self.sizes))))

    def draw(self, layers: Sequence[int], steps: Steps) -> None:
        """Draw the random baseline and the updates of some layers ahead of their turn."""
        for layer in layers:
            self._drawn[layer] = []
        for vector in self._run.drawn([n for n in layers if self._lists[n]], steps):
            self._drawn[vector.layer].append(vector)

    def layer(self, layer: int, steps: Steps, report: Callable[[int], None]) -> None:
        """Do one layer: its statistics, its value vectors, controls and updates, then its keys.

        `report` gets the number of vectors done; what it or `steps` raises ends the work without
        a trace.
        """
        if layer not in self._drawn:
            self.draw([layer], steps)
        projector = self._opened_projector()
        before = self.sizes[layer] - self._lists[layer]
        statistics = self._statistics(layer, report)

        def after(vectors: int) -> None:
            report(before + vectors)

        rows = self._rows(layer, projector, after) if self._lists[layer] else ()
        self._parts.write(layer, with_shuffled(rows, self._run.options), statistics)
        report(self.sizes[layer])  # shuffled lists too, which nothing projects
        del self._drawn[layer]

    def every_layer(self, steps: Steps) -> Manifest:
        """Do all unfinished layers in this process, and finish."""
        self.begin()
        layers = self.unfinished()
        self.draw(layers, steps)
        self._run.forget_model()  # its memory is the unembedding's from here on
        total = sum(self.sizes)
        before = done = total - sum(self.sizes[layer] for layer in layers)
        with steps.step("projection") as shown:
            shown(before, total, before)
            for layer in layers:
                self.layer(layer, steps, _counted_from(done, total, before, shown))
                done += self.sizes[layer]
        return self.finish(steps)

    def finish(self, steps: Steps, *, keep_parts: bool = False) -> Manifest:
        """Write the bundle from all layers and remove the parts. Raises BundleError.

        With `keep_parts` they stay until `forget_parts`: for who has more to do with the bundle.
        """
        self.rest()
        n_layers = len(self.sizes)
        rows, token_ids = self._parts.rows(n_layers), self._parts.token_ids(n_layers)
        wanted = self._run.options.value_statistics
        statistics = self._parts.statistics(n_layers) if wanted else None
        manifest = self._run.write(rows, token_ids, steps, statistics)
        if not keep_parts:
            self.forget_parts()
        return manifest

    def forget_parts(self) -> None:
        """Remove the finished layers."""
        self._parts.remove()

    def rest(self) -> None:
        """Release the memory that only layers need; the next layer loads it again."""
        self._projector, self._unembedding = None, None
        self._run.forget_model()

    def _statistics(
        self, layer: int, report: Callable[[int], None]
    ) -> Iterator[ValueStatisticsRow] | None:
        run = self._run
        if not run.options.value_statistics:
            return None
        moments = ScoreMoments(self._opened_unembedding(), run.allowed(), run.device)
        return layer_statistics(run.weights, layer, run.options.projection, moments, report)

    def _opened_unembedding(self) -> HeldRows:
        if self._unembedding is None:
            stored = self._run.weights.unembedding
            self._unembedding = HeldRows(stored.rows(0, stored.shape[0]))
        return self._unembedding

    def _opened_projector(self) -> Projector:
        if self._projector is None:
            self._projector = Projector(
                self._opened_unembedding(),
                self._run.allowed(),
                self._run.options.top_k,
                both_sides=self._run.weights.signed,
                device=self._run.device,
                keep=True,
            )
        return self._projector

    def _rows(
        self, layer: int, projector: Projector, report: Callable[[int], None]
    ) -> Iterator[VectorRow]:
        weights, done = self._run.weights, 0
        n_rows = weights.dimensions.vocab_size

        def within(rows: int) -> None:
            report(done + len(vectors) * rows // n_rows)

        for vectors in self._batches(layer):
            matrix = prepared(vectors, self._run.options.projection, weights)
            projection = projector.project(matrix, within)
            yield from rows_of(vectors, projection, self._run.vocabulary)
            done += len(vectors)

    def _batches(self, layer: int) -> Iterator[Sequence[Vector]]:
        weights, options = self._run.weights, self._run.options
        if options.per_layer == ALL:
            yield from all_value_vectors(weights, layer)
        elif self._n_values(layer):
            indices = value_indices(weights, options, layer)
            yield chosen_value_vectors(weights, [(layer, index) for index in indices])
        drawn = sorted(self._drawn[layer], key=lambda vector: vector.place)
        further = [vector for vector in drawn if vector.kind in FURTHER_CONTROLS]
        if len(further) < len(drawn):
            yield drawn[: len(drawn) - len(further)]
        yield from self._run.key_vectors(layer)
        if further:  # after keys in a bundle's order
            yield further


def _counted_from(
    start: int, total: int, before: int, shown: Callable[[int, int, int], None]
) -> Callable[[int], None]:
    return lambda vectors: shown(start + vectors, total, before)
