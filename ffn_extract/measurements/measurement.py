"""Declaration of a measurement, and its result: tables, figures and words."""

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from ffn_extract.architectures import ModelWeights
from ffn_extract.bundle import ModelInfo
from ffn_extract.checkpoints.find import Checkpoint
from ffn_extract.corpora import Corpus
from ffn_extract.formulas import neutralised
from ffn_extract.measurements.in_paper import InPaper
from ffn_extract.measurements.kept import Arrays, KeptParts
from ffn_extract.measurements.options import MeasureOptions
from ffn_extract.measurements.scorers import Scorer
from ffn_extract.measurements.words import Words
from ffn_extract.progress import Steps
from ffn_extract.tracing.reader import Reader
from ffn_extract.vocabulary import Vocabulary

Cell = str | int | float | None


@dataclass(frozen=True)
class Table:
    """A table; an undefined number is None, an empty cell in CSV."""

    name: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]

    def to_csv(self) -> str:
        """The table as CSV with a header; no text in it can act in a spreadsheet."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        for row in self.rows:
            writer.writerow([neutralised(x) if isinstance(x, str) else x for x in row])
        return text.getvalue()


@dataclass(frozen=True)
class Line:
    """A line of a figure: values per layer, with the ends of an interval where there are any."""

    label: str
    layers: Sequence[int]
    values: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


@dataclass(frozen=True)
class Figure:
    """A figure over layers, drawn as SVG and PDF."""

    name: str
    title: str
    y_label: str
    lines: Sequence[Line]

    def to_json(self) -> dict[str, Any]:
        """The lines, for another program to draw; a number that is not finite is None."""
        return {
            "name": self.name,
            "title": self.title,
            "y_label": self.y_label,
            "lines": [
                {
                    "label": line.label,
                    "layers": [int(layer) for layer in line.layers],
                    "values": _finite(line.values),
                    "low": None if line.low is None else _finite(line.low),
                    "high": None if line.high is None else _finite(line.high),
                }
                for line in self.lines
            ],
        }


@dataclass(frozen=True)
class Result:
    """Tables, figures and words of one measurement; `thresholds` go into the manifest."""

    tables: Sequence[Table]
    figures: Sequence[Figure]
    words: Sequence[str]
    thresholds: dict[str, Any] = field(default_factory=dict)


InParts = Callable[[str, Callable[[int], Arrays], int], list[Arrays]]
"""From a step's name, what computes a part, and the number of parts to all of them."""


def _in_turn(step: str, compute: Callable[[int], Arrays], count: int) -> list[Arrays]:
    return [compute(number) for number in range(count)]


def _no_state(name: str) -> NDArray[Any]:
    raise KeyError(name)


@dataclass(frozen=True)
class Readings:
    """Readings of the examples, for a measurement's tables.

    Attributes
    ----------
    arrays
        By the names of `reductions`, a row per example.
    control
        The same of the model with random weights, where it was asked for.
    n_values
        Value vectors of each layer.
    input_ids
        The token at the position read, of every example.
    clusters
        The cluster of every value vector in the order (layer, index), where they are needed.
    words
        Tokens of value vectors, where they are needed.
    state
        From the name of an array of `reductions.States` to it, shape (examples, d_model).
    value_tops
        Gives, for each layer, the top token of E·v of each value vector v, behind a norm after the
        FFN with its gain, shape (n_values,).
    in_parts
        Computes numbered parts under a step's name, in processes, and keeps them for a run that
        is taken up again.
    """

    arrays: Arrays
    control: Arrays | None
    n_values: Sequence[int]
    input_ids: Sequence[int]
    options: MeasureOptions
    clusters: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    words: Words | None = None
    state: Callable[[str], NDArray[Any]] = _no_state
    value_tops: Callable[[], Sequence[NDArray[np.int64]]] = list
    in_parts: InParts = _in_turn

    @property
    def n_layers(self) -> int:
        """Layers of the model."""
        return len(self.n_values)


Compute = Callable[[Readings], Result]


@dataclass(frozen=True)
class OwnRun:
    """Result and files of a measurement that runs the model in its own way.

    `parameters` are everything that the tables depend on besides the model; `more` are further
    files by name.
    """

    result: Result
    parameters: Mapping[str, Any]
    counts: Mapping[str, int]
    more: Mapping[str, bytes]


class Opened(Protocol):
    """A model and all that a measurement's own run may use of it; `reader` loads it."""

    options: MeasureOptions
    steps: Steps
    device: torch.device
    checkpoint: Checkpoint
    weights: ModelWeights
    name: str
    tokenizer: PreTrainedTokenizerBase
    vocabulary: Vocabulary
    info: ModelInfo
    limit: int | None
    scorer: Scorer

    @property
    def workers(self) -> int:
        """Processes that run batches."""

    @property
    def corpus(self) -> Corpus:
        """The texts that are read."""

    @property
    def reader(self) -> Reader:
        """The model, once for all measurements."""

    def kept(
        self, key: object, part: str, count: int, compute: Callable[[int], Arrays]
    ) -> KeptParts:
        """Batches that are kept until the folder is written; they depend on `key` and `part`."""


@dataclass(frozen=True)
class Measurement:
    """One kind of measurement.

    Attributes
    ----------
    title, definition, source
        For people, in Markdown.
    columns
        What each column of each table holds, by table and column.
    needs
        Names of `passes.REDUCTIONS`; empty for one that runs no model.
    draws
        Whether it uses the random vectors that are written to draws.parquet.
    clusters, words
        Whether it uses `Readings.clusters` and `Readings.words`.
    packages
        Packages whose versions can change its tables, beside those of every measurement.
    compute
        From readings to the result; None for `norm`, which reads weights alone.
    run
        For a measurement that runs the model in its own way, instead of `compute`.
    in_paper
        Its section on the page of the whole paper; one without a place there stands last.
    """

    name: str
    title: str
    definition: str
    source: str
    columns: Mapping[str, Mapping[str, str]]
    needs: tuple[str, ...] = ()
    draws: bool = False
    clusters: bool = False
    words: bool = False
    packages: tuple[str, ...] = ()
    compute: Compute | None = None
    run: Callable[[Opened], OwnRun] | None = None
    in_paper: InPaper | None = None


def _finite(values: Sequence[float]) -> list[float | None]:
    return [rounded(float(value), 6) for value in values]


def rounded(value: float, digits: int = 9) -> float | None:
    """A number to `digits` significant digits; None where it is undefined."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None
