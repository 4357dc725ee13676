"""Run measurements, from a model's name to folders of tables and figures."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ffn_extract.architectures import ModelWeights
from ffn_extract.bundle import ModelInfo
from ffn_extract.bundle.manifest import digest_of
from ffn_extract.checkpoints.config import Settings, context_of
from ffn_extract.checkpoints.find import Checkpoint, find_checkpoint
from ffn_extract.corpora import open_corpus
from ffn_extract.environment import environment
from ffn_extract.errors import OptionError
from ffn_extract.free_memory import free_bytes
from ffn_extract.measurements import MEASUREMENTS, measurement_of
from ffn_extract.measurements.examples import MOST_TOKENS, Examples, draw_examples
from ffn_extract.measurements.folder import Measured, parquet_of, require_new, write_folder
from ffn_extract.measurements.measurement import Compute, Measurement, Readings
from ffn_extract.measurements.memory import needed_bytes, require_memory
from ffn_extract.measurements.norm import norm_result
from ffn_extract.measurements.options import MeasureOptions
from ffn_extract.measurements.passes import BLOCK_BATCHES, REDUCTIONS, Pass
from ffn_extract.measurements.reductions import DOMINANT, Arrays, drawn_indices
from ffn_extract.names import model_name
from ffn_extract.norm_check import compare_norm
from ffn_extract.pipeline import model_info, open_device, open_weights
from ffn_extract.progress import Report, Steps, ignore
from ffn_extract.running import MEASUREMENTS as PURPOSE
from ffn_extract.running import load_model, with_random_weights
from ffn_extract.target_lock import locked
from ffn_extract.tracing.batches import BatchPlan
from ffn_extract.tracing.reader import Reader, require_traceable, running_family
from ffn_extract.vocabulary import open_vocabulary


def measure(
    names: Sequence[str],
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    options: MeasureOptions,
    report: Report = ignore,
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

    Raises
    ------
    FFNExtractError
        With a sentence that says what to do.
    """
    place = Path(out)
    unknown = sorted(set(names) - set(MEASUREMENTS))
    if unknown or not names:
        raise OptionError(
            f"There is no measurement {', '.join(unknown) or 'without a name'}. There are: "
            f"{', '.join(MEASUREMENTS)}."
        )
    wanted = [measurement_of(name) for name in dict.fromkeys(names)]
    folders = {one.name: place if len(wanted) == 1 else place / one.name for one in wanted}
    for folder in folders.values():
        require_new(folder)
    measured: dict[str, Measured] = {}
    with locked(place):
        of_text = {one.name: one.compute for one in wanted if one.compute is not None}
        for name in (one.name for one in wanted if one.name not in of_text):
            measured[name] = _norm(os.fspath(model), folders[name], options, report)
        if of_text:
            some = [one for one in wanted if one.name in of_text]
            run = _Run(os.fspath(model), place, options, some, Steps(report))
            for one in some:
                measured[one.name] = run.write(one, of_text[one.name], folders[one.name])
            run.forget()
    return [measured[one.name] for one in wanted]


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

    def __post_init__(self) -> None:
        options = self.options
        self._passes: list[Pass] = []
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
        with self.steps.step("examples") as done:
            tokenizer, vocabulary = open_vocabulary(self.checkpoint)
            vocabulary.check_rows(sizes.vocab_size)
            self.info: ModelInfo = model_info(self.checkpoint, self.name, self.weights, vocabulary)
            corpus = open_corpus(options.corpus, options.corpus_field)
            self.limit = context_of(self.checkpoint.config)
            self.examples: Examples = draw_examples(
                corpus, tokenizer, self.checkpoint, options, self.limit
            )
            done(1, 1)

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
            "precision": "float32",
            "device": self.device.type,
            **({"tensors": tensors} if tensors else {}),
        }

    @cached_property
    def readings(self) -> Readings:
        """Readings of every example; the first use runs the model."""
        with self.steps.step("model") as done:
            loaded = load_model(self.checkpoint, PURPOSE).to(self.device)
            reader = Reader(loaded, self.family)
            done(1, 1)
        needs = {need for one in self.measurements for need in one.needs}
        arrays = self._pass("reading", reader, [one for one in REDUCTIONS if one in needs])
        control = None
        if self.options.control and any(one.name == "saturation" for one in self.measurements):
            drawn = with_random_weights(loaded, self.options.seed).to(self.device)
            control = self._pass("control", Reader(drawn, self.family), ["candidates"])
        return Readings(
            arrays=arrays,
            control=control,
            n_values=[len(values) for values in reader.values],
            input_ids=[one.ids[one.position] for one in self.examples.drawn],
            options=self.options,
        )

    def write(self, one: Measurement, compute: Compute, out: Path) -> Measured:
        """Compute a measurement's tables and write its folder."""
        readings = self.readings
        with self.steps.step("tables") as done:
            result = compute(readings)
            more: dict[str, bytes] = {"examples.jsonl": self.examples.lines()}
            if one.draws:
                more["draws.parquet"] = self._draws(readings.n_values)
            measured = write_folder(
                out,
                one,
                result,
                model=self.info.to_json(),
                parameters=self.parameters,
                environment=environment(str(self.device), self.steps.seconds),
                counts={"examples": len(self.examples.drawn)},
                more=more,
            )
            done(1, 1)
        return measured

    def forget(self) -> None:
        """Remove the batches that were kept for a run that is taken up again."""
        for one in self._passes:
            one.forget()

    @cached_property
    def _plan(self) -> BatchPlan:
        return BatchPlan(self.options.batch_rows, self.options.length_multiple)

    @cached_property
    def _key(self) -> str:
        drawn = digest_of([(one.sentence, list(one.ids)) for one in self.examples.drawn])
        model = self.info.to_json()
        return digest_of([self.parameters, model, drawn])[:16]

    def _kept(self, step: str, wanted: Sequence[str]) -> Path:
        part = "-".join((step, *wanted))
        return self.out.parent / f".{self.out.name}.{self._key}.{part}.parts"

    def _pass(self, step: str, reader: Reader, wanted: Sequence[str]) -> Arrays:
        with self.steps.step(step) as done:
            one = Pass(
                reader, self.examples, self._plan, self.options.seed, wanted,
                self._kept(step, wanted), self.limit,
            )  # fmt: skip
            self._passes.append(one)
            return one.run(self.workers, done)

    def _draws(self, n_values: Sequence[int]) -> bytes:
        rows = [
            (number, layer, [index for index in drawn if index >= 0])
            for number in range(len(self.examples.drawn))
            for layer, drawn in enumerate(
                drawn_indices(self.options.seed, number, n_values).tolist()
            )
        ]
        return parquet_of(("example", "layer", "indices"), rows)
