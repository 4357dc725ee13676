"""Run measurements, from a model's name to folders of tables and figures."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.architectures import ModelWeights
from ffn_extract.bundle import ModelInfo
from ffn_extract.bundle.manifest import digest_of
from ffn_extract.checkpoints.config import Settings, context_of
from ffn_extract.checkpoints.find import Checkpoint, find_checkpoint
from ffn_extract.corpora import Corpus, open_corpus
from ffn_extract.environment import environment, is_installed
from ffn_extract.errors import FFNExtractError, OptionError
from ffn_extract.free_memory import free_bytes
from ffn_extract.measurements import MEASUREMENTS, measurement_of
from ffn_extract.measurements.examples import Examples, draw_examples, token_counts
from ffn_extract.measurements.folder import Measured, parquet_of, require_new, write_folder
from ffn_extract.measurements.kept import Arrays, KeptParts
from ffn_extract.measurements.limits import BLOCK_BATCHES, MOST_TOKENS
from ffn_extract.measurements.linkage import Labels
from ffn_extract.measurements.measurement import Measurement, Readings, Result
from ffn_extract.measurements.memory import needed_bytes, require_disk, require_memory
from ffn_extract.measurements.norm import norm_result
from ffn_extract.measurements.options import MeasureOptions
from ffn_extract.measurements.passes import REDUCTIONS, Pass
from ffn_extract.measurements.reductions import DOMINANT, drawn_indices
from ffn_extract.measurements.scorers import WORD_LISTS, Scorer
from ffn_extract.measurements.value_clusters import require_clusters, value_clusters
from ffn_extract.measurements.value_scores import value_tops
from ffn_extract.measurements.words import Words
from ffn_extract.names import model_name
from ffn_extract.norm_check import compare_norm
from ffn_extract.pipeline import model_info, open_device, open_weights
from ffn_extract.progress import Report, Steps, ignore
from ffn_extract.running import MEASUREMENTS as PURPOSE
from ffn_extract.running import load_model, with_random_weights
from ffn_extract.target_lock import locked
from ffn_extract.traceable import require_traceable, running_family
from ffn_extract.tracing.batches import BatchPlan
from ffn_extract.tracing.reader import Reader
from ffn_extract.vocabulary import open_vocabulary

LACKS = (
    "{name} needs {packages}, which this computer does not have. "
    "pip install 'ffn-concepts[extract]', then try again."
)


def measure(
    names: Sequence[str],
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    options: MeasureOptions,
    report: Report = ignore,
    scorer: Scorer = WORD_LISTS,
) -> list[Measured]:
    """Run measurements of `model` (a folder or a hub id) and write a folder for each.

    Parameters
    ----------
    names
        Keys of `MEASUREMENTS`. Those that run the model share one pass over it.
    out
        The folder of the one measurement; of several, the folder that holds a folder for each.
    report
        Called often; whatever it raises cancels. A run that was cancelled or killed leaves its
        finished batches in a hidden folder beside `out`, and the same call goes on from there.
    scorer
        Scores the continuations of `suppression`. It is an object and no option, so that neither a
        page nor a file can name code.

    Raises
    ------
    FFNExtractError
        With a sentence that says what to do.
    """
    place = Path(out)
    wanted = wanted_of(names)
    folders = {one.name: place if len(wanted) == 1 else place / one.name for one in wanted}
    for folder in folders.values():
        require_new(folder)
    with locked(place):
        measured = _measured(
            wanted, os.fspath(model), place, folders, options, report, scorer, refused=None
        )
    return [measured[one.name] for one in wanted]


def measure_each(
    names: Sequence[str],
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    options: MeasureOptions,
    report: Report = ignore,
    scorer: Scorer = WORD_LISTS,
) -> tuple[dict[str, Measured], dict[str, FFNExtractError]]:
    """The same for a caller that locks `out`; a measurement that is refused stops no other one.

    Returns the measurements by name, each in a folder of its own, and the errors of the refused
    ones. An error of all, such as a corpus with too few sentences, is raised.
    """
    place = Path(out)
    wanted = wanted_of(names)
    folders = {one.name: place / one.name for one in wanted}
    refused: dict[str, FFNExtractError] = {}
    measured = _measured(
        wanted, os.fspath(model), place, folders, options, report, scorer, refused=refused
    )
    return measured, refused


def wanted_of(names: Sequence[str]) -> list[Measurement]:
    """The measurements of the names, each once. Raises OptionError for one that there is not."""
    unknown = sorted(set(names) - set(MEASUREMENTS))
    if unknown or not names:
        raise OptionError(
            f"There is no measurement {', '.join(unknown) or 'without a name'}. There are: "
            f"{', '.join(MEASUREMENTS)}."
        )
    return [measurement_of(name) for name in dict.fromkeys(names)]


def _measured(
    wanted: Sequence[Measurement],
    model: str,
    place: Path,
    folders: Mapping[str, Path],
    options: MeasureOptions,
    report: Report,
    scorer: Scorer,
    *,
    refused: dict[str, FFNExtractError] | None,
) -> dict[str, Measured]:
    """Measure and write folders; with `refused`, errors of one measurement are noted there."""
    measured: dict[str, Measured] = {}

    @contextmanager
    def noted(one: Measurement) -> Iterator[None]:
        """Note the error of a measurement, where errors are noted."""
        try:
            yield
        except FFNExtractError as error:
            if refused is None:
                raise
            refused[one.name] = error

    running = [one for one in wanted if one.compute is not None or one.run is not None]
    for one in wanted:
        if one not in running:
            with noted(one):
                measured[one.name] = _norm(model, folders[one.name], options, report)
    if running:
        run = _Run(model, place, options, running, Steps(report), scorer)
        for one in running:
            with noted(one):
                run.require(one)
        run.measurements = [one for one in running if not refused or one.name not in refused]
        if any(one.compute is not None for one in run.measurements):
            _ = run.readings  # an error of the pass is one of every measurement
        for one in run.measurements:
            with noted(one):
                measured[one.name] = run.write(one, folders[one.name])
        run.forget()
    return measured


def _norm(model: str, out: Path, options: MeasureOptions, report: Report) -> Measured:
    comparison = compare_norm(model, options.model, report)
    return write_folder(
        out,
        measurement_of("norm"),
        norm_result(comparison.rows, options.model.top_k),
        model=comparison.model,
        parameters=comparison.parameters,
        environment=comparison.environment,
        counts={"vectors": sum(row.vectors for row in comparison.rows)},
        more={},
    )


@dataclass
class _Run:
    """One pass over a model, and the folders that are made of it."""

    model: str
    out: Path
    options: MeasureOptions
    measurements: Sequence[Measurement]
    steps: Steps
    scorer: Scorer

    def __post_init__(self) -> None:
        options = self.options
        self._parts: list[KeptParts] = []
        with self.steps.step("checkpoint") as done:
            self.device = open_device(options.model.device)
            self.checkpoint: Checkpoint = find_checkpoint(
                self.model, options.model.revision, done, gguf_file=options.model.gguf_file
            )
            self.weights: ModelWeights = open_weights(self.checkpoint, options.model)
            self.family = running_family(self.weights.architecture)
            require_traceable(self.family, Settings(self.checkpoint.config))
            self.name = model_name(self.checkpoint, options.model)
            sizes = self.weights.dimensions
            needed = needed_bytes(
                self.checkpoint,
                options,
                layers=sizes.n_layers,
                d_model=sizes.d_model,
                d_ff=sizes.d_ff,
                vocab_size=sizes.vocab_size,
                workers=self.workers,
            )
            require_memory(self.name, needed, free_bytes())
            self.tokenizer, self.vocabulary = open_vocabulary(self.checkpoint)
            self.vocabulary.check_rows(sizes.vocab_size)
            self.info: ModelInfo = model_info(
                self.checkpoint, self.name, self.weights, self.vocabulary
            )
            self.limit = context_of(self.checkpoint.config)

    def require(self, one: Measurement) -> None:
        """Refuse a measurement that needs more than there is, before the model is loaded.

        Raises FFNExtractError.
        """
        missing = [package for package in one.packages if not is_installed(package)]
        if missing:
            raise FFNExtractError(LACKS.format(name=one.name, packages=" and ".join(missing)))
        sizes = self.weights.dimensions
        if one.clusters:
            counts = [self.weights.n_values(layer) for layer in range(sizes.n_layers)]
            require_clusters(self.name, counts, sizes.d_model, self.options, free_bytes())
        if "states" in one.needs:
            require_disk(self.out.parent, self.options.examples, sizes.n_layers, sizes.d_model)

    @cached_property
    def corpus(self) -> Corpus:
        """The texts that are read."""
        corpus = open_corpus(self.options.corpus, self.options.corpus_field)
        return corpus.split() if self.options.split_sentences else corpus

    @cached_property
    def examples(self) -> Examples:
        """The examples, drawn at the first use."""
        with self.steps.step("examples") as done:
            drawn = draw_examples(
                self.corpus, self.tokenizer, self.checkpoint, self.options, self.limit
            )
            done(1, 1)
        return drawn

    @property
    def workers(self) -> int:
        """Processes that run batches."""
        if self.device.type != "cpu":
            return 1
        return self.options.workers or len(os.sched_getaffinity(0))

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Everything that the tables depend on besides the model."""
        tensors = self.options.model.tensors
        return {
            **self.options.recorded(),
            "examples": self.examples.to_json(),
            "longest": MOST_TOKENS if self.limit is None else min(MOST_TOKENS, self.limit),
            "batch_plan": {
                **self._plan.to_json(),
                "projected_rows": self._plan.rows * BLOCK_BATCHES,
            },
            "dominant": DOMINANT,
            "device": self.device.type,
            **({"tensors": tensors} if tensors else {}),
        }

    @cached_property
    def reader(self) -> Reader:
        """The model, loaded at the first use, once for all measurements."""
        with self.steps.step("model") as done:
            dtype = getattr(torch, self.options.dtype)
            model = load_model(self.checkpoint, PURPOSE, dtype).to(self.device)
            reader = self._reader(model)
            done(1, 1)
        return reader

    @cached_property
    def readings(self) -> Readings:
        """Readings of every example; the first use runs the model."""
        words = self._words() if any(one.words for one in self.measurements) else None
        clusters = self._clusters() if any(one.clusters for one in self.measurements) else None
        _, reader = self.examples, self.reader  # examples first: they are refused at once
        needs = {need for one in self.measurements for need in one.needs}
        read = self._pass("reading", reader, [one for one in REDUCTIONS if one in needs])
        control = None
        if self.options.control and any(one.name == "saturation" for one in self.measurements):
            drawn = with_random_weights(reader.model, self.options.seed).to(self.device)
            control = self._pass("control", self._reader(drawn), ["candidates"]).arrays
        return Readings(
            arrays=read.arrays,
            control=control,
            n_values=[len(values) for values in reader.values],
            input_ids=[one.ids[one.position] for one in self.examples.drawn],
            options=self.options,
            clusters=np.empty(0, dtype=np.int64) if clusters is None else clusters,
            words=words,
            state=read.state,
            value_tops=self._value_tops,
            in_parts=self._in_parts,
        )

    def _reader(self, model: Any) -> Reader:
        return Reader(model, self.family, normed=not self.options.without_norm)

    def _words(self) -> Words:
        n_rows = self.weights.dimensions.vocab_size
        with self.steps.step("frequencies") as done:
            counts = token_counts(
                self.examples.corpus, self.tokenizer, self.checkpoint, n_rows, done
            )
        return Words(self.weights, self.vocabulary, counts)

    def _clusters(self) -> Labels:
        """Clusters of the value vectors, kept like batches: they take as long as the pass."""
        with self.steps.step("clusters") as done:
            kept = self._keep(
                KeptParts(
                    self._of_pass("clusters", ()),
                    "labels",
                    1,
                    lambda _: {"clusters": value_clusters(self.weights, self.options, done)},
                )
            )
            kept.run(1, lambda *_: None)
            return kept.read(0)["clusters"]

    def _value_tops(self) -> list[NDArray[np.int64]]:
        block = self._plan.rows * BLOCK_BATCHES

        def compute(layer: int) -> Arrays:
            return {"tops": value_tops(self.reader, layer, block)}

        layers = len(self.reader.layers)
        return [one["tops"] for one in self._in_parts("values", compute, layers, self.workers)]

    def _in_parts(
        self, step: str, compute: Callable[[int], Arrays], count: int, workers: int | None = None
    ) -> list[Arrays]:
        """Parts of a measurement's own; by default in processes whatever the device is."""
        with self.steps.step(step) as done:
            kept = self._keep(KeptParts(self._of_pass(step, ()), "part", count, compute))
            kept.run(workers or self.options.workers or len(os.sched_getaffinity(0)), done)
            return [kept.read(number) for number in range(count)]

    def write(self, one: Measurement, out: Path) -> Measured:
        """Compute a measurement's tables and write its folder."""
        if one.run is not None:
            own = one.run(self)
            return self._folder(one, out, own.result, own.parameters, own.counts, own.more)
        compute = one.compute
        if compute is None:
            raise ValueError(f"{one.name} runs no model")
        readings = self.readings
        with self.steps.step("tables") as done:
            result = compute(readings)
            more: dict[str, bytes] = {"examples.jsonl": self.examples.lines()}
            if one.draws:
                more["draws.parquet"] = self._draws(readings.n_values)
            counts = {"examples": len(self.examples.drawn)}
            measured = self._folder(one, out, result, self.parameters, counts, more)
            done(1, 1)
        return measured

    def kept(
        self, key: object, part: str, count: int, compute: Callable[[int], Arrays]
    ) -> KeptParts:
        """Batches of a measurement's own, in a hidden folder beside `out` until all is written.

        They depend on the model, `key` and `part`; another `key` finds none of them.
        """
        name = f"{digest_of([key, self.info.to_json()])[:16]}.{part}"
        return self._keep(KeptParts(self._hidden(name), "batch", count, compute))

    def forget(self) -> None:
        """Remove the batches that were kept for a run that is taken up again."""
        for one in self._parts:
            one.forget()

    def _folder(
        self,
        one: Measurement,
        out: Path,
        result: Result,
        parameters: Mapping[str, Any],
        counts: Mapping[str, int],
        more: Mapping[str, bytes],
    ) -> Measured:
        return write_folder(
            out,
            one,
            result,
            model=self.info.to_json(),
            parameters=parameters,
            environment=environment(str(self.device), self.steps.seconds, one.packages),
            counts=counts,
            more=more,
        )

    def _hidden(self, name: str) -> Path:
        return self.out.parent / f".{self.out.name}.{name}.parts"

    @cached_property
    def _plan(self) -> BatchPlan:
        return BatchPlan(self.options.batch_rows, self.options.length_multiple)

    @cached_property
    def _key(self) -> str:
        drawn = digest_of([(one.sentence, list(one.ids)) for one in self.examples.drawn])
        model = self.info.to_json()
        return digest_of([self.parameters, model, drawn])[:16]

    def _of_pass(self, step: str, wanted: Sequence[str]) -> Path:
        return self._hidden(f"{self._key}.{'-'.join((step, *wanted))}")

    def _keep(self, kept: KeptParts) -> KeptParts:
        self._parts.append(kept)
        return kept

    def _pass(self, step: str, reader: Reader, wanted: Sequence[str]) -> "_Finished":
        with self.steps.step(step) as done:
            one = Pass(
                reader, self.examples, self._plan, self.options.seed, wanted,
                self._of_pass(step, wanted), self.limit,
            )  # fmt: skip
            self._keep(one.kept)
            return _Finished(one.run(self.workers, done), one.state)

    def _draws(self, n_values: Sequence[int]) -> bytes:
        rows = [
            (number, layer, [index for index in drawn if index >= 0])
            for number in range(len(self.examples.drawn))
            for layer, drawn in enumerate(
                drawn_indices(self.options.seed, number, n_values).tolist()
            )
        ]
        return parquet_of(("example", "layer", "indices"), rows)


@dataclass(frozen=True)
class _Finished:
    """Arrays of a pass, and those that stay on disk, by name."""

    arrays: Arrays
    state: Callable[[str], NDArray[Any]]
